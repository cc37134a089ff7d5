#pragma once

#include "ops/Tensor.h"

namespace pewter::ops {

/// dst_k = x_k L_k^-beta, pixel by pixel, with L_k = delta + (alpha / N) * sum of x_q^2 over the channels q
/// of the tensor from k - N/2 to k + (N-1)/2, N = kernelSize also where that reaches past the first or last
/// channel.
struct CrossChannelNormalizationForward {
    Tensor src, dst;
    std::int64_t kernelSize = 5;
    double alpha = 1, beta = 5, delta = 1;
};

/// diffSrc = the adjoint of the derivative at src applied to diffDst. diffSrc may be either operand.
struct CrossChannelNormalizationGradient {
    Tensor src, diffDst, diffSrc;
    std::int64_t kernelSize = 5;
    double alpha = 1, beta = 5, delta = 1;
};

}  // namespace pewter::ops
