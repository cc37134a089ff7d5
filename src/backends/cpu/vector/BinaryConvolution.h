#pragma once

#include <cstdint>

#include "backends/cpu/vector/Dispatch.h"

namespace pewter::cpu {

/// Filters that are counted side by side.
constexpr std::int64_t kFilterLanes = 8;

/// Counts of a convolution over bits. Source and weights are packed into 64-bit words, unused bits 0; every
/// window lies inside the source. A window is `runs` runs of `length` words each.
struct BinaryPlan {
    const std::uint64_t* src = nullptr;  ///< [n][h][w][words]
    /// [ceil(outputs / kFilterLanes)][runs][length][kFilterLanes]
    const std::uint64_t* weights = nullptr;
    float* dst = nullptr;                   ///< [n][outH][outW][outputs]
    const std::int64_t* offsets = nullptr;  ///< of the runs from a window's first word
    std::int64_t runs = 0, length = 0;
    std::int64_t imageWords = 0, rowWords = 0;  ///< of the source
    std::int64_t stepX = 0, stepY = 0;          ///< words between the windows of neighbouring outputs
    std::int64_t outH = 0, outW = 0, outputs = 0;
    std::int64_t products = 0;  ///< of one output: taps times channels
};

}  // namespace pewter::cpu

// affinePixels: dst = (src + bias) * scale, channel by channel; bias and scale may be null. dst may be src.
// finishPixels: x = x * scale * beta + bias; scale and bias go by channel and may be null, beta by pixel, or
// null for 1. signsOf:      x = x < 0 ? -1 : 1. stepsOf:      x = x < 0 ? 0 : 1. packPixels:   bit c of a
// pixel's words = !(src < 0); words = ceil(c / 64) for each pixel. magnitudes:   dst[p] = sum of |src| over
// the channels of pixel p. xnorRows:     dst = products - 2 popcount(src ^ weights) for the rows [from, to)
// of all images, counted through. andRows:      dst = popcount(src & weights).
#define PEWTER_BINARY_FUNCTIONS                                                                 \
    void affinePixels(const float* src, const float* bias, const float* scale, float* dst,      \
                      std::int64_t pixels, std::int64_t c);                                     \
    void finishPixels(float* x, const float* scale, const float* bias, const float* beta,       \
                      std::int64_t pixels, std::int64_t c);                                     \
    void signsOf(float* x, std::int64_t count);                                                 \
    void stepsOf(float* x, std::int64_t count);                                                 \
    void packPixels(const float* src, std::uint64_t* dst, std::int64_t pixels, std::int64_t c); \
    void magnitudes(const float* src, float* dst, std::int64_t pixels, std::int64_t c);         \
    void xnorRows(const BinaryPlan& plan, std::int64_t from, std::int64_t to);                  \
    void andRows(const BinaryPlan& plan, std::int64_t from, std::int64_t to);

PEWTER_VECTOR_FUNCTIONS(PEWTER_BINARY_FUNCTIONS)
