#pragma once

#include <cstdint>

#include "backends/cpu/vector/Dispatch.h"

// Runs of whole pixels of c channels. Parameters of runs hold a value an element, factors one a channel; sums
// over pixels are those of BatchNormalization.h.
//
// joinChannels:      mean and squared deviations of groups of `width` channels, into middle[k] and
//                    squares[k], from those of their channels.
// inverseDeviations: out[k] = 1 / sqrt(squares[k] * share + epsilon).
// forwardFactors:    center = mean rounded, scale = gamma * deviation (the inverse one), shift = beta +
//                    (center - mean) * scale, so that (x - center) * scale + shift knows the mean to all
//                    digits. gamma, beta may be null.
// groupGradientRun:  diffSrc[i] = scale[i] * diffDst[i] - a[i] - (src[i] - center[i]) * deviation[i] * b[i]. past: past
//                    the caches; streamEnd() of Register.h comes after the last one.
#define PEWTER_GROUP_NORMALIZATION_FUNCTIONS                                                                \
    void joinChannels(const double* mean, double* squares, double pixels, double* middle,                   \
                      std::int64_t width, std::int64_t groups);                                             \
    void inverseDeviations(const double* squares, double share, double epsilon, double* out,                \
                           std::int64_t count);                                                             \
    void forwardFactors(const double* mean, const double* deviation, const float* gamma, const float* beta, \
                        float* center, float* scale, float* shift, std::int64_t c);                         \
    void groupGradientRun(const float* src, const float* diffDst, const float* center, const float* scale,  \
                          const float* deviation, const float* a, const float* b, float* diffSrc,           \
                          std::int64_t count, bool past);

PEWTER_VECTOR_FUNCTIONS(PEWTER_GROUP_NORMALIZATION_FUNCTIONS)
