#pragma once

#include <cstdint>

#include "backends/cpu/vector/Dispatch.h"
#include "ops/Pooling.h"

namespace pewter::cpu {

/// A pooling over dense float32 images. Forward: reads src, writes dst. Gradient: reads src (not Average) and
/// dst, which is the incoming gradient, and writes diffSrc.
struct PoolingPlan {
    const float* src = nullptr;
    float* dst = nullptr;
    float* diffSrc = nullptr;
    std::int64_t h = 0, w = 0, c = 0, outH = 0, outW = 0;
    ops::Window window;
    std::int64_t zeroPadX = 0, zeroPadY = 0;
    /// Max, L2Norm: what tap r of output row y reads is the pixel at rows[y * window.height + r] plus
    /// columns[x * window.width + q], in elements from the image's start; where either is negative, a zero.
    const std::int64_t* rows = nullptr;
    const std::int64_t* columns = nullptr;
    /// No source pixel lies in two windows, and no window leaves the source: the gradient writes without
    /// adding.
    bool disjoint = false;
    /// Every source pixel lies in a window, so that a disjoint gradient needs no zeros first.
    bool covering = false;
    /// The gradient of such windows goes past the caches, in whole registers; max only.
    bool past = false;
};

}  // namespace pewter::cpu

/// Forward: the rows [from, to) of the destinations of all images, counted through. Gradient: the channels
/// [from, to) of one image.
#define PEWTER_POOLING_FUNCTIONS                                                                           \
    void maxForward(const PoolingPlan& plan, std::int64_t from, std::int64_t to);                          \
    void averageForward(const PoolingPlan& plan, std::int64_t from, std::int64_t to);                      \
    void normForward(const PoolingPlan& plan, std::int64_t from, std::int64_t to);                         \
    void maxGradient(const PoolingPlan& plan, std::int64_t image, std::int64_t from, std::int64_t to);     \
    void averageGradient(const PoolingPlan& plan, std::int64_t image, std::int64_t from, std::int64_t to); \
    void normGradient(const PoolingPlan& plan, std::int64_t image, std::int64_t from, std::int64_t to);

PEWTER_VECTOR_FUNCTIONS(PEWTER_POOLING_FUNCTIONS)
