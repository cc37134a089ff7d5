#pragma once

#include <cstdint>

#include "backends/cpu/vector/Dispatch.h"

// Pixels of c channels, back to back. dst may be src, diffSrc either operand.
// softMaxPixels:  e^(x_k) / sum e^(x_j) or its logarithm, shifted by the greatest x.
// softMaxGradientPixels: s_k (g_k - sum g_j s_j), or for the logarithm g_k - e^(l_k) sum g_j; dst is the
// forward result.
#define PEWTER_SOFTMAX_FUNCTIONS                                                                             \
    void softMaxPixels(const float* src, float* dst, std::int64_t pixels, std::int64_t c, bool logarithmic); \
    void softMaxGradientPixels(const float* dst, const float* diffDst, float* diffSrc, std::int64_t pixels,  \
                               std::int64_t c, bool logarithmic);

PEWTER_VECTOR_FUNCTIONS(PEWTER_SOFTMAX_FUNCTIONS)
