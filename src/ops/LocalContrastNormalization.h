#pragma once

#include "ops/Convolution.h"
#include "ops/Tensor.h"

namespace pewter::ops {

/// dst = pm + ps (x - p0 M) T^-beta, channel by channel, with M the mean and V the mean squared deviation
/// from it over the window, T = delta + alpha V. Taps outside the source take part as window.edge says, and
/// the divisor is window.width * window.height always. Strides and dilations of the window are 1; x is its
/// tap (width/2, height/2).
struct LocalContrastNormalizationForward {
    Tensor src, dst;
    Window window;
    double alpha = 0, beta = 0.5, delta = 1.0 / 1024, p0 = 1, pm = 0, ps = 1;
};

/// diffSrc = the adjoint of the derivative at src applied to diffDst, edge mode included. Overwrites all of
/// diffSrc, 0 where no window reached.
struct LocalContrastNormalizationGradient {
    Tensor src, diffDst, diffSrc;
    Window window;
    double alpha = 0, beta = 0.5, delta = 1.0 / 1024, p0 = 1, pm = 0, ps = 1;
};

}  // namespace pewter::ops
