#pragma once

#include <cstdint>

#include "backends/cpu/vector/Dispatch.h"

// Extrema let a NaN win over everything; max chooses the greatest, else the least.
//
// extremeTo:           best[i] = the better of best[i] and src[i].
// extremePixels:       best[k] = the better of best[k] and src[p * c + k] over the pixels p.
// sumChannels:         dst[p] = the sum over k of src[p * c + k].
// weightedSumChannels: dst[p] = the sum over k of src[p * c + k] * weights[p * c + k]; with byNonZero divided
//                      by the number of weights that are not 0, and 0 where all are.
// extremeChannels:     dst[p] = the best of src[p * c + k] over k; dst is memory of its own.
// argumentChannels:    dst[p] = the lowest k of that.
#define PEWTER_REDUCTION_FUNCTIONS                                                                        \
    void extremeTo(const float* src, float* best, std::int64_t count, bool max);                          \
    void extremePixels(const float* src, std::int64_t pixels, std::int64_t c, float* best, bool max);     \
    void sumChannels(const float* src, std::int64_t pixels, std::int64_t c, double* dst);                 \
    void weightedSumChannels(const float* src, const float* weights, std::int64_t pixels, std::int64_t c, \
                             bool byNonZero, double* dst);                                                \
    void extremeChannels(const float* src, std::int64_t pixels, std::int64_t c, float* dst, bool max);    \
    void argumentChannels(const float* src, std::int64_t pixels, std::int64_t c, float* dst, bool max);

PEWTER_VECTOR_FUNCTIONS(PEWTER_REDUCTION_FUNCTIONS)
