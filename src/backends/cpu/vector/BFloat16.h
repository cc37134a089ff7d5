#pragma once

#include "backends/cpu/vector/Math.h"
#include "backends/cpu/vector/Register.h"

// Registers of bfloat16: what lies in memory, its way to float32 and back, and products of pairs. A file that includes this
// header is compiled for the processor's bfloat16 instructions where its instruction set may have them, so that its functions
// are only to be called where multipliesBFloat16().

#if defined(__AVX512F__)
#pragma GCC push_options
#pragma GCC target("avx512bf16")
#define PEWTER_BFLOAT16_END _Pragma("GCC pop_options")
#else
#define PEWTER_BFLOAT16_END
#endif

namespace pewter::cpu::PEWTER_ISA {
namespace {

/// As many bfloat16 as Vector has floats, and as many pairs of them: the first in the low half.
using Words = std::uint16_t __attribute__((vector_size(kRegister / 2)));
using Pairs = std::uint32_t __attribute__((vector_size(kRegister)));

PEWTER_INLINE void widen(const std::uint16_t* from, Vector& value) {
    Words words;
    std::memcpy(&words, from, sizeof words);
    value = reinterpret_cast<Vector>(__builtin_convertvector(words, Pairs) << 16);
}

/// To nearest, ties to even.
PEWTER_INLINE void round(const Vector& value, Words& words) {
#if defined(__AVX512F__)
    words = reinterpret_cast<Words>(_mm512_cvtneps_pbh(reinterpret_cast<__m512>(value)));
#else
    const Pairs bits = reinterpret_cast<Pairs>(value);
    const Pairs rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16, quiet = (bits >> 16) | 0x40u;
    words = __builtin_convertvector((bits & 0x7fffffffu) > 0x7f800000u ? quiet : rounded, Words);
#endif
}

PEWTER_INLINE void roundTo(std::uint16_t* to, const Vector& value) {
    Words words;
    round(value, words);
    std::memcpy(to, &words, sizeof words);
}

PEWTER_INLINE void pairTo(std::uint32_t* to, const Words& low, const Words& high) {
    const Pairs pairs = __builtin_convertvector(low, Pairs) | (__builtin_convertvector(high, Pairs) << 16);
    std::memcpy(to, &pairs, sizeof pairs);
}

/// sums += both products of the pair and the pairs.
PEWTER_INLINE void addProducts(std::uint32_t pair, const Pairs& pairs, Vector& sums) {
#if defined(__AVX512F__)
    sums = reinterpret_cast<Vector>(_mm512_dpbf16_ps(reinterpret_cast<__m512>(sums),
                                                     reinterpret_cast<__m512bh>(_mm512_set1_epi32(static_cast<int>(pair))),
                                                     reinterpret_cast<__m512bh>(pairs)));
#else
    sums += fromBits(pair << 16) * reinterpret_cast<Vector>(pairs << 16) +
            fromBits(pair & 0xffff0000u) * reinterpret_cast<Vector>(pairs & 0xffff0000u);
#endif
}

/// The left operand of a product, in pairs along the inner axis: pair (row, k) at row * row + k * inner.
struct LeftPairs {
    const std::uint32_t* data;
    std::int64_t row, inner;
};
/// The right operand: pair (k, column) at k * row + column.
struct RightPairs {
    const std::uint32_t* data;
    std::int64_t row;
};
/// The result, row-major.
struct ProductSums {
    float* data;
    std::int64_t row;
};

template <int kRows, int kColumns>
PEWTER_INLINE void pairBlock(const LeftPairs& a, const RightPairs& b, std::int64_t inner, bool accumulate,
                             const ProductSums& result) {
    Vector sums[kRows][kColumns];
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r)
#pragma GCC unroll 4
        for (int q = 0; q < kColumns; ++q) sums[r][q] = Vector{};
    if (accumulate)
#pragma GCC unroll 8
        for (int r = 0; r < kRows; ++r)
#pragma GCC unroll 4
            for (int q = 0; q < kColumns; ++q) loadFrom(result.data + r * result.row + q * kLanes, sums[r][q]);
    const std::uint32_t *left = a.data, *right = b.data;
    for (std::int64_t k = 0; k < inner; ++k, left += a.inner, right += b.row) {
        Pairs columns[kColumns];
#pragma GCC unroll 4
        for (int q = 0; q < kColumns; ++q) std::memcpy(&columns[q], right + q * kLanes, sizeof columns[q]);
#pragma GCC unroll 8
        for (int r = 0; r < kRows; ++r)
#pragma GCC unroll 4
            for (int q = 0; q < kColumns; ++q) addProducts(left[r * a.row], columns[q], sums[r][q]);
    }
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r)
#pragma GCC unroll 4
        for (int q = 0; q < kColumns; ++q) storeTo(result.data + r * result.row + q * kLanes, sums[r][q]);
}

/// All rows of kColumns registers of columns.
template <int kColumns>
void pairRows(LeftPairs a, const RightPairs& b, std::int64_t rows, std::int64_t inner, bool accumulate,
              ProductSums result) {
    constexpr int kRows = 6;
    const auto next = [&](std::int64_t count) {
        a.data += count * a.row;
        result.data += count * result.row;
        rows -= count;
    };
    for (; rows >= kRows; next(kRows)) pairBlock<kRows, kColumns>(a, b, inner, accumulate, result);
    for (; rows >= 2; next(2)) pairBlock<2, kColumns>(a, b, inner, accumulate, result);
    if (rows == 1) pairBlock<1, kColumns>(a, b, inner, accumulate, result);
}

/// result = (or +=) a * b for `rows` rows and `columns`, a multiple of 16, columns.
inline void multiplyPairs(const LeftPairs& a, RightPairs b, std::int64_t rows, std::int64_t columns, std::int64_t inner,
                          bool accumulate, ProductSums result) {
    const auto next = [&](std::int64_t count) {
        b.data += count;
        result.data += count;
        columns -= count;
    };
    for (; columns >= 4 * kLanes; next(4 * kLanes)) pairRows<4>(a, b, rows, inner, accumulate, result);
    for (; columns >= 3 * kLanes; next(3 * kLanes)) pairRows<3>(a, b, rows, inner, accumulate, result);
    for (; columns >= 2 * kLanes; next(2 * kLanes)) pairRows<2>(a, b, rows, inner, accumulate, result);
    for (; columns >= kLanes; next(kLanes)) pairRows<1>(a, b, rows, inner, accumulate, result);
}

}  // namespace
}  // namespace pewter::cpu::PEWTER_ISA
