#pragma once

#include <cstdint>

// Elementary functions in float32 without branches, so that loops over them become vector code. Relative
// errors are bounds over all finite arguments, found by tests/ops/CpuNeuronMath.cpp against double; 1 ulp =
// 2^-23 of the value.

#ifndef PEWTER_ISA
#define PEWTER_ISA baseline
#endif

/// For loops whose operands are either the same memory or disjoint: compilers otherwise fear the former.
#define PEWTER_VECTORIZE _Pragma("GCC ivdep")

/// For lambdas in hot loops: loops over them become vector code only where they are inlined.
#define PEWTER_LAMBDA __attribute__((always_inline))

namespace pewter::cpu::PEWTER_ISA {
namespace {

#define PEWTER_INLINE [[gnu::always_inline]] inline

PEWTER_INLINE std::uint32_t bitsOf(float x) { return __builtin_bit_cast(std::uint32_t, x); }
PEWTER_INLINE float fromBits(std::uint32_t bits) { return __builtin_bit_cast(float, bits); }

constexpr float kInfinity = __builtin_inff();
constexpr float kNaN = __builtin_nanf("");
constexpr float kSmallestNormal = 0x1p-126f;
/// Adding it leaves the nearest integer in the low bits: 1.5 * 2^23.
constexpr float kRounder = 0x1.8p23f;

PEWTER_INLINE float magnitude(float x) { return fromBits(bitsOf(x) & 0x7fffffffu); }
PEWTER_INLINE float withSign(float size, float sign) {
    return fromBits(bitsOf(size) | (bitsOf(sign) & 0x80000000u));
}

/// e^x = 2^n (1 + p): x = n ln 2 + r with |r| <= ln(2)/2 in two steps (Cody and Waite), p = r + r^2 q(r) with q of
/// degree 4 fitted for least greatest relative error of p (iteratively reweighted least squares on 2000 Chebyshev
/// nodes): 1.6e-8.
struct ExpParts {
    float p;
    /// n in the low bits, those of kRounder above.
    std::uint32_t power;
};

PEWTER_INLINE ExpParts expParts(float x) {
    constexpr float kLog2E = 1.44269504088896341f;
    constexpr float kLn2High = 0x1.62e4p-1f, kLn2Low = 0x1.7f7d1cp-20f;
    const float rounded = x * kLog2E + kRounder;
    const float n = rounded - kRounder;
    const float r = (x - n * kLn2High) - n * kLn2Low;
    float q = 0x1.6d995ap-10f;
    q = q * r + 0x1.122838p-7f;
    q = q * r + 0x1.555486p-5f;
    q = q * r + 0x1.5554b0p-3f;
    q = q * r + 0.5f;
    return {r * r * q + r, bitsOf(rounded)};
}

/// 2^(n + by) for an n whose power stays a normal number: the bits of kRounder are shifted out.
PEWTER_INLINE float powerOf2(std::uint32_t power, int by = 0) {
    return fromBits((power << 23) + (static_cast<std::uint32_t>(127 + by) << 23));
}

/// 2^n as a product of two factors, so that neither leaves the range of float32.
struct Scale {
    float first, second;
};
PEWTER_INLINE Scale scaleOf(std::uint32_t power) {
    const auto whole = static_cast<std::int32_t>(power) - static_cast<std::int32_t>(bitsOf(kRounder));
    const std::int32_t half = whole >> 1;
    return {fromBits(static_cast<std::uint32_t>(half + 127) << 23),
            fromBits(static_cast<std::uint32_t>(whole - half + 127) << 23)};
}

/// e^x within 2 ulp (in the range of subnormal results: within one step of it).
PEWTER_INLINE float exponential(float x) {
    // Keeps n within what two factors can carry; both ends are past 0 and infinity. NaN passes.
    const float bounded = x > 90.0f ? 90.0f : (x < -105.0f ? -105.0f : x);
    const ExpParts e = expParts(bounded);
    const Scale scale = scaleOf(e.power);
    return (scale.first + scale.first * e.p) * scale.second;
}

/// The same for x <= 0, in fewer steps: one factor is enough once it is 2^25 too large.
PEWTER_INLINE float exponentialOfNegative(float x) {
    const ExpParts e = expParts(x < -104.0f ? -104.0f : x);
    const float scale = powerOf2(e.power, 25);
    return (scale + scale * e.p) * 0x1p-25f;
}

/// e^x - 1 within 3 ulp, also near 0.
PEWTER_INLINE float exponentialMinus1(float x) {
    const float bounded = x > 90.0f ? 90.0f : (x < -30.0f ? -30.0f : x);
    const ExpParts e = expParts(bounded);
    const Scale factors = scaleOf(e.power);
    // 2^n p + (2^n - 1): for n = 0 the polynomial alone. n is at most 130 here; the second factor comes last.
    const float scale = factors.first * factors.second;
    const float small = scale * e.p + (scale - 1.0f);
    const float large = (factors.first + factors.first * e.p) * factors.second;
    return x > 30.0f ? large : small;
}

/// The same for x <= 0.
PEWTER_INLINE float exponentialMinus1OfNegative(float x) {
    const ExpParts e = expParts(x < -30.0f ? -30.0f : x);
    const float scale = powerOf2(e.power);
    return scale * e.p + (scale - 1.0f);
}

/// ln x within 2 ulp: x = 2^e m with m in [sqrt(1/2), sqrt(2)), then ln m = 2 artanh(s), s = (m-1)/(m+1), as
/// its power series up to s^9 (what it leaves out is below 3e-9 of the value), written so that m - 1 enters
/// exactly. 0 gives -infinity, a negative number NaN.
PEWTER_INLINE float logarithm(float x) {
    constexpr float kLn2High = 0x1.62e4p-1f, kLn2Low = 0x1.7f7d1cp-20f;
    const bool tiny = x < kSmallestNormal;
    const std::uint32_t bits = bitsOf(tiny ? x * 0x1p23f : x);
    const std::int32_t shifted = static_cast<std::int32_t>(bits - 0x3f3504f3u) >> 23;
    const float m = fromBits(bits - (static_cast<std::uint32_t>(shifted) << 23));
    const float e = static_cast<float>(shifted) - (tiny ? 23.0f : 0.0f);
    const float f = m - 1.0f;
    const float s = f / (2.0f + f);
    const float z = s * s;
    const float tail = z * (2.0f / 3 + z * (2.0f / 5 + z * (2.0f / 7 + z * (2.0f / 9))));
    const float halfSquare = 0.5f * f * f;
    const float result = e * kLn2High - ((halfSquare - (s * (halfSquare + tail) + e * kLn2Low)) - f);
    const float special = x == 0.0f ? -kInfinity : (x < 0.0f ? kNaN : x);
    // False for NaN too.
    return x > 0.0f && x < kInfinity ? result : special;
}

/// ln(1 + u) for u in [0, 1] within 2 ulp: 2 artanh(u / (2 + u)) as its power series up to the 15th power;
/// what it leaves out is below 2e-9 of the value.
PEWTER_INLINE float logarithmOnePlus(float u) {
    const float s = u / (2.0f + u);
    const float z = s * s;
    float p = 2.0f / 15;
    p = p * z + 2.0f / 13;
    p = p * z + 2.0f / 11;
    p = p * z + 2.0f / 9;
    p = p * z + 2.0f / 7;
    p = p * z + 2.0f / 5;
    p = p * z + 2.0f / 3;
    return (p * z) * s + 2.0f * s;
}

/// 1 / (1 + e^-x) within 3 ulp on both sides.
PEWTER_INLINE float sigmoid(float x) {
    const float e = exponentialOfNegative(-magnitude(x));
    // Written so that NaN stays NaN.
    return (x < 0.0f ? e : 1.0f) / (1.0f + e);
}

/// tanh x within 4 ulp: (1 - e^-2|x|) / (1 + e^-2|x|), with the sign of x.
PEWTER_INLINE float hyperbolicTangent(float x) {
    const float e = exponentialMinus1OfNegative(-2.0f * magnitude(x));
    return withSign(magnitude(e / (e + 2.0f)), x);
}

/// The normal distribution: cumulative (1 + erf(x / sqrt 2)) / 2 and density e^(-x^2/2) / sqrt(2 pi).
struct Normal {
    float cumulative, density;
};

/// Phi(-|x|) = e^(-x^2/2) t P(t), t = 1 / (1 + 0.3 |x| / sqrt 2); P of degree 8 was fitted for least greatest
/// relative error (iteratively reweighted least squares on 400 Chebyshev nodes, |x| < 14) and is off by 2e-8.
/// The cumulative is right within 5 ulp for x >= -1; further left x^2/2 more, the rounding of the exponent.
/// The same holds for the density with 3 ulp.
PEWTER_INLINE Normal normal(float x) {
    const float size = magnitude(x);
    const float capped = size > 20.0f ? 20.0f : size;
    const float e = exponentialOfNegative(-0.5f * capped * capped);
    const float t = 1.0f / (1.0f + 0.212132034f * capped);
    float p = -0.0647613779f;
    p = p * t + 0.242781237f;
    p = p * t - 0.256138295f;
    p = p * t + 0.273859143f;
    p = p * t - 0.0473247766f;
    p = p * t + 0.107462786f;
    p = p * t + 0.0741696507f;
    p = p * t + 0.0853576064f;
    p = p * t + 0.0845940039f;
    const float below = e * t * p;
    return {x < 0.0f ? below : 1.0f - below, 0.398942280f * e};
}

}  // namespace
}  // namespace pewter::cpu::PEWTER_ISA
