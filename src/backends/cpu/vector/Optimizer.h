#pragma once

#include <cstdint>

#include "backends/cpu/vector/Dispatch.h"
#include "ops/Optimizer.h"

namespace pewter::cpu {

/// A run of an ops::OptimizerStep as float32; result may be values. Absent moments are null.
struct OptimizerRun {
    const float* gradient = nullptr;
    const float* values = nullptr;
    float* result = nullptr;
    float* first = nullptr;
    float* second = nullptr;
    float* third = nullptr;
    std::int64_t count = 0;
};

}  // namespace pewter::cpu

#define PEWTER_OPTIMIZER_FUNCTIONS void optimizerStep(const ops::OptimizerStep& op, const OptimizerRun& run);

PEWTER_VECTOR_FUNCTIONS(PEWTER_OPTIMIZER_FUNCTIONS)
