#pragma once

#include "backends/cuda/Stream.h"
#include "ops/Convolution.h"

// Convolutions whose groups are too narrow for a product of matrices, depthwise ones above all: a thread makes its result
// by itself.
namespace pewter::PEWTER_CUDA_NAMESPACE {

void groupedForward(CudaStream& stream, const ops::ConvolutionForward& op);
void groupedDataGradient(CudaStream& stream, const ops::ConvolutionDataGradient& op);
/// Without the bias gradient.
void groupedWeightsGradient(CudaStream& stream, const ops::ConvolutionWeightsGradient& op);

/// The same for dense depthwise images; false when they do not fit it and nothing has been done.
bool depthwiseForward(CudaStream& stream, const ops::ConvolutionForward& op);
bool depthwiseDataGradient(CudaStream& stream, const ops::ConvolutionDataGradient& op);

}  // namespace pewter::PEWTER_CUDA_NAMESPACE
