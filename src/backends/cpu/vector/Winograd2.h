#pragma once

#include <cstdint>

#include "backends/cpu/vector/Dispatch.h"

namespace pewter::cpu {

/// Values of a tile of 4 x 4 source pixels, from which F(2x2, 3x3) gives 2 x 2 results.
constexpr std::int64_t kWinograd2Values = 16, kWinograd2Tile = 2, kWinograd2Taps = 3;
/// Results' channels that are computed together.
constexpr std::int64_t kWinograd2Block = 64;

/// A convolution with 3 x 3 taps that moves by one pixel, from dense src (n, h, w, c) to dense dst (n, outH, outW, outC), both in
/// bfloat16. Tile t is that of image t / (tilesY * tilesX), row by row.
struct Winograd2Plan {
    const std::uint16_t* src;
    std::uint16_t* dst;  ///< Weights gradient: read.
    std::int64_t h, w, c, outH, outW, outC, tilesY, tilesX, padTop, padLeft;
    const float* bias;  ///< outC values or null.
    bool accumulate;    ///< dst += instead of =.
    /// Tiles that are transformed and multiplied together.
    std::int64_t together;

    /// Pairs between two values of a group of tiles: a line more than they need, or all values would meet in a few sets of the
    /// cache.
    static std::int64_t step(std::int64_t pairs) { return pairs + 16; }
};

}  // namespace pewter::cpu

// Transformed taps lie in blocks of kWinograd2Block columns, each [16][rows / 2][columns of the block] pairs of rows.
//
// winograd2Taps:       of weights [outputs][3][3][inputs]: rows are inputs, columns outputs; 16 outputs each in [from, to).
// winograd2TurnedTaps: of the adjoint: rows are outputs, columns inputs; 2 outputs each in [from, to).
// winograd2Tiles:      tiles [from, to) of the result; room for winograd2Room(plan) floats.
// winograd2Pairs:      pairs of tiles [from, to) counted from tile `first`, of `last` tiles: source [16][together / 2][c] and
//                      result [16][together / 2][outC], `step` pairs apart.
// winograd2Sums:       sums [16][outC][c] = (or +=) what `pairs` pairs of tiles give, for values [from, to).
// winograd2TapSums:    weights = (or +=) the gradient from the sums, for outputs [from, to).
#define PEWTER_WINOGRAD2_FUNCTIONS                                                                                       \
    void winograd2Taps(const float* weights, std::int64_t inputs, std::int64_t outputs, std::int64_t from,                \
                       std::int64_t to, std::uint32_t* values);                                                           \
    void winograd2TurnedTaps(const float* weights, std::int64_t inputs, std::int64_t outputs, std::int64_t from,          \
                             std::int64_t to, std::uint32_t* values);                                                     \
    void winograd2Tiles(const Winograd2Plan& plan, const std::uint32_t* values, std::int64_t from, std::int64_t to,       \
                        float* room);                                                                                     \
    void winograd2Pairs(const Winograd2Plan& plan, std::int64_t first, std::int64_t last, std::int64_t from,              \
                        std::int64_t to, std::uint32_t* source, std::uint32_t* result);                                   \
    void winograd2Sums(const Winograd2Plan& plan, const std::uint32_t* source, const std::uint32_t* result,               \
                       std::int64_t pairs, bool accumulate, std::int64_t from, std::int64_t to, float* sums);             \
    void winograd2TapSums(const float* sums, std::int64_t inputs, std::int64_t outputs, bool accumulate,                  \
                          std::int64_t from, std::int64_t to, float* weights);

PEWTER_VECTOR_FUNCTIONS(PEWTER_WINOGRAD2_FUNCTIONS)

namespace pewter::cpu {

/// Floats that winograd2Tiles needs: transformed source, one block of transformed results, a pixel that is read outside of the
/// image and one that is written there.
inline std::int64_t winograd2Room(const Winograd2Plan& plan) {
    return kWinograd2Values * (Winograd2Plan::step(plan.together * plan.c / 2) +
                               Winograd2Plan::step(plan.together * kWinograd2Block)) +
           plan.c + plan.outC;
}

}  // namespace pewter::cpu
