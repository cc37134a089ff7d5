#pragma once

#include "backends/cuda/Stream.h"
#include "ops/Convolution.h"

// Convolutions of images with one to four channels, the first layers of networks: they read the images as they are, bytes
// too, and sum products in float32. Nothing is padded or packed for them.
namespace pewter::PEWTER_CUDA_NAMESPACE {

/// Each is false when the problem does not fit its kernels and nothing has been done.
bool fewChannelsForward(CudaStream& stream, const ops::ConvolutionForward& op);
/// With the gradient of the bias, if there is one. diffWeights is not null.
bool fewChannelsWeightsGradient(CudaStream& stream, const ops::ConvolutionWeightsGradient& op);

/// Whether the kernels above take the problem.
bool areFewChannels(const ops::ConvolutionForward& op);
bool areFewChannels(const ops::ConvolutionWeightsGradient& op);

}  // namespace pewter::PEWTER_CUDA_NAMESPACE
