#pragma once

#include <cstddef>
#include <cstdint>

#include "backends/cpu/vector/Dispatch.h"

namespace pewter::cpu {

/// Bytes of a line of the cache, what whole runs are made of and lie at.
constexpr std::int64_t kLineBytes = 64;

/// Runs of `bytes` back to back, at distances of their own in either memory: what neighbouring pixels have in a part of
/// their channels.
struct CopiedRuns {
    const std::byte* from;
    std::byte* to;
    std::int64_t fromStep, toStep, bytes, count;
};

}  // namespace pewter::cpu

// Copies past the caches: bytes, to and toStep are whole lines. streamEnd() of Register.h comes after the last one.
#define PEWTER_COPY_RUNS_FUNCTIONS void streamRuns(const CopiedRuns& runs);

PEWTER_VECTOR_FUNCTIONS(PEWTER_COPY_RUNS_FUNCTIONS)
