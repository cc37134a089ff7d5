#include "backends/cpu/vector/TurnedCopy.h"

#include "backends/cpu/vector/Register.h"

// Squares as wide as a register: halves, quarters and so on of pairs of rows change places.

namespace pewter::cpu::PEWTER_ISA {
namespace {

/// Lanes of a pair of rows `kStep` apart: those of the first, then those of the second.
template <int kStep>
void pairLanes(Number& first, Number& second) {
    for (int lane = 0; lane < kLanes; ++lane) {
        const bool own = (lane & kStep) == 0;
        first[lane] = own ? lane : kLanes + lane - kStep;
        second[lane] = own ? lane + kStep : kLanes + lane;
    }
}

template <int kStep>
void exchange(Number (&rows)[kLanes]) {
    Number first = {}, second = {};
    pairLanes<kStep>(first, second);
#pragma GCC unroll 16
    for (int i = 0; i < kLanes; ++i) {
        if ((i & kStep) != 0) continue;
        const Number a = rows[i], b = rows[i + kStep];
        rows[i] = __builtin_shuffle(a, b, first);
        rows[i + kStep] = __builtin_shuffle(a, b, second);
    }
    if constexpr (2 * kStep < kLanes) exchange<2 * kStep>(rows);
}

void turnSquare(const std::uint32_t* in, std::int64_t inStep, std::uint32_t* out, std::int64_t outStep) {
    Number rows[kLanes];
#pragma GCC unroll 16
    for (int i = 0; i < kLanes; ++i) __builtin_memcpy(&rows[i], in + i * inStep, sizeof rows[i]);
    exchange<1>(rows);
#pragma GCC unroll 16
    for (int i = 0; i < kLanes; ++i) __builtin_memcpy(out + i * outStep, &rows[i], sizeof rows[i]);
}

}  // namespace

void turnStrip(const TurnedStrip& strip, const TurnedStrip& next) {
    const auto [in, out, inStep, outStep, rows, columns] = strip;
    const std::int64_t wide = rows == kTurnedRows ? columns / kTurnedRows * kTurnedRows : 0;
    for (std::int64_t k = 0; k < wide; k += kTurnedRows) {
        // Lines far apart, which processors do not foresee.
        for (std::int64_t i = 0; i < kTurnedRows; ++i) {
            __builtin_prefetch(next.in + (k + i) * inStep);
            __builtin_prefetch(next.out + i * outStep + k, 1);
        }
        for (std::int64_t r = 0; r < kTurnedRows; r += kLanes)
            for (std::int64_t q = k; q < k + kTurnedRows; q += kLanes)
                turnSquare(in + q * inStep + r, inStep, out + r * outStep + q, outStep);
    }
    for (std::int64_t r = 0; r < rows; ++r)
        for (std::int64_t k = wide; k < columns; ++k) out[r * outStep + k] = in[k * inStep + r];
}

}  // namespace pewter::cpu::PEWTER_ISA
