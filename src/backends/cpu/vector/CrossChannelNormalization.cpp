#include "backends/cpu/vector/CrossChannelNormalization.h"

#include "backends/cpu/vector/PowerRun.h"
#include "backends/cpu/vector/Sliding.h"

// Pixels are laid out with size - 1 zeros between them, so that one loop over a run of pixels makes the sums
// of all their windows: neighbours' channels are never within reach. What falls on the zeros is computed and
// not used.

namespace pewter::cpu::PEWTER_ISA {
namespace {

/// Memory of a run in the wide layout: `before` zeros, then pixels of c channels every `stride` elements.
struct Wide {
    std::int64_t pixels, c, stride, before;

    /// Elements of a whole row of windows, zeros between pixels included.
    std::int64_t count() const { return pixels * stride; }

    /// fn(i, at) is the element of position i in the dense layout and `at` in this one; the rest becomes 0.
    template <class Fn>
    PEWTER_INLINE void fill(float* to, std::int64_t size, Fn fn) const {
        for (std::int64_t i = 0; i < before; ++i) to[i] = 0;
        to += before;
        for (std::int64_t p = 0; p < pixels; ++p, to += stride) {
            PEWTER_VECTORIZE
            for (std::int64_t k = 0; k < c; ++k) to[k] = fn(p * c + k, p * stride + k);
            for (std::int64_t k = c; k < stride; ++k) to[k] = 0;
        }
        for (std::int64_t i = before; i < size - 1; ++i) *to++ = 0;
    }
};

/// Asks for the next run of as many elements while this one is computed: a run is too short for the processor to see
/// it coming. Beyond the end nothing happens.
PEWTER_INLINE void askForNext(const float* run, std::int64_t count) {
    for (std::int64_t i = 0; i < count; i += 16) __builtin_prefetch(run + count + i, 0, 2);
}

/// factors[i] = base^-beta with the base of the window that begins at squares[i], and in quotients, unless null, that over the
/// base. squares is used up.
PEWTER_INLINE void windowPowers(const CrossChannelParameters& p, float* squares, std::int64_t count, float* factors,
                                float* quotients) {
#if defined(__AVX512F__)
    if (p.size <= kFewTaps && isInverseRoot(p.power)) {
        const __m512 deltas = _mm512_set1_ps(p.delta), scales = _mm512_set1_ps(p.scale);
        withQuarters(p.power, [=]<int Quarters>() PEWTER_LAMBDA {
            forWindows(squares, p.size, 1, count, [=](std::int64_t i, __mmask16 mask, __m512 sum) PEWTER_LAMBDA {
                const __m512 base = _mm512_fmadd_ps(scales, sum, deltas), power = inverseRoot<Quarters>(base);
                _mm512_mask_storeu_ps(factors + i, mask, power);
                if (quotients) _mm512_mask_storeu_ps(quotients + i, mask, _mm512_mul_ps(power, reciprocal(base)));
            });
        });
        return;
    }
#endif
    slide(squares, p.size, 1, count, factors);
    const float delta = p.delta, scale = p.scale;
    const auto base = [=](std::int64_t i) PEWTER_LAMBDA { return delta + scale * factors[i]; };
    if (!quotients) {
        forPowers(p.power, count, base, [=](std::int64_t i, float, float power) PEWTER_LAMBDA { factors[i] = power; });
        return;
    }
    forPowers<true>(p.power, count, base, [=](std::int64_t i, float quotient, float power) PEWTER_LAMBDA {
        factors[i] = power;
        quotients[i] = quotient;
    });
}

}  // namespace

void crossChannelPixels(const CrossChannelParameters& p, const float* x, float* y, std::int64_t pixels,
                        std::int64_t c, float* room) {
    const Wide wide{pixels, c, c + p.size - 1, p.size / 2};
    const std::int64_t most = wide.count() + p.size - 1;
    float *const squares = room, *const factors = room + most;
    askForNext(x, pixels * c);
    wide.fill(squares, p.size, [=](std::int64_t i, std::int64_t) { return x[i] * x[i]; });
    windowPowers(p, squares, wide.count(), factors, nullptr);
    for (std::int64_t i = 0; i < pixels; ++i) {
        const float *from = x + i * c, *by = factors + i * wide.stride;
        float* to = y + i * c;
        PEWTER_VECTORIZE
        for (std::int64_t k = 0; k < c; ++k) to[k] = from[k] * by[k];
    }
}

void crossChannelGradientPixels(const CrossChannelParameters& p, const float* x, const float* g, float* diff,
                                std::int64_t pixels, std::int64_t c, float* room) {
    const Wide wide{pixels, c, c + p.size - 1, p.size / 2};
    const std::int64_t most = wide.count() + p.size - 1;
    float *const shares = room, *const power = room + most, *const quotient = power + most,
                 *const sums = quotient + most;
    askForNext(x, pixels * c);
    wide.fill(shares, p.size, [=](std::int64_t i, std::int64_t) { return x[i] * x[i]; });
    askForNext(g, pixels * c);
    windowPowers(p, shares, wide.count(), power, quotient);
    // The windows that contain channel k are those of channels k - (size-1)/2 ... k + size/2.
    const Wide adjoint{pixels, c, wide.stride, (p.size - 1) / 2};
    adjoint.fill(shares, p.size, [=](std::int64_t i, std::int64_t at) { return g[i] * x[i] * quotient[at]; });
    slide(shares, p.size, 1, adjoint.count(), sums);
    for (std::int64_t i = 0; i < pixels; ++i) {
        const float *xs = x + i * c, *gs = g + i * c, *by = power + i * wide.stride,
                    *sum = sums + i * wide.stride;
        float* to = diff + i * c;
        PEWTER_VECTORIZE
        for (std::int64_t k = 0; k < c; ++k) to[k] = gs[k] * by[k] - p.factor * xs[k] * sum[k];
    }
}

}  // namespace pewter::cpu::PEWTER_ISA
