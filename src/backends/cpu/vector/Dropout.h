#pragma once

#include <cstdint>

#include "backends/cpu/vector/Dispatch.h"

// dropoutMask:  mask[i] = uniform(seed, sequence, image, 4 * block + i) < keepProbability (ops/Random.h).
// dropoutApply: dst[i] = src[i] * mask[i] / keepProbability; dst may be src.
// dropoutApplyBytes: the same with a mask as it is drawn.
#define PEWTER_DROPOUT_FUNCTIONS                                                                           \
    void dropoutMask(std::uint64_t seed, std::uint64_t sequence, std::uint32_t image, std::uint32_t block, \
                     float keepProbability, std::uint8_t* mask, std::int64_t count);                       \
    void dropoutApply(const float* src, const float* mask, float keepProbability, float* dst,              \
                      std::int64_t count);                                                                 \
    void dropoutApplyBytes(const float* src, const std::uint8_t* mask, float keepProbability, float* dst,  \
                           std::int64_t count);

PEWTER_VECTOR_FUNCTIONS(PEWTER_DROPOUT_FUNCTIONS)
