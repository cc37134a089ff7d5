#pragma once

#include "backends/cpu/vector/Register.h"

// Results that are put together in the cache and leave it in whole lines.

namespace pewter::cpu::PEWTER_ISA {
namespace {

/// to[i] = from[i] for i < count; past the caches where they are too large for them: then streamEnd() comes before
/// another thread reads.
inline void copyOut(const float* from, std::int64_t count, bool streaming, float* to) {
    std::int64_t i = streaming ? unaligned(to, count) : 0;
    std::memcpy(to, from, static_cast<std::size_t>(i) * sizeof(float));
    for (; i + kLanes <= count; i += kLanes) {
        Vector value;
        loadFrom(from + i, value);
        if (streaming)
            streamTo(to + i, value);
        else
            storeTo(to + i, value);
    }
    std::memcpy(to + i, from + i, static_cast<std::size_t>(count - i) * sizeof(float));
}

}  // namespace
}  // namespace pewter::cpu::PEWTER_ISA
