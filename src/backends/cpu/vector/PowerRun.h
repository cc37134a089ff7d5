#pragma once

#include "backends/cpu/vector/Math.h"
#include "backends/cpu/vector/Power.h"

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

}  // namespace
}  // namespace pewter::cpu::PEWTER_ISA
