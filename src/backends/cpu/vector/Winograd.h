#pragma once

#include <cstdint>

#include "backends/cpu/vector/Dispatch.h"

namespace pewter::cpu {

/// Points that a row of F(4x4, 5x5) is evaluated at, and values of a tile at all pairs of them.
constexpr std::int64_t kWinogradPoints = 8, kWinogradValues = kWinogradPoints * kWinogradPoints;
constexpr std::int64_t kWinogradTile = 4, kWinogradTaps = 5;
/// Channels come in multiples of this: a register of the widest instruction set.
constexpr std::int64_t kWinogradChannels = 16;

/// A convolution with 5 x 5 taps that moves by one pixel, from dense src (n, h, w, c) to dense dst (n, outH, outW, outC), in
/// tiles of 4 x 4 results. Tile t is that of image t / (tilesY * tilesX), row by row.
struct WinogradPlan {
    const float* src;
    float* dst;  ///< Weights gradient: read.
    std::int64_t h, w, c, outH, outW, outC, tilesY, tilesX, padTop, padLeft;
    const float* bias;  ///< outC values or null.
    bool accumulate;    ///< dst += instead of =.
    /// Tiles that are transformed, multiplied and transformed back together, so that they stay in the second-level cache.
    std::int64_t together;

    /// Floats between two values of a group of tiles: a line more than they need, or all values would meet in a few
    /// sets of the cache.
    static std::int64_t step(std::int64_t tiles, std::int64_t channels) { return tiles * channels + 16; }
};

/// Where taps lie: tap k, row r, column q at k * tap + r * row + q.
struct WinogradTaps {
    std::int64_t tap, row;
};

}  // namespace pewter::cpu

// winogradTaps: values [64][rows][columns] of the taps, for rows [from, to).
// winogradTiles: tiles [from, to) of the result, with room for `together` transformed tiles of source and result.
// winogradSums: adds to sums [64][outC][c] and sumsOfBias [outC] (or null) what tiles [from, to) give.
// winogradTapSums: taps = (or +=) the gradient from sums [64][rows][columns], for rows [from, to).
#define PEWTER_WINOGRAD_FUNCTIONS                                                                                       \
    void winogradTaps(const float* taps, WinogradTaps at, std::int64_t rows, std::int64_t columns, std::int64_t from,   \
                      std::int64_t to, float* values);                                                                  \
    void winogradTiles(const WinogradPlan& plan, const float* values, std::int64_t from, std::int64_t to, float* source, \
                       float* result);                                                                                  \
    void winogradSums(const WinogradPlan& plan, std::int64_t from, std::int64_t to, float* source, float* result,       \
                      float* sums, float* sumsOfBias);                                                                  \
    void winogradTapSums(const float* sums, WinogradTaps at, std::int64_t rows, std::int64_t columns, std::int64_t from, \
                         std::int64_t to, bool accumulate, float* taps);

PEWTER_VECTOR_FUNCTIONS(PEWTER_WINOGRAD_FUNCTIONS)
