#pragma once

#include <cstdint>

#include "backends/cpu/vector/Dispatch.h"
#include "ops/Convolution.h"

namespace pewter::cpu {

/// A convolution of every channel with taps of its own: dense images of c channels, taps as window.height x window.width rows
/// of c. Reads outside are zeros. bias: c values or null.
struct DepthwisePlan {
    const float *src, *taps, *bias;
    float* dst;
    std::int64_t h, w, c, outH, outW;
    ops::Window window;
    /// Whether dst is too large to stay in the caches.
    bool past = false;
};

}  // namespace pewter::cpu

// Rows [from, to) of all result images. depthwiseSums adds what these rows of the incoming gradient, dst, give to the
// gradient of the taps, 3 rows of 3 of c: windows of 3 x 3 that move by one pixel.
#define PEWTER_DEPTHWISE_FUNCTIONS                                                            \
    void depthwiseRows(const DepthwisePlan& plan, std::int64_t from, std::int64_t to);        \
    void depthwiseSums(const DepthwisePlan& plan, std::int64_t from, std::int64_t to, float* sums);

PEWTER_VECTOR_FUNCTIONS(PEWTER_DEPTHWISE_FUNCTIONS)
