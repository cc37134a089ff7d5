#pragma once

#include <cstdint>

#include "backends/cpu/vector/Dispatch.h"

namespace pewter::cpu {

/// Up to four places that are to be read or written soon; null: none. Rows are too short for the processor to
/// see those after them coming, and a window's arithmetic hides the wait.
struct Ahead {
    const float* at[4] = {};
};

}  // namespace pewter::cpu

// Sums over windows of pixels, one axis after the other. No sum is kept by adding what enters and subtracting
// what leaves: an infinity or a large number would spoil all that follows.
//
// weightedSums:    sums[i] = sum over r < taps of weights[r] * rows[r][i].
// weightedSquares: the same of the squares.
// weightedMoments: both, in double.
// pairedSums, pairedSquares: with weights of 1, over the first `taps` of taps + 1 rows and over the last:
// what two windows share is read and added once. Those with `ahead` ask for `count` elements of it meanwhile.
// slidingSums:     sums[i] = sum over t < taps of values[i + t * step], i < count. values holds count + (taps
// - 1) * step
//                  elements and is used up.
// slidingDoubles:  the same in double.
#define PEWTER_WINDOW_SUM_FUNCTIONS                                                                          \
    void weightedSums(const float* const* rows, const float* weights, std::int64_t taps, std::int64_t count, \
                      float* sums);                                                                          \
    void weightedSquares(const float* const* rows, const float* weights, std::int64_t taps,                  \
                         std::int64_t count, float* sums, const Ahead& ahead);                               \
    void weightedMoments(const float* const* rows, const float* weights, std::int64_t taps,                  \
                         std::int64_t count, double* sums, double* squares, const Ahead& ahead);             \
    void pairedSums(const float* const* rows, std::int64_t taps, std::int64_t count, float* first,           \
                    float* second);                                                                          \
    void pairedSquares(const float* const* rows, std::int64_t taps, std::int64_t count, float* first,        \
                       float* second, const Ahead& ahead);                                                   \
    void slidingSums(float* values, std::int64_t taps, std::int64_t step, std::int64_t count, float* sums);  \
    void slidingDoubles(double* values, std::int64_t taps, std::int64_t step, std::int64_t count,            \
                        double* sums);

PEWTER_VECTOR_FUNCTIONS(PEWTER_WINDOW_SUM_FUNCTIONS)
