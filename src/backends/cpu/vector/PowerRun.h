#pragma once

#include "backends/cpu/vector/Math.h"
#include "backends/cpu/vector/Power.h"

#if defined(__AVX512F__)
#include <immintrin.h>
#endif

namespace pewter::cpu::PEWTER_ISA {
namespace {

/// x^-exponent of one base. Quarter: the exponent's quarters, -1 for an exponent that is none of them. Its
/// integer part is put together of squares; which of them is the same for a whole loop, so that nothing
/// branches in it.
template <int Quarter>
struct InversePower {
    explicit InversePower(const Power& p)
        : minusExponent(-p.exponent),
          one((p.whole & 1) != 0),
          two((p.whole & 2) != 0),
          four((p.whole & 4) != 0),
          inverse(p.inverse) {}

    PEWTER_INLINE float operator()(float x) const {
        if constexpr (Quarter < 0) return exponential(minusExponent * logarithm(x));
        float power = one ? x : 1.0f;
        const float square = x * x;
        power *= two ? square : 1.0f;
        power *= four ? square * square : 1.0f;
        if constexpr (Quarter > 0) {
            const float root = __builtin_sqrtf(x);
            if constexpr (Quarter != 1) power *= root;
            if constexpr (Quarter != 2) power *= __builtin_sqrtf(root);
        }
        return inverse ? 1.0f / power : power;
    }

    float minusExponent;
    bool one, two, four, inverse;
};

/// fn(InversePower) for the power; fn is compiled once for each kind of it.
template <class Fn>
PEWTER_INLINE void withPower(const Power& p, Fn fn) {
    if (p.whole < 0) return fn(InversePower<-1>(p));
    switch (p.quarter) {
        case 0:
            return fn(InversePower<0>(p));
        case 1:
            return fn(InversePower<1>(p));
        case 2:
            return fn(InversePower<2>(p));
        default:
            return fn(InversePower<3>(p));
    }
}

/// Elements whose powers are made together.
constexpr std::int64_t kPowers = 256;

#if defined(__AVX512F__)

/// Where a root of x was made of 0, infinity or less than 0 by Newton's step, what the estimate has is right.
PEWTER_INLINE __m512 orEstimate(__m512 refined, __m512 estimate) {
    return _mm512_mask_mov_ps(refined, _mm512_cmp_ps_mask(refined, refined, _CMP_UNORD_Q), estimate);
}

/// x^(-Quarters / 4) within 2 roundings, exactly where float32 holds it (powers of 2, whose estimates are
/// exact): a product p of the processor's estimates of 14 bits, and a step of Newton's on the residual r = 1
/// - x^Quarters p^4; r^2 counts where p has more than one estimate's error.
template <int Quarters>
PEWTER_INLINE __m512 inverseRoot(__m512 x) {
    const __m512 estimate = _mm512_maskz_rsqrt14_ps(0xffff, x), one = _mm512_set1_ps(1.0f);
    if constexpr (Quarters == 2) {
        const __m512 off = _mm512_fnmadd_ps(_mm512_mul_ps(x, estimate), estimate, one);
        return orEstimate(_mm512_fmadd_ps(_mm512_mul_ps(estimate, _mm512_set1_ps(0.5f)), off, estimate),
                          estimate);
    } else {
        __m512 p = _mm512_mul_ps(estimate, _mm512_maskz_rsqrt14_ps(0xffff, estimate)), off;
        if constexpr (Quarters == 1) {
            const __m512 square = _mm512_mul_ps(p, p);
            off = _mm512_fnmadd_ps(_mm512_mul_ps(x, square), square, one);
        } else {
            p = _mm512_mul_ps(p, estimate);
            const __m512 quarter = _mm512_mul_ps(x, p);  // near x^1/4: nothing on the way overflows
            off = _mm512_fnmadd_ps(_mm512_mul_ps(quarter, p), _mm512_mul_ps(quarter, quarter), one);
        }
        const __m512 factor = _mm512_fmadd_ps(off, _mm512_set1_ps(5.0f / 32), _mm512_set1_ps(0.25f));
        return orEstimate(_mm512_fmadd_ps(_mm512_mul_ps(p, off), factor, p), estimate);
    }
}

/// 1 / x within 2 roundings, in the same way.
PEWTER_INLINE __m512 reciprocal(__m512 x) {
    const __m512 estimate = _mm512_maskz_rcp14_ps(0xffff, x);
    const __m512 off = _mm512_fnmadd_ps(x, estimate, _mm512_set1_ps(1.0f));
    return orEstimate(_mm512_fmadd_ps(estimate, off, estimate), estimate);
}

/// Whether a power is one of those roots.
PEWTER_INLINE bool isInverseRoot(const Power& p) { return p.whole == 0 && p.quarter != 0 && p.inverse; }

template <int Quarters>
PEWTER_INLINE void inverseRoots(const float* from, float* to) {
    _mm512_storeu_ps(to, inverseRoot<Quarters>(_mm512_loadu_ps(from)));
}

/// The same for `count` values; the ends of both runs are read and written up to a whole register.
PEWTER_INLINE bool inverseRootsOf(const Power& p, const float* from, float* to, std::int64_t count) {
    if (!isInverseRoot(p)) return false;
    for (std::int64_t i = 0; i < count; i += 16) switch (p.quarter) {
            case 1:
                inverseRoots<1>(from + i, to + i);
                break;
            case 2:
                inverseRoots<2>(from + i, to + i);
                break;
            default:
                inverseRoots<3>(from + i, to + i);
        }
    return true;
}

/// quotients[i] = powers[i] / bases[i] for such roots.
PEWTER_INLINE void quotientsOf(const float* powers, const float* bases, float* quotients,
                               std::int64_t count) {
    for (std::int64_t i = 0; i < count; i += 16)
        _mm512_storeu_ps(quotients + i,
                         _mm512_mul_ps(_mm512_loadu_ps(powers + i), reciprocal(_mm512_loadu_ps(bases + i))));
}

/// Up to as many taps a register adds them one by one.
constexpr std::int64_t kFewTaps = 11;

/// A register's worth of elements of which the first `count` count; All: every one.
template <bool All>
struct LanesOf {
    __mmask16 mask;

