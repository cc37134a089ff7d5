#pragma once

#include <cstdint>

#include "backends/cpu/vector/Dispatch.h"

// Runs of whole pixels of c channels. Arrays of parameters hold a value an element of the run, sums one a
// channel; `room` is for two runs.
//
// blockStatistics:      mean[k] and squares[k] (the squared deviations from it) of `pixels` pixels, in two
//                       passes; `start` is a value near the mean an element. Equal pixels give exactly that
//                       value and 0.
// shiftedStatistics:    the same in one pass: sums of the differences to shift and of their squares.
// mergeStatistics:      joins (mean, squares) of `pixels` pixels to those of `pixelsBefore`.
// normalizeRun:         dst[i] = (src[i] - mean[i]) * scale[i] + beta[i].
// normalizeSumRun:      the same plus addend[i].
// normalizeRunPast:     normalizeRun, past the caches; streamEnd() comes after the last one.
// gradientSums:         diffBeta[k] += sum dz, diffGamma[k] += sum dz * (src - center), in one pass.
// rectifiedRun:         dz[i] = diffDst[i], times slope where normalizeRun's result is negative; asks for the next run's
//                       memory. rectifiedSumRun: normalizeSumRun's.
// copyRunPast:          dst[i] = src[i], past the caches; streamEnd() comes after the last one.
// normalizeGradientRun: diffSrc[i] = scale[i] * (dz[i] - a[i] - (src[i] - mean[i]) * b[i]).
#define PEWTER_BATCH_NORMALIZATION_FUNCTIONS                                                            \
    void blockStatistics(const float* src, std::int64_t pixels, std::int64_t c, const float* start,     \
                         double* mean, double* squares, float* room);                                   \
    void shiftedStatistics(const float* src, std::int64_t pixels, std::int64_t c, const float* shift,   \
                           double* mean, double* squares, float* room);                                 \
    void mergeStatistics(const double* mean, const double* squares, double pixels, double* meanBefore,  \
                         double* squaresBefore, double pixelsBefore, std::int64_t c);                   \
    void normalizeRun(const float* src, const float* mean, const float* scale, const float* beta,       \
                      float* dst, std::int64_t count);                                                  \
    void normalizeSumRun(const float* src, const float* addend, const float* mean, const float* scale,  \
                         const float* beta, float* dst, std::int64_t count);                            \
    void normalizeRunPast(const float* src, const float* mean, const float* scale, const float* beta,   \
                          float* dst, std::int64_t count);                                              \
    void gradientSums(const float* src, const float* dz, std::int64_t pixels, std::int64_t c,           \
                      const float* center, double* diffBeta, double* diffGamma, float* room);           \
    void normalizeGradientRun(const float* src, const float* dz, const float* mean, const float* scale, \
                              const float* a, const float* b, float* diffSrc, std::int64_t count);  \
    void rectifiedRun(const float* src, const float* diffDst, const float* mean, const float* scale,    \
                      const float* beta, float slope, float* dz, std::int64_t count);                   \
    void rectifiedSumRun(const float* src, const float* addend, const float* diffDst, const float* mean, \
                         const float* scale, const float* beta, float slope, float* dz, std::int64_t count); \
    void copyRunPast(const float* src, float* dst, std::int64_t count);

PEWTER_VECTOR_FUNCTIONS(PEWTER_BATCH_NORMALIZATION_FUNCTIONS)
