#include "backends/cpu/vector/Loss.h"

#include "backends/cpu/vector/Reduce.h"
#include "backends/cpu/vector/SoftMax.h"

namespace pewter::cpu::PEWTER_ISA {
namespace {

/// dst[i] = weight w[i] fn(i); dst and w may be null.
template <class Fn>
PEWTER_INLINE void weighted(float* const dst, const float* const w, float weight, std::int64_t count, Fn fn) {
    if (dst == nullptr) return;
    if (w != nullptr) {
        PEWTER_VECTORIZE
        for (std::int64_t i = 0; i < count; ++i) dst[i] = weight * w[i] * fn(i);
    } else {
        PEWTER_VECTORIZE
        for (std::int64_t i = 0; i < count; ++i) dst[i] = weight * fn(i);
    }
}

/// *sum += the sum of weight w[i] fn(i); sum and w may be null.
template <class Fn>
PEWTER_INLINE void addUp(double* const sum, const float* const w, float weight, std::int64_t count, Fn fn) {
    if (sum == nullptr) return;
    if (w != nullptr)
        *sum += sumOf(count, [=](std::int64_t i) PEWTER_LAMBDA { return weight * w[i] * fn(i); });
    else
        *sum += sumOf(count, [=](std::int64_t i) PEWTER_LAMBDA { return weight * fn(i); });
}

/// Loss and gradients of every element from prediction y and label t. The loss first: a gradient may be
/// written over the predictions.
template <class Value, class Derivative, class LabelDerivative>
PEWTER_INLINE void elements(const LossRun& run, Value value, Derivative derivative,
                            LabelDerivative labelDerivative) {
    const std::int64_t count = run.pixels * run.c;
    const float* const y = run.src;
    const float* const t = run.labels;
    const auto each = [&](float* dst, auto fn) PEWTER_LAMBDA {
        weighted(dst, run.weights, run.weight, count,
                 [=](std::int64_t i) PEWTER_LAMBDA { return fn(y[i], t[i]); });
    };
    addUp(run.sum, run.weights, run.weight, count,
          [=](std::int64_t i) PEWTER_LAMBDA { return value(y[i], t[i]); });
    each(run.loss, value);
    each(run.labelGradient, labelDerivative);
    each(run.gradient, derivative);
}

/// Channels from which on a pixel alone fills the vectors.
constexpr std::int64_t kWide = 64;
/// Channels at a time, and those of a cache line.
constexpr std::int64_t kPiece = 512, kLine = 16;

/// Softmax cross entropy of pixels of many channels: one exponential an element serves sum and gradient.
/// Smoothed labels are t keep + share.
PEWTER_INLINE void wideSoftMax(const LossRun& run, float keep, float share, float* const e) {
    const std::int64_t c = run.c;
    const auto at = [](auto* values, std::int64_t first) {
        return values == nullptr ? values : values + first;
    };
    for (std::int64_t first = 0; first < run.pixels * c; first += c) {
        const float* const y = run.src + first;
        const float top = greatest(y, c);
        double total = 0;
        for (std::int64_t from = 0; from < c; from += kPiece) {
            const std::int64_t count = c - from < kPiece ? c - from : kPiece;
            // Memory is asked for while exponentials keep the processor busy.
            for (std::int64_t k = from; k < from + count; k += kLine) {
                __builtin_prefetch(run.labels + first + k);
                __builtin_prefetch(y + c + k);
                if (run.gradient != nullptr) __builtin_prefetch(run.gradient + first + k, 1);
            }
            const float* const x = y + from;
            float* const ofPiece = e + from;
            PEWTER_VECTORIZE
            for (std::int64_t k = 0; k < count; ++k) ofPiece[k] = exponentialOfNegative(x[k] - top);
            total += sumOf(count, [=](std::int64_t k) PEWTER_LAMBDA { return ofPiece[k]; });
        }
        const auto sum = static_cast<float>(total);
        const float logarithmOfSum = logarithm(sum), reciprocal = 1.0f / sum;
        // Piece by piece, so that a piece stays in the first-level cache for all results.
        for (std::int64_t from = 0; from < c; from += kPiece) {
            const std::int64_t count = c - from < kPiece ? c - from : kPiece, i = first + from;
            const float* const y = run.src + i;
            const float* const t = run.labels + i;
            const float* const w = at(run.weights, i);
            const float* const ofPiece = e + from;
            const auto loss = [=](std::int64_t k) PEWTER_LAMBDA {
                return -(t[k] * keep + share) * ((y[k] - top) - logarithmOfSum);
            };
            addUp(run.sum, w, run.weight, count, loss);
            weighted(at(run.loss, i), w, run.weight, count, loss);
            weighted(at(run.labelGradient, i), w, run.weight, count,
                     [=](std::int64_t k) PEWTER_LAMBDA { return -keep * ((y[k] - top) - logarithmOfSum); });
            weighted(at(run.gradient, i), w, run.weight, count, [=](std::int64_t k) PEWTER_LAMBDA {
                return ofPiece[k] * reciprocal - (t[k] * keep + share);
            });
        }
    }
}

PEWTER_INLINE float sign(float x) { return (x > 0.0f ? 1.0f : 0.0f) - (x < 0.0f ? 1.0f : 0.0f); }

/// 2 t - 1: Hinge's labels are 0 and 1.
PEWTER_INLINE float hingeMargin(float y, float t) { return 1.0f - (2.0f * t - 1.0f) * y; }

}  // namespace

void lossRun(const ops::LossFunction& function, const LossRun& run, float* room) {
    const float delta = function.delta, epsilon = function.epsilon;
    const bool smooth = function.labelSmoothing > 0.0f;
    const float keep = smooth ? 1.0f - function.labelSmoothing : 1.0f;
    switch (function.type) {
        case ops::LossType::MeanAbsoluteError:
            return elements(
                run, [](float y, float t) PEWTER_LAMBDA { return magnitude(y - t); },
                [](float y, float t) PEWTER_LAMBDA { return sign(y - t); },
                [](float y, float t) PEWTER_LAMBDA { return sign(t - y); });
        case ops::LossType::MeanSquaredError:
            return elements(
                run, [](float y, float t) PEWTER_LAMBDA { return (y - t) * (y - t); },
                [](float y, float t) PEWTER_LAMBDA { return 2.0f * (y - t); },
                [](float y, float t) PEWTER_LAMBDA { return 2.0f * (t - y); });
        case ops::LossType::SoftMaxCrossEntropy: {
            // Smoothed labels share labelSmoothing among the classes.
            const float share =
                smooth ? function.labelSmoothing / static_cast<float>(function.numberOfClasses) : 0.0f;
            if (run.c >= kWide) return wideSoftMax(run, keep, share, room);
            LossRun logarithms = run;
            softMaxPixels(run.src, room, run.pixels, run.c, true);
            logarithms.src = room;
            return elements(
                logarithms, [=](float l, float t) PEWTER_LAMBDA { return -(t * keep + share) * l; },
                [=](float l, float t) PEWTER_LAMBDA { return exponential(l) - (t * keep + share); },
                [=](float l, float) PEWTER_LAMBDA { return -keep * l; });
        }
        case ops::LossType::SigmoidCrossEntropy: {
            const float share = smooth ? function.labelSmoothing / 2.0f : 0.0f;
            return elements(
                run,
                [=](float y, float t) PEWTER_LAMBDA {
                    // max(y, 0) - y s, without cancellation for y > 0.
                    const float s = t * keep + share;
                    const float linear = y > 0.0f ? y * (1.0f - s) : -(y * s);
                    return linear + logarithmOnePlus(exponentialOfNegative(-magnitude(y)));
                },
                [=](float y, float t) PEWTER_LAMBDA { return sigmoid(y) - (t * keep + share); },
                [=](float y, float) PEWTER_LAMBDA { return -keep * y; });
        }
        case ops::LossType::CategoricalCrossEntropy:
            return elements(
                run, [](float y, float t) PEWTER_LAMBDA { return -t * logarithm(y); },
                [](float y, float t) PEWTER_LAMBDA { return -t / y; },
                [](float y, float) PEWTER_LAMBDA { return -logarithm(y); });
        case ops::LossType::Hinge:
            return elements(
                run,
                [](float y, float t) PEWTER_LAMBDA {
                    const float margin = hingeMargin(y, t);
                    return margin < 0.0f ? 0.0f : margin;
                },
                [](float y, float t)
                    PEWTER_LAMBDA { return hingeMargin(y, t) > 0.0f ? 1.0f - 2.0f * t : 0.0f; },
                [](float y, float t) PEWTER_LAMBDA { return hingeMargin(y, t) > 0.0f ? -2.0f * y : 0.0f; });
        case ops::LossType::Huber:
            return elements(
                run,
                [=](float y, float t) PEWTER_LAMBDA {
                    const float d = y - t, size = magnitude(d);
                    const float square = 0.5f * d * d, line = delta * (size - 0.5f * delta);
                    return size <= delta ? square : line;
                },
                [=](float y, float t) PEWTER_LAMBDA {
                    const float d = y - t, line = delta * sign(d);
                    return magnitude(d) <= delta ? d : line;
                },
                [=](float y, float t) PEWTER_LAMBDA {
                    const float d = t - y, line = delta * sign(d);
                    return magnitude(d) <= delta ? d : line;
                });
        case ops::LossType::CosineDistance:
            // The 1 of 1 - sum y t is added once an image.
            return elements(
                run, [](float y, float t) PEWTER_LAMBDA { return -(y * t); },
                [](float, float t) PEWTER_LAMBDA { return -t; },
                [](float y, float) PEWTER_LAMBDA { return -y; });
        case ops::LossType::Log:
            return elements(
                run,
                [=](float y, float t) PEWTER_LAMBDA {
                    return -t * logarithm(y + epsilon) - (1.0f - t) * logarithm((1.0f - y) + epsilon);
                },
                [=](float y, float t) PEWTER_LAMBDA {
                    return (y - t - 2.0f * epsilon * t + epsilon) /
                           (y * (1.0f - y) + epsilon * (1.0f + epsilon));
                },
                [=](float y, float)
                    PEWTER_LAMBDA { return logarithm((1.0f - y) + epsilon) - logarithm(y + epsilon); });
        case ops::LossType::KullbackLeiblerDivergence:
            return elements(
                run,
                [](float y, float t) PEWTER_LAMBDA {
                    const float value = t * (logarithm(t) - y);
                    return t == 0.0f ? 0.0f : value;
                },
                [](float, float t) PEWTER_LAMBDA { return -t; },
                [](float y, float t) PEWTER_LAMBDA { return logarithm(t) - y + 1.0f; });
    }
}

std::int64_t countNonZero(const float* values, std::int64_t count) {
    std::int64_t some = 0;
    for (std::int64_t i = 0; i < count; ++i) some += values[i] != 0.0f ? 1 : 0;
    return some;
}

}  // namespace pewter::cpu::PEWTER_ISA
