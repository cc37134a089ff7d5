#pragma once

#include <cstdint>

#include "backends/cpu/vector/Dispatch.h"

// Runs of whole pixels of c channels. Parameters of runs hold a value an element, sums and factors one a
// channel; `room` is for two runs, as in BatchNormalization.h, whose functions serve here too. shiftedSums:
// sum[k] and squares[k] of the differences to shift, in one pass. shiftedStatistics:  those as mean and
// squared deviations from it. productSums:        diffBeta[k] += sum diffDst, diffGamma[k] += sum diffDst *
// (src - center), in one pass. inverseDeviations:  out[k] = 1 / sqrt(squares[k] * share + epsilon).
// forwardFactors:     center = mean rounded, scale = gamma * deviation (the inverse one), shift = beta +
// (center - mean)
//                     * scale, so that (x - center) * scale + shift knows the mean to all digits. gamma, beta
//                     may be null.
// groupGradientRun:   diffSrc[i] = scale[i] * diffDst[i] - a[i] - (src[i] - center[i]) * deviation[i] * b[i].
#define PEWTER_GROUP_NORMALIZATION_FUNCTIONS                                                                 \
    void shiftedSums(const float* src, std::int64_t pixels, std::int64_t c, const float* shift, double* sum, \
                     double* squares, float* room);                                                          \
    void shiftedStatistics(const float* shift, double pixels, double* sum, double* squares, std::int64_t c); \
    void productSums(const float* src, const float* diffDst, std::int64_t pixels, std::int64_t c,            \
                     const float* center, double* diffBeta, double* diffGamma, float* room);                 \
    void inverseDeviations(const double* squares, double share, double epsilon, double* out,                 \
                           std::int64_t count);                                                              \
    void forwardFactors(const double* mean, const double* deviation, const float* gamma, const float* beta,  \
                        float* center, float* scale, float* shift, std::int64_t c);                          \
    void groupGradientRun(const float* src, const float* diffDst, const float* center, const float* scale,   \
                          const float* deviation, const float* a, const float* b, float* diffSrc,            \
                          std::int64_t count);

PEWTER_VECTOR_FUNCTIONS(PEWTER_GROUP_NORMALIZATION_FUNCTIONS)
