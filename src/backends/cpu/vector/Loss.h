#pragma once

#include <cstdint>

#include "backends/cpu/vector/Dispatch.h"
#include "ops/Loss.h"

namespace pewter::cpu {

/// A run of whole pixels as float32. Each result is weight * weights[i] (null: 1) * what it is named after;
/// null results are not computed. A result may lie over an operand.
struct LossRun {
    const float* src = nullptr;
    const float* labels = nullptr;
    const float* weights = nullptr;
    float weight = 1;
    float* loss = nullptr;
    /// What the losses are added to, in place of loss or beside it.
    double* sum = nullptr;
    float* gradient = nullptr;
    float* labelGradient = nullptr;
    std::int64_t pixels = 0, c = 0;
};

}  // namespace pewter::cpu

// lossRun:      losses, their derivatives by predictions and by labels; room is memory for a run. The weight
// of the
//               function is not used: run.weight holds all factors.
// countNonZero: elements that are not 0.
#define PEWTER_LOSS_FUNCTIONS                                                         \
    void lossRun(const ops::LossFunction& function, const LossRun& run, float* room); \
    std::int64_t countNonZero(const float* values, std::int64_t count);

PEWTER_VECTOR_FUNCTIONS(PEWTER_LOSS_FUNCTIONS)
