#pragma once

#include <cstdint>

#include "backends/cpu/vector/Dispatch.h"

// Runs of whole pixels; the sums over pixels and the normalising run are those of BatchNormalization.h.
// Parameters hold a value an element of the run. groupGradientRun: diffSrc[i] = scale[i] * diffDst[i] - a[i]
// - (src[i] - center[i]) * deviation[i] * b[i], where
//                   deviation is the inverse one.
#define PEWTER_GROUP_NORMALIZATION_FUNCTIONS                                                               \
    void groupGradientRun(const float* src, const float* diffDst, const float* center, const float* scale, \
                          const float* deviation, const float* a, const float* b, float* diffSrc,          \
                          std::int64_t count);

PEWTER_VECTOR_FUNCTIONS(PEWTER_GROUP_NORMALIZATION_FUNCTIONS)
