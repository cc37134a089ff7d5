#include "backends/cpu/vector/CrossChannelNormalization.h"

#include "backends/cpu/vector/PowerRun.h"
#include "backends/cpu/vector/Sliding.h"

// Where registers are wide, pixels of many channels stay in them: a window's channels are shifted in from the
// registers on either side. Otherwise pixels are laid out with size - 1 zeros between them, so that one loop
// over a run of pixels makes the sums of all their windows: neighbours' channels are never within reach. What
// falls on the zeros is computed and not used.

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

/// Asks for the next run of as many elements while this one is computed: a run is too short for the processor
/// to see it coming. Beyond the end nothing happens.
PEWTER_INLINE void askForNext(const float* run, std::int64_t count) {
    for (std::int64_t i = 0; i < count; i += 16) __builtin_prefetch(run + count + i, 0, 2);
}

/// factors[i] = base^-beta with the base of the window that begins at squares[i], and in quotients, unless
/// null, that over the base. squares is used up.
PEWTER_INLINE void windowPowers(const CrossChannelParameters& p, float* squares, std::int64_t count,
                                float* factors, float* quotients) {
#if defined(__AVX512F__)
    if (p.size <= kFewTaps && isInverseRoot(p.power)) {
        const __m512 deltas = _mm512_set1_ps(p.delta), scales = _mm512_set1_ps(p.scale);
        withQuarters(p.power, [=]<int Quarters>() PEWTER_LAMBDA {
            withWindowSum(p.size, 1, [=](auto over) PEWTER_LAMBDA {
                auto window = over(squares, count);
                forRegisters(count, [=](std::int64_t i, auto lanes) mutable PEWTER_LAMBDA {
                    const __m512 base = _mm512_fmadd_ps(scales, window.next(lanes), deltas);
                    const __m512 power = inverseRoot<Quarters>(base);
                    lanes.store(factors + i, power);
                    if (quotients) lanes.store(quotients + i, _mm512_mul_ps(power, reciprocal(base)));
                });
            });
        });
        return;
    }
#endif
    slide(squares, p.size, 1, count, factors);
    const float delta = p.delta, scale = p.scale;
    const auto base = [=](std::int64_t i) PEWTER_LAMBDA { return delta + scale * factors[i]; };
    if (!quotients) {
        forPowers(p.power, count, base,
                  [=](std::int64_t i, float, float power) PEWTER_LAMBDA { factors[i] = power; });
        return;
    }
    forPowers<true>(p.power, count, base, [=](std::int64_t i, float quotient, float power) PEWTER_LAMBDA {
        factors[i] = power;
        quotients[i] = quotient;
    });
}

#if defined(__AVX512F__)

/// Lane i is channel i + Distance of three registers of neighbouring channels, counted from the middle one's
/// first.
template <int Distance>
PEWTER_INLINE __m512 shifted(__m512 before, __m512 middle, __m512 after) {
    if constexpr (Distance == 0) return middle;
    const __m512 low = Distance < 0 ? before : middle, high = Distance < 0 ? middle : after;
    return _mm512_castsi512_ps(_mm512_maskz_alignr_epi32(0xffff, _mm512_castps_si512(high),
                                                         _mm512_castps_si512(low), (Distance + 16) % 16));
}

/// The sum over channels -Reach ... Reach around each lane.
template <int Reach, int Distance = -Reach>
PEWTER_INLINE __m512 sumAround(__m512 before, __m512 middle, __m512 after) {
    const __m512 one = shifted<Distance>(before, middle, after);
    if constexpr (Distance == Reach)
        return one;
    else
        return _mm512_add_ps(one, sumAround<Reach, Distance + 1>(before, middle, after));
}

/// use(i, lanes, before, middle, after) for the registers of a pixel's channels, each with those on either
/// side as load(i, lanes) makes them; zeros beyond the pixel. A register is loaded before the one ahead of it
/// is used.
template <class Load, class Use>
PEWTER_INLINE void forChannels(std::int64_t c, Load load, Use use) {
    const __m512 none = _mm512_setzero_ps();
    const std::int64_t rest = c % 16, whole = c - rest;
    __m512 before = none, middle = whole ? load(0, LanesOf<true>(16)) : none;
    for (std::int64_t i = 0; i < whole; i += 16) {
        __m512 after = none;
        if (i + 16 < whole)
            after = load(i + 16, LanesOf<true>(16));
        else if (rest)
            after = load(whole, LanesOf<false>(rest));
        use(i, LanesOf<true>(16), before, middle, after);
        before = middle;
        middle = after;
    }
    if (rest) use(whole, LanesOf<false>(rest), before, middle, none);
}

