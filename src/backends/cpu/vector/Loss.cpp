#include "backends/cpu/vector/Loss.h"

#include "backends/cpu/vector/Math.h"
#include "backends/cpu/vector/SoftMax.h"

namespace pewter::cpu::PEWTER_ISA {
namespace {

/// Loss and gradient of every element from prediction y and label t: loss[i] = weight w[i] value(y, t),
/// likewise the gradient with derivative(y, t).
template <class Value, class Derivative>
PEWTER_INLINE void elements(const ops::Loss& op, const LossRun& run, Value value, Derivative derivative) {
    const std::int64_t count = run.pixels * run.c;
    const float* const y = run.src;
    const float* const t = run.labels;
    const float* const w = run.weights;
    float* const loss = run.loss;
    float* const gradient = run.gradient;
    const float weight = op.weight;
    // The loss first: the gradient may be written over the predictions.
    if (loss != nullptr && w != nullptr) {
        PEWTER_VECTORIZE
        for (std::int64_t i = 0; i < count; ++i) loss[i] = weight * w[i] * value(y[i], t[i]);
    } else if (loss != nullptr) {
        PEWTER_VECTORIZE
        for (std::int64_t i = 0; i < count; ++i) loss[i] = weight * value(y[i], t[i]);
    }
    if (gradient != nullptr && w != nullptr) {
        PEWTER_VECTORIZE
        for (std::int64_t i = 0; i < count; ++i) gradient[i] = weight * w[i] * derivative(y[i], t[i]);
    } else if (gradient != nullptr) {
        PEWTER_VECTORIZE
        for (std::int64_t i = 0; i < count; ++i) gradient[i] = weight * derivative(y[i], t[i]);
    }
}

PEWTER_INLINE float sign(float x) { return (x > 0.0f ? 1.0f : 0.0f) - (x < 0.0f ? 1.0f : 0.0f); }

/// 2 t - 1: Hinge's labels are 0 and 1.
PEWTER_INLINE float hingeMargin(float y, float t) { return 1.0f - (2.0f * t - 1.0f) * y; }

}  // namespace

void lossRun(const ops::Loss& op, const LossRun& run, float* room) {
    const float delta = op.delta, epsilon = op.epsilon;
    const bool smooth = op.labelSmoothing > 0.0f;
    const float keep = smooth ? 1.0f - op.labelSmoothing : 1.0f;
    switch (op.type) {
        case ops::LossType::MeanAbsoluteError:
            return elements(
                op, run, [](float y, float t) { return magnitude(y - t); },
                [](float y, float t) { return sign(y - t); });
        case ops::LossType::MeanSquaredError:
            return elements(
                op, run, [](float y, float t) { return (y - t) * (y - t); },
                [](float y, float t) { return 2.0f * (y - t); });
        case ops::LossType::SoftMaxCrossEntropy: {
            // Smoothed labels share labelSmoothing among the classes.
            const float share = smooth ? op.labelSmoothing / static_cast<float>(op.numberOfClasses) : 0.0f;
            LossRun logarithms = run;
            softMaxPixels(run.src, room, run.pixels, run.c, true);
            logarithms.src = room;
            return elements(
                op, logarithms, [=](float l, float t) { return -(t * keep + share) * l; },
                [=](float l, float t) { return exponential(l) - (t * keep + share); });
        }
        case ops::LossType::SigmoidCrossEntropy: {
            const float share = smooth ? op.labelSmoothing / 2.0f : 0.0f;
            return elements(
                op, run,
                [=](float y, float t) {
                    // max(y, 0) - y s, without cancellation for y > 0.
                    const float s = t * keep + share;
                    const float linear = y > 0.0f ? y * (1.0f - s) : -(y * s);
                    return linear + logarithmOnePlus(exponential(-magnitude(y)));
                },
                [=](float y, float t) { return sigmoid(y) - (t * keep + share); });
        }
        case ops::LossType::CategoricalCrossEntropy:
            return elements(
                op, run, [](float y, float t) { return -t * logarithm(y); },
                [](float y, float t) { return -t / y; });
        case ops::LossType::Hinge:
            return elements(
                op, run,
                [](float y, float t) {
                    const float margin = hingeMargin(y, t);
                    return margin < 0.0f ? 0.0f : margin;
                },
                [](float y, float t) { return hingeMargin(y, t) > 0.0f ? 1.0f - 2.0f * t : 0.0f; });
        case ops::LossType::Huber:
            return elements(
                op, run,
                [=](float y, float t) {
                    const float d = y - t, size = magnitude(d);
                    const float square = 0.5f * d * d, line = delta * (size - 0.5f * delta);
                    return size <= delta ? square : line;
                },
                [=](float y, float t) {
                    const float d = y - t, line = delta * sign(d);
                    return magnitude(d) <= delta ? d : line;
                });
        case ops::LossType::CosineDistance:
            // The 1 of 1 - sum y t is added once an image.
            return elements(
                op, run, [](float y, float t) { return -(y * t); }, [](float, float t) { return -t; });
        case ops::LossType::Log:
            return elements(
                op, run,
                [=](float y, float t) {
                    return -t * logarithm(y + epsilon) - (1.0f - t) * logarithm((1.0f - y) + epsilon);
                },
                [=](float y, float t) {
                    return (y - t - 2.0f * epsilon * t + epsilon) /
                           (y * (1.0f - y) + epsilon * (1.0f + epsilon));
                });
        case ops::LossType::KullbackLeiblerDivergence:
            return elements(
                op, run,
                [](float y, float t) {
                    const float value = t * (logarithm(t) - y);
                    return t == 0.0f ? 0.0f : value;
                },
                [](float, float t) { return -t; });
    }
}

std::int64_t countNonZero(const float* values, std::int64_t count) {
    std::int64_t some = 0;
    for (std::int64_t i = 0; i < count; ++i) some += values[i] != 0.0f ? 1 : 0;
    return some;
}

}  // namespace pewter::cpu::PEWTER_ISA
