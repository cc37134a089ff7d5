#pragma once

#include <cstdint>

#include "backends/cpu/vector/Dispatch.h"
#include "ops/Loss.h"

namespace pewter::cpu {

/// A run of whole pixels of an ops::Loss as float32. weights, loss and gradient may be null.
struct LossRun {
    const float* src = nullptr;
    const float* labels = nullptr;
    const float* weights = nullptr;
    float* loss = nullptr;
    float* gradient = nullptr;
    std::int64_t pixels = 0, c = 0;
};

}  // namespace pewter::cpu

// lossRun:      the weighted losses and gradients of a run; room is memory for a run.
// countNonZero: elements that are not 0.
#define PEWTER_LOSS_FUNCTIONS                                           \
    void lossRun(const ops::Loss& op, const LossRun& run, float* room); \
    std::int64_t countNonZero(const float* values, std::int64_t count);

PEWTER_VECTOR_FUNCTIONS(PEWTER_LOSS_FUNCTIONS)
