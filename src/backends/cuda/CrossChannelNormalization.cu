#include "ops/CrossChannelNormalization.h"

#include "backends/cuda/Cuda.h"
#include "backends/cuda/Lanes.cuh"

namespace pewter::PEWTER_CUDA_NAMESPACE {

namespace crosschannel {

struct Parameters {
    std::int64_t size;
    float share, beta, delta, factor;

    template <class Op>
    explicit Parameters(const Op& op)
        : size(op.kernelSize),
          share(static_cast<float>(op.alpha / static_cast<double>(op.kernelSize))),
          beta(static_cast<float>(op.beta)),
          delta(static_cast<float>(op.delta)),
          factor(static_cast<float>(-2 * op.alpha * op.beta / static_cast<double>(op.kernelSize))) {}
};

/// fn(q) for the channels q from k - before to k + after that there are.
template <class Fn>
PEWTER_DEVICE void forWindow(int channels, int k, std::int64_t before, std::int64_t after, Fn fn) {
    const int first = k > before ? static_cast<int>(k - before) : 0;
    const int end = after < channels - k ? static_cast<int>(k + after + 1) : channels;
    for (int q = first; q < end; ++q) fn(q);
}

struct Square {
    const View& src;
    std::int64_t at;
    float& sum;
    PEWTER_DEVICE void operator()(int q) const {
        const float x = loadAs(src.type, src.data, at + q * src.strideC);
        sum += x * x;
    }
};

PEWTER_DEVICE float baseOf(const Parameters& f, const View& src, const Position& p) {
    float sum = 0;
    forWindow(src.c, p.c, f.size / 2, (f.size - 1) / 2, Square{src, src.offset(p.n, p.h, p.w, 0), sum});
    return f.delta + f.share * sum;
}

struct Forward {
    Parameters f;
    View src, dst;
    PEWTER_DEVICE void operator()(std::int64_t i) const {
        const Position p = positionOf(dst, i);
        store(dst, p, load(src, p) * powf(baseOf(f, src, p), -f.beta));
    }
};

/// What every window gives: to its centre, and by its base to all of its channels.
struct Shares {
    Parameters f;
    View src, diffDst;
    float *centres, *shares;
    PEWTER_DEVICE void operator()(std::int64_t i) const {
        const Position p = positionOf(diffDst, i);
        const float base = baseOf(f, src, p), g = load(diffDst, p);
        centres[i] = g * powf(base, -f.beta);
        shares[i] = f.factor * g * load(src, p) * powf(base, -f.beta - 1);
    }
};

struct Sum {
    const float* from;
    float& sum;
    PEWTER_DEVICE void operator()(int q) const { sum += from[q]; }
};

struct Gather {
    Parameters f;
    View src, diffSrc;
    const float *centres, *shares;
    PEWTER_DEVICE void operator()(std::int64_t i) const {
        const Position p = positionOf(diffSrc, i);
        float sum = 0;
        forWindow(src.c, p.c, (f.size - 1) / 2, f.size / 2, Sum{shares + (i - p.c), sum});
        store(diffSrc, p, centres[i] + load(src, p) * sum);
    }
};

}  // namespace crosschannel

void Cuda::run(const ops::CrossChannelNormalizationForward& op, ops::Stream& s) {
    CudaStream& stream = streamOf(s);
    throughScratch(stream, op.src, op.dst, [&](const ops::Tensor& dst) {
        forEach(stream, dst.count(),
                crosschannel::Forward{crosschannel::Parameters(op), viewOf(op.src), viewOf(dst)});
    });
}

void Cuda::run(const ops::CrossChannelNormalizationGradient& op, ops::Stream& s) {
    CudaStream& stream = streamOf(s);
    const std::int64_t count = op.diffSrc.count();
    if (count == 0) return;
    const auto bytes = static_cast<std::size_t>(count) * 2 * sizeof(float);
    auto* const centres = resolve(static_cast<float*>(stream.scratch(bytes)));
    float* const shares = centres + count;
    const crosschannel::Parameters f(op);
    const View src = viewOf(op.src);
    forEach(stream, count, crosschannel::Shares{f, src, viewOf(op.diffDst), centres, shares});
    forEach(stream, count, crosschannel::Gather{f, src, viewOf(op.diffSrc), centres, shares});
}

}  // namespace pewter::PEWTER_CUDA_NAMESPACE
