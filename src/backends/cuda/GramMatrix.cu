#include "backends/cuda/Cuda.h"
#include "backends/cuda/TileProduct.cuh"

namespace pewter::PEWTER_CUDA_NAMESPACE {

namespace {

/// A square matrix of every image plus its transpose.
template <class T>
struct Symmetric {
    static constexpr bool kAlong = true;
    struct Row {
        std::int64_t offset, across;
    };
    using Column = std::int64_t;
    View matrix;

    PEWTER_DEVICE Row row(std::int64_t batch, std::int64_t i) const {
        return {batch * matrix.strideN + i * matrix.strideW, batch * matrix.strideN + i * matrix.strideC};
    }
    PEWTER_DEVICE Column column(std::int64_t k) const { return k; }
    PEWTER_DEVICE float load(const Row& r, const Column& k) const {
        return readAs<T>(matrix.data, matrix.type, r.offset + k * matrix.strideC) +
               readAs<T>(matrix.data, matrix.type, r.across + k * matrix.strideW);
    }
};

Axis pixelsOfImage(const View& t) { return {t.strideH, 1, t.w, 0, t.strideW}; }

}  // namespace

void Cuda::run(const ops::GramMatrixForward& op, ops::Stream& stream) {
    const View src = viewOf(op.src), dst = viewOf(op.dst);
    const ProductShape shape{src.n, src.c, src.c, std::int64_t{1} * src.h * src.w};
    ProductResult result{dst.data, dst.type, {dst.strideW, 1, 1, 0, 0}, channelsOf(dst), dst.strideN};
    result.alpha = static_cast<float>(op.alpha);
    withType(src.type, src.type, [&]<class T>(T) {
        const Matrix<T, false> features{src.data, src.type, channelsOf(src), pixelsOfImage(src), src.strideN};
        tileProduct(streamOf(stream), shape, features, features, result);
    });
}

void Cuda::run(const ops::GramMatrixGradient& op, ops::Stream& stream) {
    const View src = viewOf(op.src), diffDst = viewOf(op.diffDst), diffSrc = viewOf(op.diffSrc);
    const ProductShape shape{src.n, std::int64_t{1} * src.h * src.w, src.c, src.c};
    ProductResult result{diffSrc.data, diffSrc.type, pixelsOfImage(diffSrc), channelsOf(diffSrc), diffSrc.strideN};
    result.alpha = static_cast<float>(op.alpha);
    withType(src.type, diffDst.type, [&]<class T>(T) {
        const Matrix<T, true> features{src.data, src.type, pixelsOfImage(src), channelsOf(src), src.strideN};
        tileProduct(streamOf(stream), shape, features, Symmetric<T>{diffDst}, result);
    });
}

}  // namespace pewter::PEWTER_CUDA_NAMESPACE
