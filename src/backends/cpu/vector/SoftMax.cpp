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

/// values = e^values / sum.
PEWTER_INLINE void exponentials(float sum, float* values, std::int64_t count) {
    PEWTER_VECTORIZE
    for (std::int64_t k = 0; k < count; ++k) values[k] = exponential(values[k]) / sum;
}

}  // namespace

void softMaxPixels(const float* src, float* dst, std::int64_t pixels, std::int64_t c, bool logarithmic) {
    shift(src, dst, pixels, c);
    constexpr std::int64_t kRoom = 2048;
    float e[kRoom];
    if (c > kRoom) {
        for (std::int64_t p = 0; p < pixels; ++p, dst += c) {
            const float* const x = dst;
            const auto sum = static_cast<float>(sumOf(c, [=](std::int64_t k) { return exponential(x[k]); }));
            if (logarithmic)
                subtract(logarithm(sum), dst, c);
            else
                exponentials(sum, dst, c);
        }
        return;
    }
    // Exponentials in one loop over as many pixels as fit: few channels would leave most of a vector idle.
    for (const std::int64_t some = kRoom / c; pixels > 0; pixels -= some) {
        const std::int64_t here = pixels < some ? pixels : some;
        PEWTER_VECTORIZE
        for (std::int64_t i = 0; i < here * c; ++i) e[i] = exponential(dst[i]);
        const float* of = e;
        for (std::int64_t p = 0; p < here; ++p, dst += c, of += c) {
            const float* const x = of;
            const auto sum = static_cast<float>(sumOf(c, [=](std::int64_t k) { return x[k]; }));
            if (logarithmic) {
                subtract(logarithm(sum), dst, c);
                continue;
            }
            PEWTER_VECTORIZE
            for (std::int64_t k = 0; k < c; ++k) dst[k] = x[k] / sum;
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
