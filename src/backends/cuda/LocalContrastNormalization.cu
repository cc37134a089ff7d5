#include "ops/LocalContrastNormalization.h"

#include "backends/cuda/Cuda.h"
#include "backends/cuda/WindowTaps.cuh"

namespace pewter::PEWTER_CUDA_NAMESPACE {

namespace contrast {

struct Parameters {
    ops::Window window, centre;
    double area, alpha, delta, p0;
    float beta, pm, ps, factor, byMean;

    template <class Op>
    explicit Parameters(const Op& op) : window(op.window), centre(centreOf(op.window)) {
        area = static_cast<double>(window.width * window.height), alpha = op.alpha, delta = op.delta, p0 = op.p0;
        beta = static_cast<float>(op.beta), pm = static_cast<float>(op.pm), ps = static_cast<float>(op.ps);
        factor = static_cast<float>(-2 * op.alpha * op.beta / area), byMean = static_cast<float>(-op.p0 / area);
    }
};

/// One window: its mean, its base T, and the distance of what its centre reads from p0 times the mean. In double: where the
/// mean comes close to the centre, little is left of either.
template <class L>
struct Contrast {
    float mean[L::kCount], base[L::kCount], distance[L::kCount];

    PEWTER_DEVICE Contrast(const Parameters& f, const View& src, const Position& p) {
        double sum[L::kCount] = {}, squares[L::kCount] = {};
        forTaps<L>(f.window, src, p, [&sum](const float (&x)[L::kCount]) {
            for (int l = 0; l < L::kCount; ++l) sum[l] += static_cast<double>(x[l]);
        });
        for (int l = 0; l < L::kCount; ++l) sum[l] /= f.area;
        forTaps<L>(f.window, src, p, [&](const float (&x)[L::kCount]) {
            for (int l = 0; l < L::kCount; ++l) {
                const double deviation = static_cast<double>(x[l]) - sum[l];
                squares[l] += deviation * deviation;
            }
        });
        loadCentre<L>(f.window, src, p, distance);
        for (int l = 0; l < L::kCount; ++l) {
            mean[l] = static_cast<float>(sum[l]);
            base[l] = static_cast<float>(f.delta + f.alpha * (squares[l] / f.area));
            distance[l] = static_cast<float>(static_cast<double>(distance[l]) - f.p0 * sum[l]);
        }
    }
};

template <class L>
struct Forward {
    Parameters f;
    View src, dst;

    PEWTER_DEVICE void operator()(std::int64_t i) const {
        const Position p = lanesAt<L>(dst, i);
        const Contrast<L> window(f, src, p);
        float y[L::kCount];
        for (int l = 0; l < L::kCount; ++l) y[l] = f.pm + f.ps * window.distance[l] * powf(window.base[l], -f.beta);
        L::store(dst, offsetOf(dst, p), y);
    }
};

/// What every window gives: to what its centre reads, by its base, and its mean.
template <class L>
struct Shares {
    Parameters f;
    View src, diffDst;
    float *byCentre, *byBase, *means;

    PEWTER_DEVICE void operator()(std::int64_t i) const {
        const Position p = lanesAt<L>(diffDst, i);
        const Contrast<L> window(f, src, p);
        float a[L::kCount], b[L::kCount];
        L::load(diffDst, offsetOf(diffDst, p), a);
        for (int l = 0; l < L::kCount; ++l) {
            const float g = f.ps * a[l];
            a[l] = g * powf(window.base[l], -f.beta);
            b[l] = f.factor * g * window.distance[l] * powf(window.base[l], -f.beta - 1);
        }
        storeFloats(byCentre + i * L::kCount, a);
        storeFloats(byBase + i * L::kCount, b);
        storeFloats(means + i * L::kCount, window.mean);
    }
};

template <class L>
struct Gather {
    Parameters f;
    View src, diffSrc;
    int outH, outW;
    const float *byCentre, *byBase, *means;

    PEWTER_DEVICE void operator()(std::int64_t i) const {
        const Position p = lanesAt<L>(diffSrc, i);
        float diff[L::kCount] = {}, x[L::kCount];
        L::load(src, offsetOf(src, p), x);
        forReaders(f.window, src, outH, outW, p, [&](std::int64_t window, float taps) {
            float a[L::kCount], b[L::kCount], mean[L::kCount];
            const std::int64_t at = window * src.c + p.c;
            loadFloats(byCentre + at, a);
            loadFloats(byBase + at, b);
            loadFloats(means + at, mean);
            for (int l = 0; l < L::kCount; ++l) diff[l] += taps * (f.byMean * a[l] + b[l] * (x[l] - mean[l]));
        });
        forReaders(f.centre, src, outH, outW, p, [&](std::int64_t window, float) {
            float a[L::kCount];
            loadFloats(byCentre + window * src.c + p.c, a);
            for (int l = 0; l < L::kCount; ++l) diff[l] += a[l];
        });
        L::store(diffSrc, offsetOf(diffSrc, p), diff);
    }
};

}  // namespace contrast

void Cuda::run(const ops::LocalContrastNormalizationForward& op, ops::Stream& s) {
    CudaStream& stream = streamOf(s);
    throughScratch(stream, op.src, op.dst, [&](const ops::Tensor& dst) {
        forLanes<contrast::Forward>(stream, dst, {&op.src}, true, contrast::Parameters(op), viewOf(op.src), viewOf(dst));
    });
}

void Cuda::run(const ops::LocalContrastNormalizationGradient& op, ops::Stream& s) {
    CudaStream& stream = streamOf(s);
    if (op.diffSrc.count() == 0) return;
    const std::int64_t each = (op.diffDst.count() + 3) / 4 * 4;  // all three begin at 16 bytes
    const auto bytes = static_cast<std::size_t>(each) * 3 * sizeof(float);
    auto* const a = resolve(static_cast<float*>(stream.scratch(bytes)));
    float *const b = a + each, *const means = b + each;
    const contrast::Parameters f(op);
    const View src = viewOf(op.src);
    forLanes<contrast::Shares>(stream, op.diffDst, {&op.src}, true, f, src, viewOf(op.diffDst), a, b, means);
    forLanes<contrast::Gather>(stream, op.diffSrc, {&op.src}, true, f, src, viewOf(op.diffSrc),
                               static_cast<int>(op.diffDst.h), static_cast<int>(op.diffDst.w), a, b, means);
}

}  // namespace pewter::PEWTER_CUDA_NAMESPACE
