#pragma once

#include "backends/cpu/vector/Math.h"
#include "backends/cpu/vector/Register.h"

// Squares as wide as a register: halves, quarters and so on of pairs of rows change places.

namespace pewter::cpu::PEWTER_ISA {
namespace {

template <class N>
constexpr int kSide = static_cast<int>(sizeof(N) / sizeof(std::int32_t));

/// Lanes of a pair of rows `kStep` apart: those of the first, then those of the second.
template <int kStep, class N>
void pairLanes(N& first, N& second) {
    for (int lane = 0; lane < kSide<N>; ++lane) {
        const bool own = (lane & kStep) == 0;
        first[lane] = own ? lane : kSide<N> + lane - kStep;
        second[lane] = own ? lane + kStep : kSide<N> + lane;
    }
}

template <int kStep, class N>
[[gnu::always_inline]] inline void exchange(N (&rows)[kSide<N>]) {
    N first = {}, second = {};
    pairLanes<kStep>(first, second);
#pragma GCC unroll 16
    for (int i = 0; i < kSide<N>; ++i) {
        if ((i & kStep) != 0) continue;
        const N a = rows[i], b = rows[i + kStep];
        rows[i] = __builtin_shuffle(a, b, first);
        rows[i + kStep] = __builtin_shuffle(a, b, second);
    }
    if constexpr (2 * kStep < kSide<N>) exchange<2 * kStep>(rows);
}

/// out[i][k] = in[k][i]: rows of a register N of numbers of four bytes, inStep and outStep of them apart; store(out[i], row i).
template <class N, class T, class Store>
[[gnu::always_inline]] inline void turnSquare(const T* in, std::int64_t inStep, T* out, std::int64_t outStep,
                                              Store store) {
    N rows[kSide<N>];
#pragma GCC unroll 16
    for (int i = 0; i < kSide<N>; ++i) __builtin_memcpy(&rows[i], in + i * inStep, sizeof rows[i]);
    exchange<1>(rows);
#pragma GCC unroll 16
    for (int i = 0; i < kSide<N>; ++i) store(out + i * outStep, rows[i]);
}

template <class N, class T>
[[gnu::always_inline]] inline void turnSquare(const T* in, std::int64_t inStep, T* out, std::int64_t outStep) {
    turnSquare<N>(in, inStep, out, outStep,
                  [](T* to, const N& row) PEWTER_LAMBDA { __builtin_memcpy(to, &row, sizeof row); });
}

}  // namespace
}  // namespace pewter::cpu::PEWTER_ISA
