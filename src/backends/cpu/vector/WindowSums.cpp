#include "backends/cpu/vector/WindowSums.h"

#include "backends/cpu/vector/Lanes.h"
#include "backends/cpu/vector/Sliding.h"

namespace pewter::cpu::PEWTER_ISA {
namespace {

/// What a row adds to a sum. Weights are all 1 but at clamped edges, where a row counts more than once.
template <bool Squares, bool Weighted>
struct Term {
    template <class V>
    PEWTER_INLINE V operator()(V sum, V x, float weight) const {
        const V weighted = Weighted ? x * weight : x;
        return Squares ? sum + weighted * x : sum + weighted;
    }
};

bool areOnes(const float* weights, std::int64_t count) {
    for (std::int64_t i = 0; i < count; ++i)
        if (weights[i] != 1.0f) return false;
    return true;
}

PEWTER_INLINE void ask(const Ahead& ahead, std::int64_t i, std::int64_t count) {
    constexpr std::int64_t kLine = 16;
    for (const float* place : ahead.at)
        for (std::int64_t k = i; place && k < i + count; k += kLine) __builtin_prefetch(place + k, 0, 2);
}

/// Four vectors of columns at a time: their sums stay in registers while all rows pass.
template <class Term>
PEWTER_INLINE void sumRows(const float* const* rows, const float* weights, std::int64_t taps,
                           std::int64_t count, float* sums, Term term, const Ahead& ahead = {}) {
    constexpr std::int64_t kStep = sizeof(Floats) / sizeof(float);
    std::int64_t i = 0;
    for (; i + 4 * kStep <= count; i += 4 * kStep) {
        ask(ahead, i, 4 * kStep);
        Floats a = {}, b = {}, c = {}, d = {};
        for (std::int64_t r = 0; r < taps; ++r) {
            const float* row = rows[r] + i;
            const float weight = weights[r];
            a = term(a, loadLanes<Floats>(row), weight);
            b = term(b, loadLanes<Floats>(row + kStep), weight);
            c = term(c, loadLanes<Floats>(row + 2 * kStep), weight);
            d = term(d, loadLanes<Floats>(row + 3 * kStep), weight);
        }
        storeLanes(sums + i, a);
        storeLanes(sums + i + kStep, b);
        storeLanes(sums + i + 2 * kStep, c);
        storeLanes(sums + i + 3 * kStep, d);
    }
    for (; i + kStep <= count; i += kStep) {
        Floats a = {};
        for (std::int64_t r = 0; r < taps; ++r) a = term(a, loadLanes<Floats>(rows[r] + i), weights[r]);
        storeLanes(sums + i, a);
    }
    for (; i < count; ++i) {
        float a = 0;
        for (std::int64_t r = 0; r < taps; ++r) a = term(a, rows[r][i], weights[r]);
        sums[i] = a;
    }
}

/// N vectors of both sums: what both windows cover first, and then the row at either end.
template <class V, int N, bool Squares>
PEWTER_INLINE void pairAt(const float* const* rows, std::int64_t taps, std::int64_t i, float* first,
                          float* second) {
    constexpr std::int64_t kStep = sizeof(V) / sizeof(float);
    constexpr Term<Squares, false> term;
    V common[N] = {};
    for (std::int64_t r = 1; r < taps; ++r)
        for (int k = 0; k < N; ++k) common[k] = term(common[k], loadLanes<V>(rows[r] + i + k * kStep), 1.0f);
    for (int k = 0; k < N; ++k) {
        storeLanes(first + i + k * kStep, term(common[k], loadLanes<V>(rows[0] + i + k * kStep), 1.0f));
        storeLanes(second + i + k * kStep, term(common[k], loadLanes<V>(rows[taps] + i + k * kStep), 1.0f));
    }
}

template <bool Squares>
void sumPairs(const float* const* rows, std::int64_t taps, std::int64_t count, float* first, float* second,
              const Ahead& ahead) {
    constexpr std::int64_t kStep = sizeof(Floats) / sizeof(float);
    std::int64_t i = 0;
    for (; i + 4 * kStep <= count; i += 4 * kStep) {
        ask(ahead, i, 4 * kStep);
        pairAt<Floats, 4, Squares>(rows, taps, i, first, second);
    }
    for (; i + kStep <= count; i += kStep) pairAt<Floats, 1, Squares>(rows, taps, i, first, second);
    for (; i < count; ++i) pairAt<float, 1, Squares>(rows, taps, i, first, second);
}

template <class Number, class Few, bool Weighted>
PEWTER_INLINE void momentsAt(const float* const* rows, const float* weights, std::int64_t taps,
                             std::int64_t i, double* sums, double* squares) {
    Number sum = {}, square = {};
    for (std::int64_t r = 0; r < taps; ++r) {
        const Number x = widened(loadLanes<Few>(rows[r] + i));
        const Number weighted = Weighted ? x * static_cast<double>(weights[r]) : x;
        sum += weighted;
        square += weighted * x;
    }
    storeLanes(sums + i, sum);
    storeLanes(squares + i, square);
}

template <bool Weighted>
void momentsOf(const float* const* rows, const float* weights, std::int64_t taps, std::int64_t count,
               double* sums, double* squares, const Ahead& ahead) {
    constexpr std::int64_t kStep = sizeof(Doubles) / sizeof(double), kLine = 16;
    std::int64_t i = 0;
    for (; i + kLine <= count; i += kLine) {
        ask(ahead, i, kLine);
        for (std::int64_t k = i; k < i + kLine; k += kStep)
            momentsAt<Doubles, HalfFloats, Weighted>(rows, weights, taps, k, sums, squares);
    }
    for (; i + kStep <= count; i += kStep)
        momentsAt<Doubles, HalfFloats, Weighted>(rows, weights, taps, i, sums, squares);
    for (; i < count; ++i) momentsAt<double, float, Weighted>(rows, weights, taps, i, sums, squares);
}

}  // namespace

void weightedSums(const float* const* rows, const float* weights, std::int64_t taps, std::int64_t count,
                  float* sums) {
    if (areOnes(weights, taps)) return sumRows(rows, weights, taps, count, sums, Term<false, false>());
    sumRows(rows, weights, taps, count, sums, Term<false, true>());
}

void weightedSquares(const float* const* rows, const float* weights, std::int64_t taps, std::int64_t count,
                     float* sums, const Ahead& ahead) {
    if (areOnes(weights, taps)) return sumRows(rows, weights, taps, count, sums, Term<true, false>(), ahead);
    sumRows(rows, weights, taps, count, sums, Term<true, true>(), ahead);
}

void weightedMoments(const float* const* rows, const float* weights, std::int64_t taps, std::int64_t count,
                     double* sums, double* squares, const Ahead& ahead) {
    if (areOnes(weights, taps)) return momentsOf<false>(rows, weights, taps, count, sums, squares, ahead);
    momentsOf<true>(rows, weights, taps, count, sums, squares, ahead);
}

void pairedSums(const float* const* rows, std::int64_t taps, std::int64_t count, float* first,
                float* second) {
    sumPairs<false>(rows, taps, count, first, second, {});
}

void pairedSquares(const float* const* rows, std::int64_t taps, std::int64_t count, float* first,
                   float* second, const Ahead& ahead) {
    sumPairs<true>(rows, taps, count, first, second, ahead);
}

void slidingSums(float* values, std::int64_t taps, std::int64_t step, std::int64_t count, float* sums) {
    slide(values, taps, step, count, sums);
}

void slidingDoubles(double* values, std::int64_t taps, std::int64_t step, std::int64_t count, double* sums) {
    slide(values, taps, step, count, sums);
}

}  // namespace pewter::cpu::PEWTER_ISA
