#include "ops/SpatialNormalization.h"

#include "backends/cuda/Cuda.h"
#include "backends/cuda/WindowTaps.cuh"

namespace pewter::PEWTER_CUDA_NAMESPACE {

namespace spatial {

struct Parameters {
    ops::Window window, centre;
    float share, beta, delta, factor;

    template <class Op>
    explicit Parameters(const Op& op) : window(op.window), centre(centreOf(op.window)) {
        const double area = static_cast<double>(window.width * window.height);
        share = static_cast<float>(op.alpha / area), factor = static_cast<float>(-2 * op.alpha * op.beta / area);
        beta = static_cast<float>(op.beta), delta = static_cast<float>(op.delta);
    }
};

template <class L>
PEWTER_DEVICE void baseOf(const Parameters& f, const View& src, const Position& p, float (&base)[L::kCount]) {
    float sum[L::kCount] = {};
    forTaps<L>(f.window, src, p, [&sum](const float (&x)[L::kCount]) {
        for (int l = 0; l < L::kCount; ++l) sum[l] += x[l] * x[l];
    });
    for (int l = 0; l < L::kCount; ++l) base[l] = f.delta + f.share * sum[l];
}

template <class L>
struct Forward {
    Parameters f;
    View src, dst;

    PEWTER_DEVICE void operator()(std::int64_t i) const {
        const Position p = lanesAt<L>(dst, i);
        float x[L::kCount], base[L::kCount];
        baseOf<L>(f, src, p, base);
        loadCentre<L>(f.window, src, p, x);
        for (int l = 0; l < L::kCount; ++l) x[l] *= powf(base[l], -f.beta);
        L::store(dst, offsetOf(dst, p), x);
    }
};

/// What every window gives: to what its centre reads, and by its base to every tap.
template <class L>
struct Shares {
    Parameters f;
    View src, diffDst;
    float *centres, *shares;

    PEWTER_DEVICE void operator()(std::int64_t i) const {
        const Position p = lanesAt<L>(diffDst, i);
        float x[L::kCount], base[L::kCount], g[L::kCount];
        baseOf<L>(f, src, p, base);
        loadCentre<L>(f.window, src, p, x);
        L::load(diffDst, offsetOf(diffDst, p), g);
        for (int l = 0; l < L::kCount; ++l) {
            x[l] *= f.factor * g[l] * powf(base[l], -f.beta - 1);
            g[l] *= powf(base[l], -f.beta);
        }
        storeFloats(centres + i * L::kCount, g);
        storeFloats(shares + i * L::kCount, x);
    }
};

template <class L>
struct Gather {
    Parameters f;
    View src, diffSrc;
    int outH, outW;
    const float *centres, *shares;

    PEWTER_DEVICE void operator()(std::int64_t i) const {
        const Position p = lanesAt<L>(diffSrc, i);
        float sum[L::kCount] = {}, diff[L::kCount] = {}, x[L::kCount];
        forReaders(f.window, src, outH, outW, p, [&](std::int64_t window, float taps) {
            float s[L::kCount];
            loadFloats(shares + window * src.c + p.c, s);
            for (int l = 0; l < L::kCount; ++l) sum[l] += taps * s[l];
        });
        forReaders(f.centre, src, outH, outW, p, [&](std::int64_t window, float) {
            float a[L::kCount];
            loadFloats(centres + window * src.c + p.c, a);
            for (int l = 0; l < L::kCount; ++l) diff[l] += a[l];
        });
        L::load(src, offsetOf(src, p), x);
        for (int l = 0; l < L::kCount; ++l) diff[l] += x[l] * sum[l];
        L::store(diffSrc, offsetOf(diffSrc, p), diff);
    }
};

}  // namespace spatial

void Cuda::run(const ops::SpatialNormalizationForward& op, ops::Stream& s) {
    CudaStream& stream = streamOf(s);
    throughScratch(stream, op.src, op.dst, [&](const ops::Tensor& dst) {
        forLanes<spatial::Forward>(stream, dst, {&op.src}, true, spatial::Parameters(op), viewOf(op.src), viewOf(dst));
    });
}

void Cuda::run(const ops::SpatialNormalizationGradient& op, ops::Stream& s) {
    CudaStream& stream = streamOf(s);
    const std::int64_t count = op.diffDst.count();
    if (op.diffSrc.count() == 0) return;
    const std::int64_t each = (count + 3) / 4 * 4;  // both begin at 16 bytes
    const auto bytes = static_cast<std::size_t>(each) * 2 * sizeof(float);
    auto* const centres = resolve(static_cast<float*>(stream.scratch(bytes)));
    float* const shares = centres + each;
    const spatial::Parameters f(op);
    const View src = viewOf(op.src);
    forLanes<spatial::Shares>(stream, op.diffDst, {&op.src}, true, f, src, viewOf(op.diffDst), centres, shares);
    forLanes<spatial::Gather>(stream, op.diffSrc, {&op.src}, true, f, src, viewOf(op.diffSrc),
                              static_cast<int>(op.diffDst.h), static_cast<int>(op.diffDst.w), centres, shares);
}

}  // namespace pewter::PEWTER_CUDA_NAMESPACE
