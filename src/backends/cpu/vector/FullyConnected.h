#pragma once

#include <cstdint>

#include "backends/cpu/vector/Dispatch.h"

namespace pewter::cpu {

/// Products of a batch of n rows and the weights of a fully connected layer, [outputs][inner], which are read (or
/// written) once while what belongs to the batch stays in the caches. All dense.
struct FullyConnectedPlan {
    std::int64_t n, inner, outputs;
};

/// Rows of the batch next to each other in a turned source.
constexpr std::int64_t kTurnedBatch = 8;
/// Outputs whose gradients are laid side by side.
constexpr std::int64_t kOutputBlock = 256;

}  // namespace pewter::cpu

// fullyForward: result[o][step] for outputs [from, to), from turned [inner][step], the source with zeros up to step, a
// multiple of kTurnedBatch.
// fullyDataGradient: columns [from, to) of diffSrc [n][inner]; room: n * kOutputBlock floats.
// fullyWeightsGradient: rows [from, to) of diffWeights [outputs][inner], = or +=; room as before.
#define PEWTER_FULLY_CONNECTED_FUNCTIONS                                                                              \
    void fullyForward(const FullyConnectedPlan& plan, const float* weights, const float* turned, std::int64_t step,   \
                      std::int64_t from, std::int64_t to, float* result);                                             \
    void fullyDataGradient(const FullyConnectedPlan& plan, const float* weights, const float* diffDst,                \
                           std::int64_t from, std::int64_t to, float* room, float* diffSrc);                          \
    void fullyWeightsGradient(const FullyConnectedPlan& plan, const float* src, const float* diffDst,                 \
                              std::int64_t from, std::int64_t to, bool accumulate, float* room, float* diffWeights);

PEWTER_VECTOR_FUNCTIONS(PEWTER_FULLY_CONNECTED_FUNCTIONS)
