#pragma once

#include <cstdint>

#include "backends/cpu/vector/Dispatch.h"
#include "ops/Arithmetic.h"

// arithmeticRun: dst[i] = clamped(primaryScale * x[i] (op) secondaryScale * y[i] + bias) with the settings of
// op;
//                mask[i] = 1 where the clamp left it alone, else 0; mask may be null. dst may be x or y.
// scaleRun:      dst[i] = scale * src[i]; dst may be src.
// multiplyRun:   dst[i] *= scale * src[i].
// maskRun:       dst[i] = scale * src[i] * mask[i]; dst may be src.
// addPixels:     sums[k] += src[p * c + k] over the pixels p.
// addTo:         sums[i] += src[i].
// sumRun:        the sum of a run.
#define PEWTER_ARITHMETIC_FUNCTIONS                                                                        \
    void arithmeticRun(const ops::Arithmetic& op, const float* x, const float* y, float* dst,              \
                       std::uint8_t* mask, std::int64_t count);                                            \
    void scaleRun(const float* src, float scale, float* dst, std::int64_t count);                          \
    void multiplyRun(const float* src, float scale, float* dst, std::int64_t count);                       \
    void addPixels(const float* src, std::int64_t pixels, std::int64_t c, double* sums);                   \
    void addTo(const float* src, double* sums, std::int64_t count);                                        \
    void maskRun(const float* src, float scale, const std::uint8_t* mask, float* dst, std::int64_t count); \
    double sumRun(const float* src, std::int64_t count);

PEWTER_VECTOR_FUNCTIONS(PEWTER_ARITHMETIC_FUNCTIONS)
