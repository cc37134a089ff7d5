#pragma once

#include "backends/cuda/Stream.h"
#include "ops/Tensor.h"

namespace pewter::PEWTER_CUDA_NAMESPACE {

/// sums[c] = (or +=) the sum of t over images and pixels; a bias gradient.
void channelSums(CudaStream& stream, const ops::Tensor& t, const ops::Array& sums, bool accumulate);

}  // namespace pewter::PEWTER_CUDA_NAMESPACE
