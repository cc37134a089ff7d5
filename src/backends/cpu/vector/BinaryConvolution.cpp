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

/// Counts of kFilterLanes filters in one window.
template <bool And>
struct OneWindow {
    static constexpr std::int64_t kPixels = 1;
    static void count(const BinaryPlan& p, const std::uint64_t* first, const std::uint64_t* filters,
                      std::int64_t* counts) {
        std::int64_t sums[kFilterLanes] = {};
        for (std::int64_t run = 0; run < p.runs; ++run) {
            const std::uint64_t* src = first + p.offsets[run];
            for (std::int64_t k = 0; k < p.length; ++k, filters += kFilterLanes) {
                const std::uint64_t word = src[k];
                for (std::int64_t i = 0; i < kFilterLanes; ++i)
                    sums[i] += __builtin_popcountll(And ? word & filters[i] : word ^ filters[i]);
            }
        }
        for (std::int64_t i = 0; i < kFilterLanes; ++i) counts[i] = sums[i];
    }
};

#if defined(__AVX512F__)
/// The same in `Pixels` neighbouring windows, for which the filters are read once. For processors that count
/// the bits of a whole register.
template <bool And, int Pixels>
struct Windows {
    static constexpr std::int64_t kPixels = Pixels;
    [[gnu::target("avx512vpopcntdq")]] static void count(const BinaryPlan& p, const std::uint64_t* first,
                                                         const std::uint64_t* filters, std::int64_t* counts) {
        __m512i sums[Pixels];
        for (int i = 0; i < Pixels; ++i) sums[i] = _mm512_setzero_si512();
        for (std::int64_t run = 0; run < p.runs; ++run) {
            const std::uint64_t* src = first + p.offsets[run];
            for (std::int64_t k = 0; k < p.length; ++k, filters += kFilterLanes) {
                const __m512i lanes = _mm512_loadu_si512(filters);
                for (int i = 0; i < Pixels; ++i) {
                    const __m512i word = _mm512_set1_epi64(static_cast<std::int64_t>(src[i * p.stepX + k]));
                    const __m512i bits = And ? _mm512_and_si512(word, lanes) : _mm512_xor_si512(word, lanes);
                    sums[i] = _mm512_add_epi64(sums[i], _mm512_popcnt_epi64(bits));
                }
            }
        }
        for (int i = 0; i < Pixels; ++i) _mm512_storeu_si512(counts + i * kFilterLanes, sums[i]);
    }
};
#endif

/// The results of `Window::kPixels` neighbouring windows.
template <bool And, class Window>
void pixelsOf(const BinaryPlan& p, const std::uint64_t* first, float* dst) {
    const std::int64_t filterWords = p.runs * p.length;
    for (std::int64_t o = 0; o < p.outputs; o += kFilterLanes) {
        std::int64_t counts[Window::kPixels * kFilterLanes];
        Window::count(p, first, p.weights + o * filterWords, counts);
        const std::int64_t lanes = p.outputs - o < kFilterLanes ? p.outputs - o : kFilterLanes;
        for (std::int64_t i = 0; i < Window::kPixels; ++i)
            for (std::int64_t lane = 0; lane < lanes; ++lane) {
                const std::int64_t count = counts[i * kFilterLanes + lane];
                dst[i * p.outputs + o + lane] = static_cast<float>(And ? count : p.products - 2 * count);
            }
    }
}

/// Rows in steps of `Many`, what is left of them in steps of `One`.
template <bool And, class Many, class One>
void rowsIn(const BinaryPlan& p, std::int64_t from, std::int64_t to) {
    for (std::int64_t row = from; row < to; ++row) {
        const std::uint64_t* src = p.src + row / p.outH * p.imageWords + row % p.outH * p.stepY;
        float* dst = p.dst + row * p.outW * p.outputs;
        std::int64_t x = 0;
        for (; x + Many::kPixels <= p.outW; x += Many::kPixels)
            pixelsOf<And, Many>(p, src + x * p.stepX, dst + x * p.outputs);
        for (; x < p.outW; x += One::kPixels) pixelsOf<And, One>(p, src + x * p.stepX, dst + x * p.outputs);
    }
}

template <bool And>
void rowsOf(const BinaryPlan& p, std::int64_t from, std::int64_t to) {
#if defined(__AVX512F__)
    if (__builtin_cpu_supports("avx512vpopcntdq"))
        return rowsIn<And, Windows<And, 4>, Windows<And, 1>>(p, from, to);
#endif
    rowsIn<And, OneWindow<And>, OneWindow<And>>(p, from, to);
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
