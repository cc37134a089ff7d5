#pragma once

#include <cstdint>

#include "backends/cpu/vector/Math.h"

// Reductions of one run in a fixed order: kLanes partial results side by side, which vector code can keep in
// registers, then those one after the other.

namespace pewter::cpu::PEWTER_ISA {
namespace {

constexpr std::int64_t kLanes = 32;

/// Sum of fn(i) for i in [0, count). The lanes add up to 64 numbers each in float32, the rest in double.
template <class Fn>
PEWTER_INLINE double sumOf(std::int64_t count, Fn fn) {
    constexpr std::int64_t kBlock = 64 * kLanes;
    double total = 0;
    std::int64_t i = 0;
    while (count - i >= kLanes) {
        float lanes[kLanes] = {};
        const std::int64_t end = count - i < kBlock ? count - (count - i) % kLanes : i + kBlock;
        for (; i < end; i += kLanes)
            for (std::int64_t lane = 0; lane < kLanes; ++lane) lanes[lane] += fn(i + lane);
        for (std::int64_t lane = 0; lane < kLanes; ++lane) total += static_cast<double>(lanes[lane]);
    }
    for (; i < count; ++i) total += static_cast<double>(fn(i));
    return total;
}

/// The greatest of x[0 .. count-1], count > 0; NaN where it comes last or not at all.
PEWTER_INLINE float greatest(const float* x, std::int64_t count) {
    float best = x[0];
    std::int64_t i = 0;
    if (count >= 2 * kLanes) {
        float lanes[kLanes];
        for (std::int64_t lane = 0; lane < kLanes; ++lane) lanes[lane] = x[lane];
        for (i = kLanes; i + kLanes <= count; i += kLanes)
            for (std::int64_t lane = 0; lane < kLanes; ++lane)
                lanes[lane] = lanes[lane] < x[i + lane] ? x[i + lane] : lanes[lane];
        for (std::int64_t lane = 0; lane < kLanes; ++lane) best = best < lanes[lane] ? lanes[lane] : best;
    }
    for (; i < count; ++i) best = best < x[i] ? x[i] : best;
    return best;
}

}  // namespace
}  // namespace pewter::cpu::PEWTER_ISA