    PEWTER_INLINE explicit LanesOf(std::int64_t count) : mask(static_cast<__mmask16>((1 << count) - 1)) {}
    PEWTER_INLINE __m512 load(const float* from) const {
        return All ? _mm512_loadu_ps(from) : _mm512_maskz_loadu_ps(mask, from);
    }
    /// Past the caches if that is wanted and `to` is aligned; see Register.h.
    PEWTER_INLINE void store(float* to, __m512 value, bool past = false) const {
        if (!All)
            _mm512_mask_storeu_ps(to, mask, value);
        else if (past)
            _mm512_stream_ps(to, value);
        else
            _mm512_storeu_ps(to, value);
    }
};

/// use(i, lanes) for registers of `count` elements.
template <class Use>
PEWTER_INLINE void forRegisters(std::int64_t count, Use use) {
    std::int64_t i = 0;
    for (; i + 16 <= count; i += 16) use(i, LanesOf<true>(16));
    if (i < count) use(i, LanesOf<false>(count - i));
}

/// Whether a run of results goes past the caches: it does where that is wanted and its registers are aligned.
PEWTER_INLINE bool goesPast(bool wanted, const float* to) {
    return wanted && reinterpret_cast<std::uintptr_t>(to) % sizeof(__m512) == 0;
}

/// The sums over the taps of windows, one a lane, of the registers of a run from its first on. Taps: their number, 0 for
/// any.
template <int Taps>
struct WindowSum {
    const float* columns;
    std::int64_t taps, step;

    WindowSum(const float* run, std::int64_t, std::int64_t number, std::int64_t distance)
        : columns(run), taps(number), step(distance) {}
    template <class Lanes>
    PEWTER_INLINE __m512 next(const Lanes& lanes) {
        const std::int64_t number = Taps > 0 ? Taps : taps;
        __m512 sum = lanes.load(columns);
        for (std::int64_t t = 1; t < number; ++t) sum = _mm512_add_ps(sum, lanes.load(columns + t * step));
        columns += 16;
        return sum;
    }
};

/// The same for taps three elements apart, 5 or 9 of them. Most of their registers would lie across two lines of the cache:
/// every one is read once, and shifted into those before it.
template <int Taps>
struct SumOfThirds {
    const float *columns, *end;
    __m512 read, sums[2];

