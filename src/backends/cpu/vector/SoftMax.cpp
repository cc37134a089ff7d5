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

}  // namespace

void softMaxPixels(const float* src, float* dst, std::int64_t pixels, std::int64_t c, bool logarithmic) {
    shift(src, dst, pixels, c);
    if (logarithmic) {
        for (std::int64_t p = 0; p < pixels; ++p, dst += c) {
            const float* const x = dst;
            const double sum = sumOf(c, [=](std::int64_t k) { return exponential(x[k]); });
            const float ln = logarithm(static_cast<float>(sum));
            PEWTER_VECTORIZE
            for (std::int64_t k = 0; k < c; ++k) dst[k] -= ln;
        }
        return;
    }
    // One loop over all pixels: few channels would leave most of a vector idle.
    PEWTER_VECTORIZE
    for (std::int64_t i = 0; i < pixels * c; ++i) dst[i] = exponential(dst[i]);
    for (std::int64_t p = 0; p < pixels; ++p, dst += c) {
        const float* const e = dst;
        const auto sum = static_cast<float>(sumOf(c, [=](std::int64_t k) { return e[k]; }));
        PEWTER_VECTORIZE
        for (std::int64_t k = 0; k < c; ++k) dst[k] /= sum;
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
