#include "backends/cuda/ConvolutionKernels.cuh"
#include "backends/cuda/Cuda.h"

namespace pewter::PEWTER_CUDA_NAMESPACE {

void Cuda::run(const ops::ConvolutionForward& op, ops::Stream& stream) { convolutionForward(streamOf(stream), op); }
void Cuda::run(const ops::ConvolutionDataGradient& op, ops::Stream& stream) {
    convolutionDataGradient(streamOf(stream), op);
}
void Cuda::run(const ops::ConvolutionWeightsGradient& op, ops::Stream& stream) {
    convolutionWeightsGradient(streamOf(stream), op);
}
void Cuda::run(const ops::FullyConnectedForward& op, ops::Stream& stream) { fullyConnectedForward(streamOf(stream), op); }
void Cuda::run(const ops::FullyConnectedDataGradient& op, ops::Stream& stream) {
    fullyConnectedDataGradient(streamOf(stream), op);
}
void Cuda::run(const ops::FullyConnectedWeightsGradient& op, ops::Stream& stream) {
    fullyConnectedWeightsGradient(streamOf(stream), op);
}

}  // namespace pewter::PEWTER_CUDA_NAMESPACE
