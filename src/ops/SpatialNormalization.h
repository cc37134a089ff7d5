#pragma once

#include "ops/Convolution.h"
#include "ops/Tensor.h"

namespace pewter::ops {

/// dst = x T^-beta, channel by channel, with T = delta + (alpha / N) * sum over the window of x^2 and N =
/// window.width * window.height always. Strides and dilations of the window are 1. x is its centre: the tap
/// (width/2, height/2), which like every tap may lie outside the source and then reads what window.edge says.
struct SpatialNormalizationForward {
    Tensor src, dst;
    Window window;
    double alpha = 1, beta = 5, delta = 1;
};

/// diffSrc = the adjoint of the derivative at src applied to diffDst, edge mode included. Overwrites all of
/// diffSrc, 0 where no window reached. Only the extents of diffDst say which windows there were.
struct SpatialNormalizationGradient {
    Tensor src, diffDst, diffSrc;
    Window window;
    double alpha = 1, beta = 5, delta = 1;
};

}  // namespace pewter::ops
