#pragma once

#include "ops/Tensor.h"

namespace pewter::ops {

/// Across the channels of each pixel: exp(x_k) / sum exp(x_j), or its logarithm; shifted by the maximum.
struct SoftMaxForward {
    Tensor src, dst;
    bool logarithm = false;
};

/// dst is the forward result. Softmax: s_k (g_k - sum g_j s_j). Logarithm: g_k - exp(l_k) sum g_j.
struct SoftMaxGradient {
    Tensor dst, diffDst, diffSrc;
    bool logarithm = false;
};

}  // namespace pewter::ops
