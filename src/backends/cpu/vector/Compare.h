#pragma once

#include <cstdint>

#include "backends/cpu/vector/Dispatch.h"
#include "ops/Compare.h"

// compareRun: dst[i] = 1 where the comparison of x[i] with y[i] holds, else 0; dst may be x or y.
#define PEWTER_COMPARE_FUNCTIONS \
    void compareRun(const ops::Compare& op, const float* x, const float* y, float* dst, std::int64_t count);

PEWTER_VECTOR_FUNCTIONS(PEWTER_COMPARE_FUNCTIONS)
