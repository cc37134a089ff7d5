#pragma once

#include <cstdint>

#include "backends/cpu/vector/Dispatch.h"

namespace pewter::cpu {

/// Which numbers decide about an image's elements (ops/Random.h).
struct DropoutDraw {
    std::uint64_t seed, sequence;
    std::uint32_t image;
    float keepProbability;
};

}  // namespace pewter::cpu

// dropoutMask:  mask[i] = uniform(seed, sequence, image, 4 * block + i) < keepProbability.
// dropoutRun:   the same, and dst[i] = src[i] * mask[i] / keepProbability; `past` the caches or not. dst may
//               be src.
// dropoutApply: dst[i] = src[i] * mask[i] / keepProbability; dst may be src.
#define PEWTER_DROPOUT_FUNCTIONS                                                                            \
    void dropoutMask(const DropoutDraw& draw, std::uint32_t block, std::uint8_t* mask, std::int64_t count); \
    void dropoutRun(const DropoutDraw& draw, std::uint32_t block, std::uint8_t* mask, const float* src,     \
                    float* dst, std::int64_t count, bool past);                                             \
    void dropoutApply(const float* src, const float* mask, float keepProbability, float* dst,               \
                      std::int64_t count);

PEWTER_VECTOR_FUNCTIONS(PEWTER_DROPOUT_FUNCTIONS)
