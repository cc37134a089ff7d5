#pragma once

#include <cstdint>

#include "backends/cpu/vector/Dispatch.h"

namespace pewter::cpu {

/// Rows that are turned together: the numbers of a cache line.
constexpr std::int64_t kTurnedRows = 16;

/// Numbers of four bytes that lie side by side in rows here and in columns there: out[r * outStep + k] = in[k
/// * inStep + r] for r < rows <= kTurnedRows and k < columns.
struct TurnedStrip {
    const std::uint32_t* in;
    std::uint32_t* out;
    std::int64_t inStep, outStep, rows, columns;
    /// Whether results go past the caches: all of them are large, and rows of kTurnedRows columns are whole lines.
    bool past;
};

}  // namespace pewter::cpu

// Turns one strip and asks for the memory of one that comes soon. streamEnd() of Register.h comes after the last one.
#define PEWTER_TURNED_COPY_FUNCTIONS void turnStrip(const TurnedStrip& strip, const TurnedStrip& next);

PEWTER_VECTOR_FUNCTIONS(PEWTER_TURNED_COPY_FUNCTIONS)
