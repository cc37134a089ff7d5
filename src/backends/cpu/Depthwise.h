#pragma once

#include "backends/cpu/Staging.h"
#include "ops/Convolution.h"

namespace pewter::cpu {

/// Whether the two functions below are the ones that serve.
bool runsDepthwise(const ops::Tensor& src, const ops::Tensor& weights, const ops::Tensor& dst,
                   const ops::Window& window, std::int64_t groups, bool turned);
bool sumsDepthwise(const ops::Tensor& src, const ops::Tensor& diffDst, const ops::Window& window, std::int64_t groups);

/// dst = bias + the cross-correlation of each channel of src with its own taps (weights: c filters of one channel), or with
/// `turned` the adjoint of such a convolution from src, its incoming gradient, to dst. False where that is not what the
/// operands are, or another path serves: nothing is done then.
bool runDepthwise(const ops::Tensor& src, const ops::Tensor& weights, const ops::Tensor& dst, const float* bias,
                  const ops::Window& window, std::int64_t groups, bool turned, Scratch::Frame& frame);

/// The gradient of the taps of such a convolution, `sums`: [c][3][3]; windows of 3 x 3 that move by one pixel. False as
/// above.
bool sumDepthwise(const ops::Tensor& src, const ops::Tensor& diffDst, float* sums, const ops::Window& window,
                  std::int64_t groups, bool accumulate, Scratch::Frame& frame);

}  // namespace pewter::cpu
