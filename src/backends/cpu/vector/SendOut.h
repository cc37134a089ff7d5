#pragma once

#include <cstdint>

#include "backends/cpu/vector/Dispatch.h"

// sendOut: a copy that goes past the caches, for results that they do not hold.
#define PEWTER_SEND_OUT_FUNCTIONS void sendOut(const float* from, std::int64_t count, float* to);

PEWTER_VECTOR_FUNCTIONS(PEWTER_SEND_OUT_FUNCTIONS)
