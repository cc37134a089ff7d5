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
    /// Few channels, for each register of output columns: where a window of `registers` registers of pixels
    /// starts, the place of every column's first pixel in it, and a register of weights a tap. 0 registers:
    /// many channels.
    std::int64_t registers = 0;
    const std::int64_t* windows = nullptr;
    const std::int32_t* places = nullptr;
    const float* blocks = nullptr;
    /// Whether dst is too large to stay in the caches.
    bool streaming = false;
};

/// The most channels that count as few, the rows that are made together, and the floats that a thread needs.
inline constexpr std::int64_t kPlanarChannels = 4, kScaledTogether = 8;
inline std::int64_t scaleMemory(const ScalePlan& plan) {
    constexpr std::int64_t kPadding = 128;
    return plan.c * ((kScaledTogether + 1) * (plan.w + kPadding) + 2 * (plan.outW + kPadding));
}

}  // namespace pewter::cpu

/// The rows [from, to) of all images of dst, counted through; memory has scaleMemory(plan) floats.
#define PEWTER_IMAGE_SCALE_FUNCTIONS \
    void scaleRows(const ScalePlan& plan, std::int64_t from, std::int64_t to, float* memory);

PEWTER_VECTOR_FUNCTIONS(PEWTER_IMAGE_SCALE_FUNCTIONS)
