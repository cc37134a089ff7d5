#pragma once

#include "backends/cpu/vector/Math.h"
#include "backends/cpu/vector/Power.h"

#if defined(__AVX512F__)
#include <immintrin.h>
#endif

/// Lambdas in hot loops.
#define PEWTER_LAMBDA __attribute__((always_inline))

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

/// x^-1/2 from the processor's estimate of 14 bits and a step of Newton's, whose residual 1 - x y^2 is taken of both halves of
/// x y: what float32 holds comes out exactly, anything else is off by 2^-27 of itself before it is rounded.
PEWTER_INLINE __m512 inverseSquareRoot(__m512 x, __m512 estimate) {
    const __m512 high = _mm512_mul_ps(x, estimate), low = _mm512_fmsub_ps(x, estimate, high);
    __m512 off = _mm512_fnmadd_ps(high, estimate, _mm512_set1_ps(1.0f));
    off = _mm512_fnmadd_ps(low, estimate, off);
    return _mm512_fmadd_ps(_mm512_mul_ps(estimate, _mm512_set1_ps(0.5f)), off, estimate);
}

/// x^(-Quarters / 4) within 4 roundings, exactly for powers of 16.
template <int Quarters>
PEWTER_INLINE __m512 inverseRoot(__m512 x) {
    const __m512 estimate = _mm512_maskz_rsqrt14_ps(0xffff, x), half = inverseSquareRoot(x, estimate);
    if constexpr (Quarters == 2) {
        return orEstimate(half, estimate);
    } else {
        const __m512 root = _mm512_mul_ps(x, half);
        const __m512 quarter = inverseSquareRoot(root, _mm512_maskz_rsqrt14_ps(0xffff, root));
        return orEstimate(Quarters == 1 ? quarter : _mm512_mul_ps(half, quarter), estimate);
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
PEWTER_INLINE void quotientsOf(const float* powers, const float* bases, float* quotients, std::int64_t count) {
    for (std::int64_t i = 0; i < count; i += 16)
        _mm512_storeu_ps(quotients + i,
                         _mm512_mul_ps(_mm512_loadu_ps(powers + i), reciprocal(_mm512_loadu_ps(bases + i))));
}

/// Up to as many taps a register adds them one by one.
constexpr std::int64_t kFewTaps = 11;

/// use(i, mask of the lanes that count, sum over the taps) for registers of windows: nothing goes through memory on the way.
/// Taps: their number, 0 for any.
template <int Taps, class Use>
PEWTER_INLINE void forWindowsOf(const float* columns, std::int64_t taps, std::int64_t step, std::int64_t count, Use use) {
    const std::int64_t number = Taps > 0 ? Taps : taps;
    for (std::int64_t i = 0; i < count; i += 16) {
        const auto mask = static_cast<__mmask16>(count - i >= 16 ? 0xffff : (1 << (count - i)) - 1);
        __m512 sum = _mm512_maskz_loadu_ps(mask, columns + i);
        for (std::int64_t t = 1; t < number; ++t)
            sum = _mm512_add_ps(sum, _mm512_maskz_loadu_ps(mask, columns + i + t * step));
        use(i, mask, sum);
    }
}

template <class Use>
PEWTER_INLINE void forWindows(const float* columns, std::int64_t taps, std::int64_t step, std::int64_t count, Use use) {
    if (taps == 5) return forWindowsOf<5>(columns, taps, step, count, use);
    if (taps == 9) return forWindowsOf<9>(columns, taps, step, count, use);
    forWindowsOf<0>(columns, taps, step, count, use);
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

/// use(i, base^(-exponent - 1), base^-exponent) with the base of element i, i < count; the former, a quotient, only if
/// Quotients. Powers that are products are divided: base / base is 1.
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
