// Central differences for the losses, under the conditions where the documented gradient is the true
// derivative.

#include <gtest/gtest.h>

#include <cmath>
#include <string>

#include "support/GradientCheck.h"

namespace pewter::test {
namespace {

constexpr auto kType = ops::Type::Float64;
using enum ops::LossType;

struct Case {
    const char* name;
    ops::LossType type;
    /// Range of the predictions and of the labels.
    double low, high, labelLow, labelHigh;
    float smoothing = 0;
    float delta = 1;
    float epsilon = 1e-7f;
};

const Case kCases[] = {
    {"MeanAbsoluteError", MeanAbsoluteError, -1, 1, -1, 1},
    {"MeanSquaredError", MeanSquaredError, -1, 1, -1, 1},
    {"SoftMaxCrossEntropy", SoftMaxCrossEntropy, -2, 2, 0, 1},
    {"SoftMaxCrossEntropySmoothed", SoftMaxCrossEntropy, -2, 2, 0, 1, 0.125f},
    {"SigmoidCrossEntropy", SigmoidCrossEntropy, -3, 3, 0, 1},
    {"SigmoidCrossEntropySmoothed", SigmoidCrossEntropy, -3, 3, 0, 1, 0.25f},
    {"CategoricalCrossEntropy", CategoricalCrossEntropy, 0.2, 1, 0, 1},
    {"Hinge", Hinge, -2, 2, 0, 1},
    {"Huber", Huber, -2, 2, -2, 2},
    {"HuberSmallDelta", Huber, -2, 2, -2, 2, 0, 0.25f},
    {"CosineDistance", CosineDistance, -1, 1, -1, 1},
    {"Log", Log, 0.2, 0.8, 0, 1},
    {"LogLargeEpsilon", Log, 0.2, 0.8, 0, 1, 0, 1, 0.0625f},
    {"KullbackLeiblerDivergence", KullbackLeiblerDivergence, -3, 0, 0.1, 1},
};

class GradientLoss : public testing::TestWithParam<Case> {
protected:
    /// Distance of an element from the kink of its loss.
    double distanceFromKink(std::int64_t i) const {
        const double y = src.at(i), t = labels.at(i);
        switch (GetParam().type) {
            case MeanAbsoluteError:
                return std::fabs(y - t);
            case Hinge:
                return std::fabs(1 - (2 * t - 1) * y);
            case Huber:
                return std::fabs(std::fabs(y - t) - GetParam().delta);
            default:
                return 1;
        }
    }

    static constexpr std::int64_t kChannels = 4;
    OpTensor src{kType, 2, 2, 3, kChannels}, labels = src, weights = src, gradient = src;
    OpTensor loss{kType, 2, 1, 1, 1};
};

TEST_P(GradientLoss, GradientIsTheDerivativeOfTheSumOverTheBatch) {
    const Case& p = GetParam();
    Random random(51);
    src.fillUniform(random, p.low, p.high);
    labels.fillUniform(random, p.labelLow, p.labelHigh);
    weights.fillUniform(random, 0.5, 2);
    for (std::int64_t i = 0; i < src.count(); ++i)
        while (distanceFromKink(i) < kKinkMargin) src.set(i, random.uniform(p.low, p.high));
    if (p.type == SoftMaxCrossEntropy) {
        // p - t is the derivative when the labels of a pixel add up to 1 and share one weight.
        for (std::int64_t i = 0; i < src.count(); i += kChannels) {
            double sum = 0;
            for (std::int64_t c = 0; c < kChannels; ++c) sum += labels.at(i + c);
            for (std::int64_t c = 0; c < kChannels; ++c) {
                labels.set(i + c, labels.at(i + c) / sum);
                weights.set(i + c, weights.at(i));
            }
        }
    }
    ops::Loss op;
    op.type = p.type;
    op.reduction = ops::ReductionType::Sum;
    op.src = src;
    op.labels = labels;
    op.weights = weights;
    op.loss = loss;
    op.gradient = gradient;
    op.weight = 0.75f;
    op.labelSmoothing = p.smoothing;
    op.numberOfClasses = kChannels;
    op.delta = p.delta;
    op.epsilon = p.epsilon;
    runReference(op);
    const std::vector<double> stated = gradient.values();
    EXPECT_TRUE(isGradient(stated, src, [&] {
        runReference(op);
        return loss.at(0) + loss.at(1);
    }));
}

INSTANTIATE_TEST_SUITE_P(Types, GradientLoss, testing::ValuesIn(kCases),
                         [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace pewter::test
