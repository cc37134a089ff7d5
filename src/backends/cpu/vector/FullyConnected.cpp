#include "backends/cpu/vector/FullyConnected.h"

#include "backends/cpu/vector/Product.h"

namespace pewter::cpu::PEWTER_ISA {
namespace {

using Half = float __attribute__((vector_size(kRegister / 2)));

/// kRows rows of the result: kFull registers and, if kHalf, half of one.
template <int kRows, int kFull, bool kHalf>
PEWTER_INLINE void forwardBlock(const float* weights, std::int64_t inner, const float* turned, std::int64_t step,
                                float* result) {
    Vector sums[kRows][kFull > 0 ? kFull : 1];
    Half halves[kRows];
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
        halves[r] = Half{};
#pragma GCC unroll 4
        for (int q = 0; q < kFull; ++q) sums[r][q] = Vector{};
    }
    for (std::int64_t first = 0; first < inner; first += kCacheLine) {
        const std::int64_t end = first + kCacheLine < inner ? first + kCacheLine : inner;
        // So many rows side by side are not foreseen far enough.
#pragma GCC unroll 8
        for (int r = 0; r < kRows; ++r) __builtin_prefetch(weights + r * inner + first + 16 * kCacheLine);
        for (std::int64_t k = first; k < end; ++k) {
            Vector columns[kFull > 0 ? kFull : 1];
            Half half = {};
#pragma GCC unroll 4
            for (int q = 0; q < kFull; ++q) loadFrom(turned + k * step + q * kLanes, columns[q]);
            if constexpr (kHalf) loadFrom(turned + k * step + kFull * kLanes, half);
#pragma GCC unroll 8
            for (int r = 0; r < kRows; ++r) {
                const float w = weights[r * inner + k];
#pragma GCC unroll 4
                for (int q = 0; q < kFull; ++q) sums[r][q] += w * columns[q];
                if constexpr (kHalf) halves[r] += w * half;
            }
        }
    }
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 4
        for (int q = 0; q < kFull; ++q) storeTo(result + r * step + q * kLanes, sums[r][q]);
        if constexpr (kHalf) storeTo(result + r * step + kFull * kLanes, halves[r]);
    }
}

template <int kFull, bool kHalf>
void forwardRows(const float* weights, std::int64_t inner, const float* turned, std::int64_t step, std::int64_t rows,
                 float* result) {
    for (; rows >= kProductRows; rows -= kProductRows, weights += kProductRows * inner, result += kProductRows * step)
        forwardBlock<kProductRows, kFull, kHalf>(weights, inner, turned, step, result);
    for (; rows > 0; --rows, weights += inner, result += step)
        forwardBlock<1, kFull, kHalf>(weights, inner, turned, step, result);
}

/// room[i][r] = diffDst[i][first + r].
void gatherOutputs(const FullyConnectedPlan& p, const float* diffDst, std::int64_t first, std::int64_t count, float* room) {
    for (std::int64_t i = 0; i < p.n; ++i)
        __builtin_memcpy(room + i * kOutputBlock, diffDst + i * p.outputs + first, static_cast<std::size_t>(count) * sizeof(float));
}

std::int64_t least(std::int64_t a, std::int64_t b) { return a < b ? a : b; }

}  // namespace

void fullyForward(const FullyConnectedPlan& p, const float* weights, const float* turned, std::int64_t step,
                  std::int64_t from, std::int64_t to, float* result) {
    constexpr int kHalfLanes = kLanes / 2;
    std::int64_t q = 0;
    const float* const rows = weights + from * p.inner;
    float* const sums = result + from * step;
    const auto run = [&](auto compute, std::int64_t columns) {
        compute(rows, p.inner, turned + q, step, to - from, sums + q);
        q += columns;
    };
    while (step - q > 3 * kLanes) run(forwardRows<2, false>, 2 * kLanes);
    switch ((step - q) / kHalfLanes) {
        case 1: return run(forwardRows<0, true>, 0);
        case 2: return run(forwardRows<1, false>, 0);
        case 3: return run(forwardRows<1, true>, 0);
        case 4: return run(forwardRows<2, false>, 0);
        case 5: return run(forwardRows<2, true>, 0);
        case 6: return run(forwardRows<3, false>, 0);
        default: return;
    }
}

void fullyDataGradient(const FullyConnectedPlan& p, const float* weights, const float* diffDst, std::int64_t from,
                       std::int64_t to, float* room, float* diffSrc) {
    const std::int64_t whole = from + (to - from) / kLanes * kLanes;
    for (std::int64_t first = 0; first < p.outputs; first += kOutputBlock) {
        const std::int64_t count = least(kOutputBlock, p.outputs - first);
        gatherOutputs(p, diffDst, first, count, room);
        const float* const rows = weights + first * p.inner;
        product({room, kOutputBlock, 1}, {rows + from, p.inner}, p.n, whole - from, count,
                first > 0 ? Store::Added : Store::Plain, diffSrc + from, p.inner, true);
        for (std::int64_t i = 0; i < p.n; ++i)
            for (std::int64_t k = whole; k < to; ++k) {
                float sum = first > 0 ? diffSrc[i * p.inner + k] : 0.0f;
                for (std::int64_t o = 0; o < count; ++o) sum += room[i * kOutputBlock + o] * rows[o * p.inner + k];
                diffSrc[i * p.inner + k] = sum;
            }
    }
}

void fullyWeightsGradient(const FullyConnectedPlan& p, const float* src, const float* diffDst, std::int64_t from,
                          std::int64_t to, bool accumulate, float* room, float* diffWeights) {
    const std::int64_t whole = p.inner / kLanes * kLanes;
    // Whole lines: larger than the caches, and not read before the next operation.
    const bool streamed = p.inner % kCacheLine == 0 && unaligned(diffWeights, kLanes) == 0;
    const Store store = accumulate ? Store::Added : streamed ? Store::Streamed : Store::Plain;
    for (std::int64_t first = from; first < to; first += kOutputBlock) {
        const std::int64_t count = least(kOutputBlock, to - first);
        gatherOutputs(p, diffDst, first, count, room);
        float* const rows = diffWeights + first * p.inner;
        product({room, 1, kOutputBlock}, {src, p.inner}, count, whole, p.n, store, rows, p.inner);
        for (std::int64_t o = 0; o < count; ++o)
            for (std::int64_t k = whole; k < p.inner; ++k) {
                float sum = accumulate ? rows[o * p.inner + k] : 0.0f;
                for (std::int64_t i = 0; i < p.n; ++i) sum += room[i * kOutputBlock + o] * src[i * p.inner + k];
                rows[o * p.inner + k] = sum;
            }
    }
    if (store == Store::Streamed) streamEnd();
}

}  // namespace pewter::cpu::PEWTER_ISA
