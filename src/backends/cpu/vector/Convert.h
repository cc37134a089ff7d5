#pragma once

#include <cstdint>

#include "backends/cpu/vector/Dispatch.h"
#include "ops/Tensor.h"

// loadRun:  dst[i] = src[i * stride] as float32.
// storeRun: dst[i * stride] = src[i] in `type`, rounded to nearest, ties to even; unorm types and
//           integers saturate and take NaN for 0.
// Every type of the seam; stride 1 is the fast way.
#define PEWTER_CONVERT_FUNCTIONS                                                                        \
    void loadRun(const void* src, ops::Type type, std::int64_t stride, std::int64_t count, float* dst); \
    void storeRun(const float* src, void* dst, ops::Type type, std::int64_t stride, std::int64_t count);

PEWTER_VECTOR_FUNCTIONS(PEWTER_CONVERT_FUNCTIONS)
