#include "backends/cuda/Cuda.h"
#include "backends/cuda/PixelSums.cuh"

namespace pewter::PEWTER_CUDA_NAMESPACE {

namespace {

struct ForwardPixel {
    View src, dst;
    bool logarithm;

    template <class Who>
    PEWTER_DEVICE void operator()(Who who, std::int64_t pixel) const {
        const Position p = pixelOf(src, pixel);
        const SoftMaxSums sums = softMaxSums(who, src, p, src.c);
        const float shift = logarithm ? logf(sums.sum) : 1 / sums.sum;
        for (int c = who.first(); c < src.c; c += who.step()) {
            const float x = load(src, p.n, p.h, p.w, c) - sums.maximum;
            store(dst, p.n, p.h, p.w, c, logarithm ? x - shift : expf(x) * shift);
        }
    }
};

struct GradientPixel {
    View dst, diffDst, diffSrc;
    bool logarithm;

    template <class Who>
    PEWTER_DEVICE void operator()(Who who, std::int64_t pixel) const {
        const Position p = pixelOf(dst, pixel);
        float sum = 0;
        for (int c = who.first(); c < dst.c; c += who.step()) {
            const float g = load(diffDst, p.n, p.h, p.w, c);
            sum += logarithm ? g : g * load(dst, p.n, p.h, p.w, c);
        }
        sum = who.combined(sum, Plus());
        for (int c = who.first(); c < dst.c; c += who.step()) {
            const float g = load(diffDst, p.n, p.h, p.w, c), y = load(dst, p.n, p.h, p.w, c);
            store(diffSrc, p.n, p.h, p.w, c, logarithm ? g - expf(y) * sum : y * (g - sum));
        }
    }
};

std::int64_t pixelsOf(const ops::Tensor& t) { return t.count() == 0 ? 0 : t.n * t.h * t.w; }

}  // namespace

void Cuda::run(const ops::SoftMaxForward& op, ops::Stream& stream) {
    forEachPixel(streamOf(stream), pixelsOf(op.src), op.src.c, ForwardPixel{viewOf(op.src), viewOf(op.dst), op.logarithm});
}

void Cuda::run(const ops::SoftMaxGradient& op, ops::Stream& stream) {
    forEachPixel(streamOf(stream), pixelsOf(op.dst), op.dst.c,
                 GradientPixel{viewOf(op.dst), viewOf(op.diffDst), viewOf(op.diffSrc), op.logarithm});
}

}  // namespace pewter::PEWTER_CUDA_NAMESPACE
