#pragma once

#include "backends/cpu/vector/FullyConnected.h"

namespace pewter::cpu {

/// Columns of the weights that a data gradient takes together: half of a second-level cache of 1 MB for 1024 outputs.
constexpr std::int64_t kPairedColumns = 128;

}  // namespace pewter::cpu

// Products of a small batch in bfloat16 with weights in float32, which are rounded on their way into the first-level cache.
// inner and outputs are multiples of 16. Pairs hold two neighbours of the axis that is summed, the first in the low half.
//
// pairedForward:         outputs [from, to) of result [outputs][step]; batch: pairs [inner / 2][step]; room: 6 * inner words.
// pairedDataGradient:    columns [from, to) of diffSrc [n][inner]; diffDst [n][outputs]; panel: outputs / 2 * kPairedColumns
//                        pairs; room: n * kPairedColumns floats.
// pairRowsOf:            pairs [(n + 1) / 2][length] of rows [n][length], for pairs [from, to).
// pairedWeightsGradient: outputs [from, to) of weights [outputs][inner], = or +=; diffDst and src in pairs of images.
#define PEWTER_FULLY_CONNECTED_BFLOAT16_FUNCTIONS                                                                         \
    void pairedForward(const FullyConnectedPlan& plan, const float* weights, const std::uint32_t* batch,                  \
                       std::int64_t step, std::int64_t from, std::int64_t to, std::uint16_t* room, float* result);        \
    void pairedDataGradient(const FullyConnectedPlan& plan, const float* weights, const std::uint32_t* diffDst,           \
                            std::int64_t from, std::int64_t to, std::uint32_t* panel, float* room,                        \
                            std::uint16_t* diffSrc);                                                                      \
    void pairRowsOf(const std::uint16_t* rows, std::int64_t n, std::int64_t length, std::int64_t from, std::int64_t to,   \
                    std::uint32_t* pairs);                                                                                \
    void pairedWeightsGradient(const FullyConnectedPlan& plan, const std::uint32_t* src, const std::uint32_t* diffDst,    \
                               std::int64_t from, std::int64_t to, bool accumulate, float* weights);

PEWTER_VECTOR_FUNCTIONS(PEWTER_FULLY_CONNECTED_BFLOAT16_FUNCTIONS)
