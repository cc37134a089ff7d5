// Where convolutions and fully connected layers are computed: by the libraries where they have a kernel, else by our own.
#include "backends/cuda/ChannelSums.cuh"
#include "backends/cuda/ConvolutionKernels.cuh"
#include "backends/cuda/Cuda.h"
#include "backends/cuda/FewChannels.cuh"
#include "backends/cuda/LibraryPaths.h"

namespace pewter::PEWTER_CUDA_NAMESPACE {

namespace {

/// First layers of networks, whose channels libraries must pad.
template <class Op, class Own>
bool ofFewChannels(Libraries* libraries, CudaStream& stream, const Op& op, Own own) {
    return areFewChannels(op) && areFewChannelsFaster(libraries, stream, op) && own(stream, op);
}

/// Library first, then the sums for the bias, which no library gives.
template <class Op, class Own>
void weightsGradient(Libraries* libraries, CudaStream& stream, const Op& op, Own own) {
    if (!op.diffWeights.isNull() && runByLibrary(libraries, stream, op)) {
        if (!op.diffBias.isNull()) channelSums(stream, op.diffDst, op.diffBias, op.accumulate);
        return;
    }
    own(stream, op);
}

}  // namespace

void Cuda::run(const ops::ConvolutionForward& op, ops::Stream& stream) {
    auto& queue = streamOf(stream);
    if (ofFewChannels(libraries_.get(), queue, op, fewChannelsForward)) return;
    if (!runByLibrary(libraries_.get(), queue, op)) convolutionForward(queue, op);
}
void Cuda::run(const ops::ConvolutionDataGradient& op, ops::Stream& stream) {
    if (!runByLibrary(libraries_.get(), streamOf(stream), op)) convolutionDataGradient(streamOf(stream), op);
}
void Cuda::run(const ops::ConvolutionWeightsGradient& op, ops::Stream& stream) {
    auto& queue = streamOf(stream);
    if (ofFewChannels(libraries_.get(), queue, op, fewChannelsWeightsGradient)) return;
    weightsGradient(libraries_.get(), queue, op, convolutionWeightsGradient);
}
void Cuda::run(const ops::FullyConnectedForward& op, ops::Stream& stream) {
    if (!runByLibrary(libraries_.get(), streamOf(stream), op)) fullyConnectedForward(streamOf(stream), op);
}
void Cuda::run(const ops::FullyConnectedDataGradient& op, ops::Stream& stream) {
    if (!runByLibrary(libraries_.get(), streamOf(stream), op)) fullyConnectedDataGradient(streamOf(stream), op);
}
void Cuda::run(const ops::FullyConnectedWeightsGradient& op, ops::Stream& stream) {
    weightsGradient(libraries_.get(), streamOf(stream), op, fullyConnectedWeightsGradient);
}

}  // namespace pewter::PEWTER_CUDA_NAMESPACE