/// fn<Quarters, Reach>() where a pixel of c channels can stay in registers; whether it can.
template <class Fn>
PEWTER_INLINE bool inRegisters(const CrossChannelParameters& p, std::int64_t c, Fn fn) {
    if (!isInverseRoot(p.power) || c < 16 || (c < 48 && c % 16 != 0)) return false;
    if (p.size != 3 && p.size != 5 && p.size != 7) return false;
    withQuarters(p.power, [&]<int Quarters>() PEWTER_LAMBDA {
        if (p.size == 3) return fn.template operator()<Quarters, 1>();
        if (p.size == 5) return fn.template operator()<Quarters, 2>();
        fn.template operator()<Quarters, 3>();
    });
    return true;
}

/// Floats from what is computed to what is asked for.
constexpr std::int64_t kAhead = 1024;

template <int Quarters, int Reach>
void pixelsInRegisters(const CrossChannelParameters& p, const float* x, float* y, std::int64_t pixels,
                       std::int64_t c, bool past) {
    const __m512 deltas = _mm512_set1_ps(p.delta), scales = _mm512_set1_ps(p.scale);
    for (std::int64_t pixel = 0; pixel < pixels; ++pixel, x += c, y += c)
        forChannels(
            c,
            [=](std::int64_t i, auto lanes) PEWTER_LAMBDA {
                __builtin_prefetch(x + i + kAhead, 0, 2);
                const __m512 value = lanes.load(x + i);
                return _mm512_mul_ps(value, value);
            },
            [=](std::int64_t i, auto lanes, __m512 before, __m512 middle, __m512 after) PEWTER_LAMBDA {
                const __m512 base = _mm512_fmadd_ps(scales, sumAround<Reach>(before, middle, after), deltas);
                lanes.store(y + i, _mm512_mul_ps(lanes.load(x + i), inverseRoot<Quarters>(base)), past);
            });
}

template <int Quarters, int Reach>
void gradientInRegisters(const CrossChannelParameters& p, const float* x, const float* g, float* diff,
                         std::int64_t pixels, std::int64_t c, float* room, bool past) {
    const __m512 deltas = _mm512_set1_ps(p.delta), scales = _mm512_set1_ps(p.scale),
                 factor = _mm512_set1_ps(p.factor);
    float *const powers = room, *const shares = room + c;
    for (std::int64_t pixel = 0; pixel < pixels; ++pixel, x += c, g += c, diff += c) {
        forChannels(
            c,
            [=](std::int64_t i, auto lanes) PEWTER_LAMBDA {
                __builtin_prefetch(x + i + kAhead, 0, 2);
                const __m512 value = lanes.load(x + i);
                return _mm512_mul_ps(value, value);
            },
            [=](std::int64_t i, auto lanes, __m512 before, __m512 middle, __m512 after) PEWTER_LAMBDA {
                __builtin_prefetch(g + i + kAhead, 0, 2);
                const __m512 base = _mm512_fmadd_ps(scales, sumAround<Reach>(before, middle, after), deltas);
                const __m512 scaled = _mm512_mul_ps(lanes.load(g + i), inverseRoot<Quarters>(base));
                lanes.store(powers + i, scaled);
                lanes.store(shares + i,
                            _mm512_mul_ps(_mm512_mul_ps(scaled, lanes.load(x + i)), reciprocal(base)));
            });
        forChannels(
            c, [=](std::int64_t i, auto lanes) PEWTER_LAMBDA { return lanes.load(shares + i); },
            [=](std::int64_t i, auto lanes, __m512 before, __m512 middle, __m512 after) PEWTER_LAMBDA {
                const __m512 shared = _mm512_mul_ps(factor, sumAround<Reach>(before, middle, after));
                lanes.store(diff + i, _mm512_fnmadd_ps(lanes.load(x + i), shared, lanes.load(powers + i)),
                            past);
            });
    }
}

#endif

}  // namespace

void crossChannelPixels(const CrossChannelParameters& p, const float* x, float* y, std::int64_t pixels,
                        std::int64_t c, float* room, bool past) {
#if defined(__AVX512F__)
    const bool streams = c % 16 == 0 && goesPast(past, y);
    if (inRegisters(p, c, [&]<int Quarters, int Reach>() {
            pixelsInRegisters<Quarters, Reach>(p, x, y, pixels, c, streams);
        }))
        return;
#endif
    static_cast<void>(past);
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
                                std::int64_t pixels, std::int64_t c, float* room, bool past) {
#if defined(__AVX512F__)
    const bool streams = c % 16 == 0 && goesPast(past, diff);
    if (inRegisters(p, c, [&]<int Quarters, int Reach>() {
            gradientInRegisters<Quarters, Reach>(p, x, g, diff, pixels, c, room, streams);
        }))
        return;
#endif
    static_cast<void>(past);
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
