#pragma once

#include "backends/cuda/Stream.h"
#include "ops/Convolution.h"

namespace pewter::PEWTER_CUDA_NAMESPACE {

class Libraries;

// The operations that cuDNN and cuBLASLt may have a kernel for. False: they have none, and nothing was done. The emulated
// device has no libraries.
bool runByLibrary(Libraries* libraries, CudaStream& stream, const ops::ConvolutionForward& op);
bool runByLibrary(Libraries* libraries, CudaStream& stream, const ops::ConvolutionDataGradient& op);
/// Without diffBias, which is not theirs to write.
bool runByLibrary(Libraries* libraries, CudaStream& stream, const ops::ConvolutionWeightsGradient& op);
bool runByLibrary(Libraries* libraries, CudaStream& stream, const ops::FullyConnectedForward& op);
bool runByLibrary(Libraries* libraries, CudaStream& stream, const ops::FullyConnectedDataGradient& op);
/// Likewise.
bool runByLibrary(Libraries* libraries, CudaStream& stream, const ops::FullyConnectedWeightsGradient& op);

/// Whether the own kernels for few channels, which take the problem, are faster than the libraries': measured at its first use.
bool areFewChannelsFaster(Libraries* libraries, CudaStream& stream, const ops::ConvolutionForward& op);
bool areFewChannelsFaster(Libraries* libraries, CudaStream& stream, const ops::ConvolutionWeightsGradient& op);

}  // namespace pewter::PEWTER_CUDA_NAMESPACE