    SumOfThirds(const float* run, std::int64_t count, std::int64_t, std::int64_t)
        : columns(run), end(run + count + 3 * (Taps - 1)) {
        if (!run) return;
        sums[0] = load();
        if constexpr (Taps == 9) {
            const __m512 second = load();
            sums[0] = three(sums[0], second);
            read = load();
            sums[1] = three(second, read);
        }
    }
    template <class Lanes>
    PEWTER_INLINE __m512 next(const Lanes&) {
        const __m512 ahead = load();
        if constexpr (Taps == 9) {
            // Sums of three, nine elements apart.
            const __m512 last = three(read, ahead);
            const __m512 sum = _mm512_add_ps(_mm512_add_ps(sums[0], shifted<9>(sums[0], sums[1])), shifted<2>(sums[1], last));
            read = ahead, sums[0] = sums[1], sums[1] = last;
            return sum;
        } else {
            const __m512 now = sums[0];
            sums[0] = ahead;
            return _mm512_add_ps(three(now, ahead), _mm512_add_ps(shifted<9>(now, ahead), shifted<12>(now, ahead)));
        }
    }

private:
    template <int Lanes>
    PEWTER_INLINE static __m512 shifted(__m512 low, __m512 high) {
        return _mm512_castsi512_ps(_mm512_maskz_alignr_epi32(0xffff, _mm512_castps_si512(high), _mm512_castps_si512(low), Lanes));
    }
    PEWTER_INLINE static __m512 three(__m512 low, __m512 high) {
        return _mm512_add_ps(_mm512_add_ps(low, shifted<3>(low, high)), shifted<6>(low, high));
    }
    /// What lies behind the run is not read.
    PEWTER_INLINE __m512 load() {
        const float* const from = columns;
        columns += 16;
        if (end >= columns) return _mm512_loadu_ps(from);
        return end > from ? LanesOf<false>(end - from).load(from) : _mm512_setzero_ps();
    }
};

/// fn(over) for a number of taps, where over(run, count).next(lanes) is the sum over the windows of the run's registers, one
/// after the other: nothing goes through memory on the way from a window's columns to their use.
template <class Fn>
PEWTER_INLINE void withWindowSum(std::int64_t taps, std::int64_t step, Fn fn) {
    const auto by = [=]<class Sum>() PEWTER_LAMBDA {
        fn([=](const float* run, std::int64_t count) PEWTER_LAMBDA { return Sum(run, count, taps, step); });
    };
    if (taps == 5 && step == 3) return by.template operator()<SumOfThirds<5>>();
    if (taps == 9 && step == 3) return by.template operator()<SumOfThirds<9>>();
    if (taps == 5) return by.template operator()<WindowSum<5>>();
    if (taps == 9) return by.template operator()<WindowSum<9>>();
    by.template operator()<WindowSum<0>>();
}

/// fn(the quarters of the exponent as a constant).
template <class Fn>
PEWTER_INLINE void withQuarters(const Power& p, Fn fn) {
    if (p.quarter == 1) return fn.template operator()<1>();
    if (p.quarter == 2) return fn.template operator()<2>();
    fn.template operator()<3>();
}

#else

PEWTER_INLINE void quotientsOf(const float*, const float*, float*, std::int64_t) {}
PEWTER_INLINE bool inverseRootsOf(const Power&, const float*, float*, std::int64_t) { return false; }

#endif

/// use(i, base^(-exponent - 1), base^-exponent) with the base of element i, i < count; the former, a
/// quotient, only if Quotients. Powers that are products are divided: base / base is 1.
template <bool Quotients = false, class Base, class Use>
PEWTER_INLINE void forPowers(const Power& p, std::int64_t count, Base base, Use use) {
    alignas(64) float bases[kPowers], powers[kPowers], quotients[kPowers];
    for (std::int64_t first = 0; first < count; first += kPowers) {
        const std::int64_t some = count - first < kPowers ? count - first : kPowers;
        PEWTER_VECTORIZE
        for (std::int64_t i = 0; i < some; ++i) bases[i] = base(first + i);
        for (std::int64_t i = some; i < kPowers && i % 16 != 0; ++i) bases[i] = 1.0f;
        if (inverseRootsOf(p, bases, powers, some)) {
            if (Quotients) quotientsOf(powers, bases, quotients, some);
        } else {
            withPower(p, [&](auto power) {
                PEWTER_VECTORIZE
                for (std::int64_t i = 0; i < some; ++i) {
                    powers[i] = power(bases[i]);
                    if constexpr (Quotients) quotients[i] = powers[i] / bases[i];
                }
            });
        }
        PEWTER_VECTORIZE
        for (std::int64_t i = 0; i < some; ++i) use(first + i, Quotients ? quotients[i] : 0.0f, powers[i]);
    }
}

}  // namespace
}  // namespace pewter::cpu::PEWTER_ISA
