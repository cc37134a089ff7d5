#pragma once

#include "backends/cpu/vector/Math.h"
#include "backends/cpu/vector/Power.h"

namespace pewter::cpu::PEWTER_ISA {
namespace {

/// out[i] = base[i]^-exponent; out is not base.
PEWTER_INLINE void inversePower(const Power& power, const float* base, float* out, std::int64_t count) {
    if (power.whole < 0) {
        const float exponent = -power.exponent;
        PEWTER_VECTORIZE
        for (std::int64_t i = 0; i < count; ++i) out[i] = exponential(exponent * logarithm(base[i]));
        return;
    }
    switch (power.quarter) {
        case 0:
            PEWTER_VECTORIZE
            for (std::int64_t i = 0; i < count; ++i) out[i] = 1.0f;
            break;
        case 1:
            PEWTER_VECTORIZE
            for (std::int64_t i = 0; i < count; ++i) out[i] = __builtin_sqrtf(__builtin_sqrtf(base[i]));
            break;
        case 2:
            PEWTER_VECTORIZE
            for (std::int64_t i = 0; i < count; ++i) out[i] = __builtin_sqrtf(base[i]);
            break;
        default:
            PEWTER_VECTORIZE
            for (std::int64_t i = 0; i < count; ++i) {
                const float root = __builtin_sqrtf(base[i]);
                out[i] = root * __builtin_sqrtf(root);
            }
    }
    for (int k = 0; k < power.whole; ++k) {
        PEWTER_VECTORIZE
        for (std::int64_t i = 0; i < count; ++i) out[i] *= base[i];
    }
    if (!power.inverse) return;
    PEWTER_VECTORIZE
    for (std::int64_t i = 0; i < count; ++i) out[i] = 1.0f / out[i];
}

}  // namespace
}  // namespace pewter::cpu::PEWTER_ISA
