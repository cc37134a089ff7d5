#include "backends/cpu/vector/Neuron.h"

#include "backends/cpu/vector/Math.h"

namespace pewter::cpu::PEWTER_ISA {
namespace {

/// dst[i] = fn(src[i], i).
template <class Fn>
PEWTER_INLINE void map(const float* src, float* dst, std::int64_t count, Fn fn) {
    PEWTER_VECTORIZE
    for (std::int64_t i = 0; i < count; ++i) dst[i] = fn(src[i], i);
}

/// diffSrc[i] = diffDst[i] * fn(src[i], i).
template <class Fn>
PEWTER_INLINE void scale(const float* src, const float* diffDst, float* diffSrc, std::int64_t count, Fn fn) {
    PEWTER_VECTORIZE
    for (std::int64_t i = 0; i < count; ++i) diffSrc[i] = diffDst[i] * fn(src[i], i);
}

/// x below `high`, NaN kept.
PEWTER_INLINE float atMost(float x, float high) { return high < x ? high : x; }
PEWTER_INLINE float atLeast(float x, float low) { return x < low ? low : x; }

/// c^u: Exponential's function, base e for c = -1. logarithm is ln c.
PEWTER_INLINE bool hasLogarithm(float c) { return c == -1.0f || c > 0.0f; }
PEWTER_INLINE float logarithmOf(float c) {
    return c == -1.0f ? 1.0f : static_cast<float>(__builtin_log(static_cast<double>(c)));
}

/// Slow and exact, for parameters that nobody trains with.
float power(float base, float exponent) {
    return static_cast<float>(__builtin_pow(static_cast<double>(base), static_cast<double>(exponent)));
}

float affinePower(const ops::Neuron& f, float x, double exponent) {
    const double u = static_cast<double>(f.a) * static_cast<double>(x) + static_cast<double>(f.b);
    return static_cast<float>(__builtin_pow(u, exponent));
}

}  // namespace

void neuronForward(const ops::Neuron& neuron, const float* slopes, const float* src, float* dst,
                   std::int64_t count) {
    using enum ops::NeuronType;
    const ops::Neuron f = neuron;
    const float a = f.a, b = f.b, c = f.c;
    switch (f.type) {
        case None:
            if (src != dst) map(src, dst, count, [](float x, std::int64_t) { return x; });
            return;
        case ReLU:
            // Without a leak the product must not appear: 0 * -infinity is NaN.
            if (a == 0.0f)
                return map(src, dst, count, [](float x, std::int64_t) { return atLeast(x, 0.0f); });
            return map(src, dst, count, [=](float x, std::int64_t) { return x >= 0.0f ? x : a * x; });
        case Linear:
            return map(src, dst, count, [=](float x, std::int64_t) { return a * x + b; });
        case Sigmoid:
            return map(src, dst, count, [](float x, std::int64_t) { return sigmoid(x); });
        case HardSigmoid:
            return map(src, dst, count,
                       [=](float x, std::int64_t) { return atMost(atLeast(a * x + b, 0.0f), 1.0f); });
        case TanH:
            return map(src, dst, count, [=](float x, std::int64_t) { return a * hyperbolicTangent(b * x); });
        case Absolute:
            return map(src, dst, count, [](float x, std::int64_t) { return magnitude(x); });
        case SoftPlus:
            return map(src, dst, count, [=](float x, std::int64_t) {
                const float u = b * x;
                return a * (atLeast(u, 0.0f) + logarithmOnePlus(exponentialOfNegative(-magnitude(u))));
            });
        case SoftSign:
            return map(src, dst, count, [](float x, std::int64_t) { return x / (1.0f + magnitude(x)); });
        case ELU:
            return map(src, dst, count,
                       [=](float x, std::int64_t) { return x >= 0.0f ? x : a * exponentialMinus1(x); });
        case PReLU:
            return map(src, dst, count, [=](float x, std::int64_t i) {
                const float slope = slopes[i];
                return x >= 0.0f ? x : (slope == 0.0f && x == x ? 0.0f : slope * x);
            });
        case ReLUN:
            if (a == 0.0f)
                return map(src, dst, count,
                           [=](float x, std::int64_t) { return atMost(atLeast(x, 0.0f), b); });
            return map(src, dst, count,
                       [=](float x, std::int64_t) { return atMost(x >= 0.0f ? x : a * x, b); });
        case Power:
            if (c == 1.0f) return map(src, dst, count, [=](float x, std::int64_t) { return a * x + b; });
            if (c == 2.0f)
                return map(src, dst, count, [=](float x, std::int64_t) { return (a * x + b) * (a * x + b); });
            for (std::int64_t i = 0; i < count; ++i) dst[i] = affinePower(f, src[i], static_cast<double>(c));
            return;
        case Exponential: {
            if (!hasLogarithm(c)) {
                for (std::int64_t i = 0; i < count; ++i) dst[i] = power(c, a * src[i] + b);
                return;
            }
            const float ln = logarithmOf(c);
            return map(src, dst, count, [=](float x, std::int64_t) { return exponential((a * x + b) * ln); });
        }
        case Logarithm: {
            const float ln = logarithmOf(c);
            return map(src, dst, count, [=](float x, std::int64_t) { return logarithm(a * x + b) / ln; });
        }
        case GeLU:
            return map(src, dst, count, [](float x, std::int64_t) { return x * normal(x).cumulative; });
    }
}

void neuronGradient(const ops::Neuron& neuron, const float* slopes, const float* src, const float* diffDst,
                    float* diffSrc, std::int64_t count) {
    using enum ops::NeuronType;
    const ops::Neuron f = neuron;
    const float a = f.a, b = f.b, c = f.c;
    const auto with = [=](auto fn) { scale(src, diffDst, diffSrc, count, fn); };
    switch (f.type) {
        case None:
            return with([](float, std::int64_t) { return 1.0f; });
        case ReLU:
            return with([=](float x, std::int64_t) { return x >= 0.0f ? 1.0f : a; });
        case Linear:
            return with([=](float, std::int64_t) { return a; });
        case Sigmoid:
            return with([](float x, std::int64_t) {
                const float e = exponentialOfNegative(-magnitude(x)), whole = 1.0f + e;
                return e / (whole * whole);
            });
        case HardSigmoid:
            return with([=](float x, std::int64_t) {
                const float u = a * x + b;
                return u >= 0.0f && u <= 1.0f ? a : 0.0f;
            });
        case TanH:
            // 1 - tanh^2 = 4 e / (1 + e)^2 with e = e^(-2|u|): no cancellation.
            return with([=](float x, std::int64_t) {
                const float e = exponentialOfNegative(-2.0f * magnitude(b * x)), whole = 1.0f + e;
                return a * b * (4.0f * e / (whole * whole));
            });
        case Absolute:
            return with(
                [](float x, std::int64_t) { return (x > 0.0f ? 1.0f : 0.0f) - (x < 0.0f ? 1.0f : 0.0f); });
        case SoftPlus:
            return with([=](float x, std::int64_t) { return a * b * sigmoid(b * x); });
        case SoftSign:
            return with([](float x, std::int64_t) {
                const float whole = 1.0f + magnitude(x);
                return 1.0f / (whole * whole);
            });
        case ELU:
            return with([=](float x, std::int64_t) { return x >= 0.0f ? 1.0f : a * exponential(x); });
        case PReLU:
            return with([=](float x, std::int64_t i) {
                const float slope = slopes[i];
                return x >= 0.0f ? 1.0f : slope;
            });
        case ReLUN:
            return with([=](float x, std::int64_t) {
                const float leak = a == 0.0f ? 0.0f : a * x;
                const float slope = x >= 0.0f ? 1.0f : a;
                return (x >= 0.0f ? x : leak) >= b ? 0.0f : slope;
            });
        case Power:
            if (c == 1.0f) return with([=](float, std::int64_t) { return a; });
            if (c == 2.0f) return with([=](float x, std::int64_t) { return 2.0f * a * (a * x + b); });
            for (std::int64_t i = 0; i < count; ++i)
                diffSrc[i] = diffDst[i] * (a * c * affinePower(f, src[i], static_cast<double>(c) - 1.0));
            return;
        case Exponential: {
            const float ln = logarithmOf(c);
            if (!hasLogarithm(c)) {
                for (std::int64_t i = 0; i < count; ++i)
                    diffSrc[i] = diffDst[i] * (a * ln * power(c, a * src[i] + b));
                return;
            }
            return with([=](float x, std::int64_t) { return a * ln * exponential((a * x + b) * ln); });
        }
        case Logarithm: {
            const float ln = logarithmOf(c);
            return with([=](float x, std::int64_t) { return a / (ln * (a * x + b)); });
        }
        case GeLU:
            return with([](float x, std::int64_t) {
                const Normal at = normal(x);
                return at.cumulative + x * at.density;
            });
    }
}

}  // namespace pewter::cpu::PEWTER_ISA
