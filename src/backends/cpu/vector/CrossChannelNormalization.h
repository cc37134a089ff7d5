#pragma once

#include <cstdint>

#include "backends/cpu/vector/Dispatch.h"
#include "backends/cpu/vector/Power.h"

namespace pewter::cpu {

/// L = delta + scale * (sum over `size` channels), scale = alpha / size; factor = 2 alpha beta / size.
struct CrossChannelParameters {
    Power power;
    std::int64_t size;
    float scale, delta, factor;
};

}  // namespace pewter::cpu

// Pixels of c channels, back to back. room holds crossChannelRoom() floats. dst may be src, diff either
// operand. past: results go past the caches where they are aligned; streamEnd() of Register.h comes after the
// last one.
#define PEWTER_CROSS_CHANNEL_FUNCTIONS                                                                      \
    void crossChannelPixels(const CrossChannelParameters& p, const float* x, float* y, std::int64_t pixels, \
                            std::int64_t c, float* room, bool past);                                        \
    void crossChannelGradientPixels(const CrossChannelParameters& p, const float* x, const float* g,        \
                                    float* diff, std::int64_t pixels, std::int64_t c, float* room,          \
                                    bool past);

PEWTER_VECTOR_FUNCTIONS(PEWTER_CROSS_CHANNEL_FUNCTIONS)

namespace pewter::cpu {

/// Floats that the functions above want for a run of pixels.
inline std::int64_t crossChannelRoom(std::int64_t pixels, std::int64_t c, std::int64_t size) {
    return 4 * (pixels * (c + size - 1) + size - 1);
}

}  // namespace pewter::cpu
