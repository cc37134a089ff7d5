#include "backends/cuda/ConvolutionKernels.cuh"

#include "backends/cuda/ChannelSums.cuh"
#include "backends/cuda/ConvolutionOperands.cuh"
#include "backends/cuda/GroupedKernels.cuh"

namespace pewter::PEWTER_CUDA_NAMESPACE {

namespace {

/// Below this many columns a tile is mostly empty.
constexpr std::int64_t kNarrow = 16;

bool isNarrow(std::int64_t groups, std::int64_t channelsOfGroup) { return groups > 1 && channelsOfGroup < kNarrow; }

}  // namespace

void convolutionForward(CudaStream& stream, const ops::ConvolutionForward& op) {
    const View src = viewOf(op.src), weights = viewOf(op.weights), dst = viewOf(op.dst);
    const int outputs = static_cast<int>(weights.n / op.groups);
    if (isNarrow(op.groups, outputs)) return groupedForward(stream, op);
    const ProductShape shape{op.groups, std::int64_t{1} * dst.n * dst.h * dst.w, outputs,
                             std::int64_t{1} * weights.h * weights.w * weights.c};
    ProductResult result{dst.data, dst.type, pixelsOf(dst), channelsOf(dst), outputs * dst.strideC};
    result.bias = runOf(op.bias);
    result.neuron = neuronOf(stream, op.neuron, op.dst.c);
    withType(src.type, weights.type, [&]<class T>(T) {
        const Patches<T, false> patches{src, op.window, dst.h, dst.w, weights.c};
        const Matrix<T, true> filters{weights.data, weights.type, imagesOf(weights), elementsOf(weights),
                                      outputs * weights.strideN};
        tileProduct(stream, shape, patches, filters, result);
    });
}

void convolutionDataGradient(CudaStream& stream, const ops::ConvolutionDataGradient& op) {
    const View diffDst = viewOf(op.diffDst), weights = viewOf(op.weights), diffSrc = viewOf(op.diffSrc);
    if (isNarrow(op.groups, weights.c)) return groupedDataGradient(stream, op);
    const int outputs = static_cast<int>(weights.n / op.groups);
    const ProductShape shape{op.groups, std::int64_t{1} * diffSrc.n * diffSrc.h * diffSrc.w, weights.c,
                             std::int64_t{1} * weights.h * weights.w * outputs};
    ProductResult result{diffSrc.data, diffSrc.type, pixelsOf(diffSrc), channelsOf(diffSrc), weights.c * diffSrc.strideC};
    result.accumulate = op.accumulate;
    result.bias = runOf(op.bias);
    result.neuron = neuronOf(stream, op.neuron, op.diffSrc.c);
    const Axis taps{weights.strideH, weights.w, outputs, weights.strideW, weights.strideN};
    withType(diffDst.type, weights.type, [&]<class T>(T) {
        const Gathered<T> gathered{diffDst, op.window, diffSrc.h, diffSrc.w, outputs};
        const Matrix<T, false> filters{weights.data, weights.type, channelsOf(weights), taps, outputs * weights.strideN};
        tileProduct(stream, shape, gathered, filters, result);
    });
}

void convolutionWeightsGradient(CudaStream& stream, const ops::ConvolutionWeightsGradient& op) {
    if (!op.diffBias.isNull()) channelSums(stream, op.diffDst, op.diffBias, op.accumulate);
    if (op.diffWeights.isNull()) return;
    const View src = viewOf(op.src), diffDst = viewOf(op.diffDst), diffWeights = viewOf(op.diffWeights);
    const int outputs = static_cast<int>(diffWeights.n / op.groups);
    if (isNarrow(op.groups, outputs)) return groupedWeightsGradient(stream, op);
    const ProductShape shape{op.groups, outputs, std::int64_t{1} * diffWeights.h * diffWeights.w * diffWeights.c,
                             std::int64_t{1} * diffDst.n * diffDst.h * diffDst.w};
    ProductResult result{diffWeights.data, diffWeights.type, imagesOf(diffWeights), elementsOf(diffWeights),
                         outputs * diffWeights.strideN};
    result.accumulate = op.accumulate;
    withType(src.type, diffDst.type, [&]<class T>(T) {
        const Matrix<T, false> errors{diffDst.data, diffDst.type, channelsOf(diffDst), pixelsOf(diffDst),
                                      outputs * diffDst.strideC};
        const Patches<T, true> patches{src, op.window, diffDst.h, diffDst.w, diffWeights.c};
        tileProduct(stream, shape, errors, patches, result);
    });
}

void fullyConnectedForward(CudaStream& stream, const ops::FullyConnectedForward& op) {
    const View src = viewOf(op.src), weights = viewOf(op.weights), dst = viewOf(op.dst);
    const ProductShape shape{1, src.n, weights.n, std::int64_t{1} * src.h * src.w * src.c};
    ProductResult result{dst.data, dst.type, imagesOf(dst), channelsOf(dst)};
    result.bias = runOf(op.bias);
    result.neuron = neuronOf(stream, op.neuron, op.dst.c);
    withType(src.type, weights.type, [&]<class T>(T) {
        const Matrix<T, true> rows{src.data, src.type, imagesOf(src), elementsOf(src), 0};
        const Matrix<T, true> filters{weights.data, weights.type, imagesOf(weights), elementsOf(weights), 0};
        tileProduct(stream, shape, rows, filters, result);
    });
}

void fullyConnectedDataGradient(CudaStream& stream, const ops::FullyConnectedDataGradient& op) {
    const View diffDst = viewOf(op.diffDst), weights = viewOf(op.weights), diffSrc = viewOf(op.diffSrc);
    const ProductShape shape{1, diffSrc.n, std::int64_t{1} * diffSrc.h * diffSrc.w * diffSrc.c, weights.n};
    const ProductResult result{diffSrc.data, diffSrc.type, imagesOf(diffSrc), elementsOf(diffSrc)};
    withType(diffDst.type, weights.type, [&]<class T>(T) {
        const Matrix<T, true> errors{diffDst.data, diffDst.type, imagesOf(diffDst), channelsOf(diffDst), 0};
        const Matrix<T, false> filters{weights.data, weights.type, elementsOf(weights), imagesOf(weights), 0};
        tileProduct(stream, shape, errors, filters, result);
    });
}

void fullyConnectedWeightsGradient(CudaStream& stream, const ops::FullyConnectedWeightsGradient& op) {
    if (!op.diffBias.isNull()) channelSums(stream, op.diffDst, op.diffBias, op.accumulate);
    if (op.diffWeights.isNull()) return;
    const View src = viewOf(op.src), diffDst = viewOf(op.diffDst), diffWeights = viewOf(op.diffWeights);
    const ProductShape shape{1, diffWeights.n, std::int64_t{1} * src.h * src.w * src.c, src.n};
    ProductResult result{diffWeights.data, diffWeights.type, imagesOf(diffWeights), elementsOf(diffWeights)};
    result.accumulate = op.accumulate;
    withType(src.type, diffDst.type, [&]<class T>(T) {
        const Matrix<T, false> errors{diffDst.data, diffDst.type, channelsOf(diffDst), imagesOf(diffDst), 0};
        const Matrix<T, false> rows{src.data, src.type, elementsOf(src), imagesOf(src), 0};
        tileProduct(stream, shape, errors, rows, result);
    });
}

}  // namespace pewter::PEWTER_CUDA_NAMESPACE
