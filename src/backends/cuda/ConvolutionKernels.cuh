#pragma once

#include "backends/cuda/Stream.h"
#include "ops/Convolution.h"

// Own kernels for whatever the libraries do not serve: any strides, types, windows, edges and groups.
namespace pewter::PEWTER_CUDA_NAMESPACE {

void convolutionForward(CudaStream& stream, const ops::ConvolutionForward& op);
void convolutionDataGradient(CudaStream& stream, const ops::ConvolutionDataGradient& op);
void convolutionWeightsGradient(CudaStream& stream, const ops::ConvolutionWeightsGradient& op);
void fullyConnectedForward(CudaStream& stream, const ops::FullyConnectedForward& op);
void fullyConnectedDataGradient(CudaStream& stream, const ops::FullyConnectedDataGradient& op);
void fullyConnectedWeightsGradient(CudaStream& stream, const ops::FullyConnectedWeightsGradient& op);

}  // namespace pewter::PEWTER_CUDA_NAMESPACE
