#pragma once

#include "backends/cuda/Stream.h"
#include "ops/Tensor.h"

namespace pewter::PEWTER_CUDA_NAMESPACE {

/// to (+)= from, in to's type, for equal heights and widths, and any strides. Images and channels of `to` that `from` does
/// not have become 0 (or stay what they are, when it is added to); what only `from` has is left out.
void recast(CudaStream& stream, const ops::Tensor& from, const ops::Tensor& to, bool accumulate = false);

}  // namespace pewter::PEWTER_CUDA_NAMESPACE
