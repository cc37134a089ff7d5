#include "backends/cuda/Cuda.h"
#include "backends/cuda/TileProduct.cuh"
#include "ops/LocalCorrelation.h"

namespace pewter::PEWTER_CUDA_NAMESPACE {

namespace {

/// A displacement of a pixel a thread: neighbours read the same channels of the primary image.
template <class T>
void correlate(CudaStream& stream, const ops::LocalCorrelation& op) {
    const View primary = viewOf(op.primary), secondary = viewOf(op.secondary), dst = viewOf(op.dst);
    const std::int64_t firstX = op.offsetX - op.windowX * op.strideX, firstY = op.offsetY - op.windowY * op.strideY;
    forEachElement(stream, dst, [=, strideX = op.strideX, strideY = op.strideY, edge = op.edge,
                                 width = static_cast<int>(2 * op.windowX + 1)] PEWTER_DEVICE_CALL(const Position& p) {
        const int v = edgeIndex(firstY + p.h + p.c / width * strideY, secondary.h, edge);
        const int u = edgeIndex(firstX + p.w + p.c % width * strideX, secondary.w, edge);
        float sum = 0;
        if (v >= 0 && u >= 0) {
            const std::int64_t a = primary.offset(p.n, p.h, p.w, 0), b = secondary.offset(p.n, v, u, 0);
            for (int c = 0; c < primary.c; ++c)
                sum += readAs<T>(primary.data, primary.type, a + c * primary.strideC) *
                       readAs<T>(secondary.data, secondary.type, b + c * secondary.strideC);
        }
        store(dst, p, sum);
    });
}

}  // namespace

void Cuda::run(const ops::LocalCorrelation& op, ops::Stream& stream) {
    withType(op.primary.type, op.secondary.type, [&]<class T>(T) { correlate<T>(streamOf(stream), op); });
}

}  // namespace pewter::PEWTER_CUDA_NAMESPACE
