#pragma once

#include "backends/cpu/vector/Math.h"
#include "backends/cpu/vector/Register.h"

// Products of small matrices whose right operand stays in the caches, in the compiler's registers.

namespace pewter::cpu::PEWTER_ISA {
namespace {

/// The left operand: element (row, k) at row * row + k * inner.
struct LeftOperand {
    const float* data;
    std::int64_t row, inner;
};
/// The right operand and the result, row-major.
struct RowMajor {
    const float* data;
    std::int64_t row;
};

/// Floats of a line of the cache.
constexpr std::int64_t kCacheLine = 16;

#if defined(__AVX512F__)
constexpr int kProductRows = 8;
#else
constexpr int kProductRows = 4;
#endif

/// What becomes of a result: Streamed goes past the caches, to lines of its own.
enum class Store { Plain, Added, Streamed };

/// kRows rows and kColumns registers of columns of a * b. `ahead`: a line that is needed soon for every row of b, or null.
template <int kRows, int kColumns>
PEWTER_INLINE void productBlock(const LeftOperand& a, const RowMajor& b, std::int64_t inner, Store store,
                                const float* ahead, float* result, std::int64_t resultRow) {
    Vector sums[kRows][kColumns];
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r)
#pragma GCC unroll 4
        for (int q = 0; q < kColumns; ++q) sums[r][q] = Vector{};
    if (store == Store::Added)
#pragma GCC unroll 8
        for (int r = 0; r < kRows; ++r)
#pragma GCC unroll 4
            for (int q = 0; q < kColumns; ++q) loadFrom(result + r * resultRow + q * kLanes, sums[r][q]);
    const float *left = a.data, *right = b.data;
    for (std::int64_t k = 0; k < inner; ++k, left += a.inner, right += b.row) {
        if (ahead) __builtin_prefetch(ahead + k * b.row);
        Vector columns[kColumns];
#pragma GCC unroll 4
        for (int q = 0; q < kColumns; ++q) loadFrom(right + q * kLanes, columns[q]);
#pragma GCC unroll 8
        for (int r = 0; r < kRows; ++r) {
            const float x = left[r * a.row];
#pragma GCC unroll 4
            for (int q = 0; q < kColumns; ++q) sums[r][q] += x * columns[q];
        }
    }
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r)
#pragma GCC unroll 4
        for (int q = 0; q < kColumns; ++q)
            if (store == Store::Streamed)
                streamTo(result + r * resultRow + q * kLanes, sums[r][q]);
            else
                storeTo(result + r * resultRow + q * kLanes, sums[r][q]);
}

/// All rows of kColumns registers of columns. `ahead`: as many columns of b that come next.
template <int kColumns>
void productColumns(LeftOperand a, const RowMajor& b, std::int64_t rows, std::int64_t inner, Store store,
                    const float* ahead, float* result, std::int64_t resultRow) {
    std::int64_t lines = ahead ? kColumns * kLanes / kCacheLine : 0;
    const auto step = [&]<int kRows>() {
        productBlock<kRows, kColumns>(a, b, inner, store, ahead, result, resultRow);
        a.data += kRows * a.row, result += kRows * resultRow, rows -= kRows;
        ahead = --lines > 0 ? ahead + kCacheLine : nullptr;
    };
    while (rows >= kProductRows) step.template operator()<kProductRows>();
    if (rows & 4) step.template operator()<4>();
    if (rows & 2) step.template operator()<2>();
    if (rows & 1) step.template operator()<1>();
}

/// result = a * b, or added to; columns in whole registers. prefetch: b is not in the caches, and what lies to its right
/// comes next.
PEWTER_INLINE void product(const LeftOperand& a, RowMajor b, std::int64_t rows, std::int64_t columns, std::int64_t inner,
                           Store store, float* result, std::int64_t resultRow, bool prefetch = false) {
    const auto run = [&](auto compute, std::int64_t wide) {
        compute(a, b, rows, inner, store, prefetch ? b.data + wide : nullptr, result, resultRow);
        columns -= wide, b.data += wide, result += wide;
    };
    while (columns >= 2 * kLanes) run(productColumns<2>, 2 * kLanes);
    if (columns > 0) run(productColumns<1>, kLanes);
}

}  // namespace
}  // namespace pewter::cpu::PEWTER_ISA
