#pragma once

#include <cstdint>

#include "backends/cpu/vector/Dispatch.h"

namespace pewter::cpu {

/// A sampling of dense float32 images; grid holds x and y for every pixel of dst.
struct GridSamplePlan {
    const float* src = nullptr;
    const float* grid = nullptr;
    float* dst = nullptr;
    std::int64_t h = 0, w = 0, c = 0, outH = 0, outW = 0;
    double offsetX = 0, offsetY = 0;
    bool relative = false, clamp = false;
    /// Whether dst is too large to stay in the caches.
    bool streaming = false;
};

}  // namespace pewter::cpu

/// The rows [from, to) of the destinations of all images, counted through.
#define PEWTER_GRID_SAMPLE_FUNCTIONS \
    void gridSampleRows(const GridSamplePlan& plan, std::int64_t from, std::int64_t to);

PEWTER_VECTOR_FUNCTIONS(PEWTER_GRID_SAMPLE_FUNCTIONS)
