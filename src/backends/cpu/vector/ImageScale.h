#pragma once

#include <cstdint>

#include "backends/cpu/vector/Upsampling.h"

namespace pewter::cpu {

/// A resampling of dense float32 images by filters of several taps: rows are summed into a line, which is
/// then resampled along x. There every output has `taps` neighbouring pixels, some of weight 0.
struct ScalePlan {
    const float* src = nullptr;
    float* dst = nullptr;
    std::int64_t h = 0, w = 0, c = 0, outH = 0, outW = 0, taps = 0;
    /// What each output row reads.
    ResampleReaders rows;
    /// For each output column the first pixel, and `taps` weights.
    const std::int64_t* first = nullptr;
    const float* weights = nullptr;
    /// Whether first pixels of columns do not grow along x (mirrored): whole lines are made first.
    bool wholeWindow = false;
    /// Whether dst is too large to stay in the caches.
    bool streaming = false;
};

/// The most rows of the result that are made together, and the floats that a thread needs.
inline constexpr std::int64_t kScaledTogether = 8;
inline std::int64_t scaleMemory(const ScalePlan& plan) {
    constexpr std::int64_t kPadding = 16;
    return kScaledTogether * (plan.c * (plan.w + plan.outW) + 2 * kPadding);
}

}  // namespace pewter::cpu

/// The rows [from, to) of all images of dst, counted through; memory has scaleMemory(plan) floats.
#define PEWTER_IMAGE_SCALE_FUNCTIONS \
    void scaleRows(const ScalePlan& plan, std::int64_t from, std::int64_t to, float* memory);

PEWTER_VECTOR_FUNCTIONS(PEWTER_IMAGE_SCALE_FUNCTIONS)
