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

#if defined(__AVX512F__)
constexpr int kProductRows = 8;
#else
constexpr int kProductRows = 4;
#endif

/// kRows rows and kColumns registers of columns of result = (or +=) a * b.
template <int kRows, int kColumns>
PEWTER_INLINE void productBlock(const LeftOperand& a, const RowMajor& b, std::int64_t inner, bool accumulate,
                                float* result, std::int64_t resultRow) {
    Vector sums[kRows][kColumns];
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r)
#pragma GCC unroll 4
        for (int q = 0; q < kColumns; ++q) sums[r][q] = Vector{};
    if (accumulate)
#pragma GCC unroll 8
        for (int r = 0; r < kRows; ++r)
#pragma GCC unroll 4
            for (int q = 0; q < kColumns; ++q) loadFrom(result + r * resultRow + q * kLanes, sums[r][q]);
    const float *left = a.data, *right = b.data;
    for (std::int64_t k = 0; k < inner; ++k, left += a.inner, right += b.row) {
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
        for (int q = 0; q < kColumns; ++q) storeTo(result + r * resultRow + q * kLanes, sums[r][q]);
}

/// All rows of kColumns registers of columns.
template <int kColumns>
void productColumns(LeftOperand a, const RowMajor& b, std::int64_t rows, std::int64_t inner, bool accumulate,
                    float* result, std::int64_t resultRow) {
    const auto step = [&]<int kRows>() {
        productBlock<kRows, kColumns>(a, b, inner, accumulate, result, resultRow);
        a.data += kRows * a.row, result += kRows * resultRow, rows -= kRows;
    };
    while (rows >= kProductRows) step.template operator()<kProductRows>();
    if (rows & 4) step.template operator()<4>();
    if (rows & 2) step.template operator()<2>();
    if (rows & 1) step.template operator()<1>();
}

/// result = (or +=) a * b; columns in whole registers.
PEWTER_INLINE void product(const LeftOperand& a, RowMajor b, std::int64_t rows, std::int64_t columns, std::int64_t inner,
                           bool accumulate, float* result, std::int64_t resultRow) {
    for (; columns >= 2 * kLanes; columns -= 2 * kLanes, b.data += 2 * kLanes, result += 2 * kLanes)
        productColumns<2>(a, b, rows, inner, accumulate, result, resultRow);
    if (columns > 0) productColumns<1>(a, b, rows, inner, accumulate, result, resultRow);
}

}  // namespace
}  // namespace pewter::cpu::PEWTER_ISA
