#include "backends/cpu/vector/SoftMax.h"

#include "backends/cpu/vector/Reduce.h"

namespace pewter::cpu::PEWTER_ISA {
namespace {

/// dst = x - greatest x, pixel by pixel.
void shift(const float* src, float* dst, std::int64_t pixels, std::int64_t c) {
    for (std::int64_t p = 0; p < pixels; ++p, src += c, dst += c) {
        const float top = greatest(src, c);
        PEWTER_VECTORIZE
        for (std::int64_t k = 0; k < c; ++k) dst[k] = src[k] - top;
    }
}

PEWTER_INLINE void subtract(float amount, float* values, std::int64_t count) {
    PEWTER_VECTORIZE
    for (std::int64_t k = 0; k < count; ++k) values[k] -= amount;
}

/// Pixels with channels enough to fill vectors, a piece at a time.
void manyChannels(const float* src, float* dst, std::int64_t pixels, std::int64_t c, bool logarithmic) {
    constexpr std::int64_t kPiece = 1024;
    float e[kPiece];
    for (std::int64_t p = 0; p < pixels; ++p, src += c, dst += c) {
        const float top = greatest(src, c);
        double total = 0;
        for (std::int64_t from = 0; from < c; from += kPiece) {
            const std::int64_t count = c - from < kPiece ? c - from : kPiece;
            const float* const x = src + from;
            float* const y = dst + from;
            float* const of = logarithmic ? e : y;
            PEWTER_VECTORIZE
            for (std::int64_t k = 0; k < count; ++k) of[k] = exponentialOfNegative(x[k] - top);
            total += sumOf(count, [=](std::int64_t k) { return of[k]; });
        }
        const auto sum = static_cast<float>(total);
        if (logarithmic) {
            const float shift = logarithm(sum);
            PEWTER_VECTORIZE
            for (std::int64_t k = 0; k < c; ++k) dst[k] = (src[k] - top) - shift;
        } else {
            const float share = 1.0f / sum;
            PEWTER_VECTORIZE
            for (std::int64_t k = 0; k < c; ++k) dst[k] *= share;
        }
    }
}

}  // namespace

void softMaxPixels(const float* src, float* dst, std::int64_t pixels, std::int64_t c, bool logarithmic) {
    if (c >= 4 * kLanes) return manyChannels(src, dst, pixels, c, logarithmic);
    shift(src, dst, pixels, c);
    constexpr std::int64_t kRoom = 2048;
    float e[kRoom];
    // Exponentials in one loop over as many pixels as fit: few channels would leave most of a vector idle.
    for (const std::int64_t some = kRoom / c; pixels > 0; pixels -= some) {
        const std::int64_t here = pixels < some ? pixels : some;
        PEWTER_VECTORIZE
        for (std::int64_t i = 0; i < here * c; ++i) e[i] = exponentialOfNegative(dst[i]);
        const float* of = e;
        for (std::int64_t p = 0; p < here; ++p, dst += c, of += c) {
            const float* const x = of;
            const auto sum = static_cast<float>(sumOf(c, [=](std::int64_t k) { return x[k]; }));
            if (logarithmic) {
                subtract(logarithm(sum), dst, c);
                continue;
            }
            const float share = 1.0f / sum;
            PEWTER_VECTORIZE
            for (std::int64_t k = 0; k < c; ++k) dst[k] = x[k] * share;
        }
    }
}

void softMaxGradientPixels(const float* dst, const float* diffDst, float* diffSrc, std::int64_t pixels,
                           std::int64_t c, bool logarithmic) {
    for (std::int64_t p = 0; p < pixels; ++p, dst += c, diffDst += c, diffSrc += c) {
        const float* const s = dst;
        const float* const g = diffDst;
        if (logarithmic) {
            const auto sum = static_cast<float>(sumOf(c, [=](std::int64_t k) { return g[k]; }));
            PEWTER_VECTORIZE
            for (std::int64_t k = 0; k < c; ++k) diffSrc[k] = g[k] - exponential(s[k]) * sum;
        } else {
            const auto sum = static_cast<float>(sumOf(c, [=](std::int64_t k) { return g[k] * s[k]; }));
            PEWTER_VECTORIZE
            for (std::int64_t k = 0; k < c; ++k) diffSrc[k] = s[k] * (g[k] - sum);
        }
    }
}

}  // namespace pewter::cpu::PEWTER_ISA
