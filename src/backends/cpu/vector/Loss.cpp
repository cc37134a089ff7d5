#include "backends/cpu/vector/Loss.h"

#include "backends/cpu/vector/Math.h"
#include "backends/cpu/vector/SoftMax.h"

namespace pewter::cpu::PEWTER_ISA {
namespace {

/// dst[i] = weight w[i] fn(y[i], t[i]); w may be null.
template <class Fn>
PEWTER_INLINE void weighted(const LossRun& run, float* const dst, Fn fn) {
    if (dst == nullptr) return;
    const std::int64_t count = run.pixels * run.c;
    const float* const y = run.src;
    const float* const t = run.labels;
    const float* const w = run.weights;
    const float weight = run.weight;
    if (w != nullptr) {
        PEWTER_VECTORIZE
        for (std::int64_t i = 0; i < count; ++i) dst[i] = weight * w[i] * fn(y[i], t[i]);
    } else {
        PEWTER_VECTORIZE
        for (std::int64_t i = 0; i < count; ++i) dst[i] = weight * fn(y[i], t[i]);
    }
}

/// Loss and gradients of every element from prediction y and label t. The loss first: a gradient may be
/// written over the predictions.
template <class Value, class Derivative, class LabelDerivative>
PEWTER_INLINE void elements(const LossRun& run, Value value, Derivative derivative,
                            LabelDerivative labelDerivative) {
    weighted(run, run.loss, value);
    weighted(run, run.labelGradient, labelDerivative);
    weighted(run, run.gradient, derivative);
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
                run, [](float y, float t) { return magnitude(y - t); },
                [](float y, float t) { return sign(y - t); }, [](float y, float t) { return sign(t - y); });
        case ops::LossType::MeanSquaredError:
            return elements(
                run, [](float y, float t) { return (y - t) * (y - t); },
                [](float y, float t) { return 2.0f * (y - t); },
                [](float y, float t) { return 2.0f * (t - y); });
        case ops::LossType::SoftMaxCrossEntropy: {
            // Smoothed labels share labelSmoothing among the classes.
            const float share =
                smooth ? function.labelSmoothing / static_cast<float>(function.numberOfClasses) : 0.0f;
            LossRun logarithms = run;
            softMaxPixels(run.src, room, run.pixels, run.c, true);
            logarithms.src = room;
            return elements(
                logarithms, [=](float l, float t) { return -(t * keep + share) * l; },
                [=](float l, float t) { return exponential(l) - (t * keep + share); },
                [=](float l, float) { return -keep * l; });
        }
        case ops::LossType::SigmoidCrossEntropy: {
            const float share = smooth ? function.labelSmoothing / 2.0f : 0.0f;
            return elements(
                run,
                [=](float y, float t) {
                    // max(y, 0) - y s, without cancellation for y > 0.
                    const float s = t * keep + share;
                    const float linear = y > 0.0f ? y * (1.0f - s) : -(y * s);
                    return linear + logarithmOnePlus(exponential(-magnitude(y)));
                },
                [=](float y, float t) { return sigmoid(y) - (t * keep + share); },
                [=](float y, float) { return -keep * y; });
        }
        case ops::LossType::CategoricalCrossEntropy:
            return elements(
                run, [](float y, float t) { return -t * logarithm(y); },
                [](float y, float t) { return -t / y; }, [](float y, float) { return -logarithm(y); });
        case ops::LossType::Hinge:
            return elements(
                run,
                [](float y, float t) {
                    const float margin = hingeMargin(y, t);
                    return margin < 0.0f ? 0.0f : margin;
                },
                [](float y, float t) { return hingeMargin(y, t) > 0.0f ? 1.0f - 2.0f * t : 0.0f; },
                [](float y, float t) { return hingeMargin(y, t) > 0.0f ? -2.0f * y : 0.0f; });
        case ops::LossType::Huber:
            return elements(
                run,
                [=](float y, float t) {
                    const float d = y - t, size = magnitude(d);
                    const float square = 0.5f * d * d, line = delta * (size - 0.5f * delta);
                    return size <= delta ? square : line;
                },
                [=](float y, float t) {
                    const float d = y - t, line = delta * sign(d);
                    return magnitude(d) <= delta ? d : line;
                },
                [=](float y, float t) {
                    const float d = t - y, line = delta * sign(d);
                    return magnitude(d) <= delta ? d : line;
                });
        case ops::LossType::CosineDistance:
            // The 1 of 1 - sum y t is added once an image.
            return elements(
                run, [](float y, float t) { return -(y * t); }, [](float, float t) { return -t; },
                [](float y, float) { return -y; });
        case ops::LossType::Log:
            return elements(
                run,
                [=](float y, float t) {
                    return -t * logarithm(y + epsilon) - (1.0f - t) * logarithm((1.0f - y) + epsilon);
                },
                [=](float y, float t) {
                    return (y - t - 2.0f * epsilon * t + epsilon) /
                           (y * (1.0f - y) + epsilon * (1.0f + epsilon));
                },
                [=](float y, float) { return logarithm((1.0f - y) + epsilon) - logarithm(y + epsilon); });
        case ops::LossType::KullbackLeiblerDivergence:
            return elements(
                run,
                [](float y, float t) {
                    const float value = t * (logarithm(t) - y);
                    return t == 0.0f ? 0.0f : value;
                },
                [](float, float t) { return -t; }, [](float y, float t) { return logarithm(t) - y + 1.0f; });
    }
}

std::int64_t countNonZero(const float* values, std::int64_t count) {
    std::int64_t some = 0;
    for (std::int64_t i = 0; i < count; ++i) some += values[i] != 0.0f ? 1 : 0;
    return some;
}

}  // namespace pewter::cpu::PEWTER_ISA
