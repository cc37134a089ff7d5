#include "backends/cpu/vector/BinaryConvolution.h"

#if defined(__AVX2__)
#include <immintrin.h>
#endif

#include "backends/cpu/vector/Reduce.h"

namespace pewter::cpu::PEWTER_ISA {
namespace {

/// Bits of src[0 .. 63], set where it is not negative.
PEWTER_INLINE std::uint64_t packWord(const float* src) {
    std::uint64_t word = 0;
#if defined(__AVX512F__)
    for (int i = 0; i < 64; i += 16)
        word |= static_cast<std::uint64_t>(
                    _mm512_cmp_ps_mask(_mm512_loadu_ps(src + i), _mm512_setzero_ps(), _CMP_NLT_UQ))
                << i;
#elif defined(__AVX2__)
    for (int i = 0; i < 64; i += 8) {
        const auto kept = _mm256_cmp_ps(_mm256_loadu_ps(src + i), _mm256_setzero_ps(), _CMP_NLT_UQ);
        word |= static_cast<std::uint64_t>(static_cast<unsigned>(_mm256_movemask_ps(kept))) << i;
    }
#else
    for (int i = 0; i < 64; ++i) word |= static_cast<std::uint64_t>(!(src[i] < 0)) << i;
#endif
    return word;
}

template <bool And>
PEWTER_INLINE std::int64_t countOf(std::uint64_t a, std::uint64_t b) {
    return __builtin_popcountll(And ? a & b : a ^ b);
}

/// One filter over `Pixels` neighbouring windows: its words are read once for all of them.
template <bool And, int Pixels>
PEWTER_INLINE void countWindows(const BinaryPlan& p, const std::uint64_t* first, const std::uint64_t* filter,
                                std::int64_t (&counts)[Pixels]) {
    for (int i = 0; i < Pixels; ++i) counts[i] = 0;
    for (std::int64_t run = 0; run < p.runs; ++run) {
        const std::uint64_t* src = first + p.offsets[run];
        for (std::int64_t k = 0; k < p.length; ++k) {
            const std::uint64_t word = *filter++;
            for (int i = 0; i < Pixels; ++i) counts[i] += countOf<And>(src[i * p.stepX + k], word);
        }
    }
}

template <bool And, int Pixels>
PEWTER_INLINE void pixelsOf(const BinaryPlan& p, const std::uint64_t* first, float* dst) {
    const std::int64_t filterWords = p.runs * p.length;
    for (std::int64_t o = 0; o < p.outputs; ++o) {
        std::int64_t counts[Pixels];
        countWindows<And, Pixels>(p, first, p.weights + o * filterWords, counts);
        for (int i = 0; i < Pixels; ++i)
            dst[i * p.outputs + o] = static_cast<float>(And ? counts[i] : p.products - 2 * counts[i]);
    }
}

template <bool And>
void rowsOf(const BinaryPlan& p, std::int64_t from, std::int64_t to) {
    constexpr int kPixels = 4;
    for (std::int64_t row = from; row < to; ++row) {
        const std::uint64_t* src = p.src + row / p.outH * p.imageWords + row % p.outH * p.stepY;
        float* dst = p.dst + row * p.outW * p.outputs;
        std::int64_t x = 0;
        for (; x + kPixels <= p.outW; x += kPixels)
            pixelsOf<And, kPixels>(p, src + x * p.stepX, dst + x * p.outputs);
        for (; x < p.outW; ++x) pixelsOf<And, 1>(p, src + x * p.stepX, dst + x * p.outputs);
    }
}

}  // namespace

void affinePixels(const float* src, const float* bias, const float* scale, float* dst, std::int64_t pixels,
                  std::int64_t c) {
    for (std::int64_t p = 0; p < pixels; ++p, src += c, dst += c) {
        PEWTER_VECTORIZE
        for (std::int64_t i = 0; i < c; ++i)
            dst[i] = (src[i] + (bias ? bias[i] : 0.0f)) * (scale ? scale[i] : 1.0f);
    }
}

void finishPixels(float* x, const float* scale, const float* bias, const float* beta, std::int64_t pixels,
                  std::int64_t c) {
    for (std::int64_t p = 0; p < pixels; ++p, x += c) {
        const float factor = beta ? beta[p] : 1.0f;
        PEWTER_VECTORIZE
        for (std::int64_t i = 0; i < c; ++i)
            x[i] = x[i] * (scale ? scale[i] : 1.0f) * factor + (bias ? bias[i] : 0.0f);
    }
}

void signsOf(float* x, std::int64_t count) {
    PEWTER_VECTORIZE
    for (std::int64_t i = 0; i < count; ++i) x[i] = x[i] < 0 ? -1.0f : 1.0f;
}

void stepsOf(float* x, std::int64_t count) {
    PEWTER_VECTORIZE
    for (std::int64_t i = 0; i < count; ++i) x[i] = x[i] < 0 ? 0.0f : 1.0f;
}

void packPixels(const float* src, std::uint64_t* dst, std::int64_t pixels, std::int64_t c) {
    for (std::int64_t p = 0; p < pixels; ++p, src += c) {
        std::int64_t i = 0;
        for (; i + 64 <= c; i += 64) *dst++ = packWord(src + i);
        if (i == c) continue;
        std::uint64_t word = 0;
        for (std::int64_t k = 0; i + k < c; ++k) word |= static_cast<std::uint64_t>(!(src[i + k] < 0)) << k;
        *dst++ = word;
    }
}

void magnitudes(const float* src, float* dst, std::int64_t pixels, std::int64_t c) {
    for (std::int64_t p = 0; p < pixels; ++p)
        dst[p] = static_cast<float>(sumOf(c, [&](std::int64_t i) { return magnitude(src[p * c + i]); }));
}

void xnorRows(const BinaryPlan& plan, std::int64_t from, std::int64_t to) { rowsOf<false>(plan, from, to); }
void andRows(const BinaryPlan& plan, std::int64_t from, std::int64_t to) { rowsOf<true>(plan, from, to); }

}  // namespace pewter::cpu::PEWTER_ISA
