// Central differences for the losses, under the conditions where the documented gradient is the true
// derivative.

#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

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
    GradientLoss() {
        const Case& p = GetParam();
        Random random(51);
        src.fillUniform(random, p.low, p.high);
        labels.fillUniform(random, p.labelLow, p.labelHigh);
        weights.fillUniform(random, 0.5, 2);
        for (std::int64_t i = 0; i < src.count(); ++i)
            while (distanceFromKink(i) < kKinkMargin) src.set(i, random.uniform(p.low, p.high));
        function.type = p.type;
        function.weight = 0.75f;
        function.labelSmoothing = p.smoothing;
        function.numberOfClasses = kChannels;
        function.delta = p.delta;
        function.epsilon = p.epsilon;
    }

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

    /// p - t is the derivative of a softmax where the labels of a pixel add up to 1 and its channels share
    /// one factor.
    void meetTheConditionsOfSoftMax() {
        if (GetParam().type != SoftMaxCrossEntropy) return;
        for (std::int64_t i = 0; i < src.count(); i += kChannels) {
            double sum = 0;
            for (std::int64_t c = 0; c < kChannels; ++c) sum += labels.at(i + c);
            for (std::int64_t c = 0; c < kChannels; ++c) {
                labels.set(i + c, labels.at(i + c) / sum);
                weights.set(i + c, weights.at(i));
            }
        }
    }

    static constexpr std::int64_t kChannels = 4;
    ops::LossFunction function;
    OpTensor src{kType, 2, 2, 3, kChannels}, labels = src, weights = src, gradient = src;
};

TEST_P(GradientLoss, GradientIsTheDerivativeOfTheSumOverTheBatch) {
    meetTheConditionsOfSoftMax();
    OpTensor loss{kType, 2, 1, 1, 1};
    const ops::Loss op{function, {ops::ReductionType::Sum}, src, labels, weights, gradient, loss};
    runReference(op);
    const std::vector<double> stated = gradient.values();
    EXPECT_TRUE(isGradient(stated, src, [&] {
        runReference(op);
        return loss.at(0) + loss.at(1);
    }));
}

/// Through every reduction, towards predictions and labels, with weights and without.
TEST_P(GradientLoss, ChainRuleThroughEveryReductionForPredictionsAndLabels) {
    using enum ops::ReductionType;
    const bool softMax = GetParam().type == SoftMaxCrossEntropy;
    for (const auto reduction : {None, Sum, Mean, SumByNonZeroWeights}) {
        if (GetParam().type == CosineDistance && reduction != Sum) continue;
        for (const bool across : {false, true})
            for (const bool weighted : {false, true})
                for (const bool labelGradients : {false, true}) {
                    if (!labelGradients) meetTheConditionsOfSoftMax();
                    if (weighted)  // a pixel that does not count
                        for (std::int64_t c = 0; c < kChannels; ++c) weights.set(2 * kChannels + c, 0);
                    const bool reduces = reduction != None;
                    OpTensor loss =
                        reduces ? OpTensor(kType, 2, 1, 1, 1) : OpTensor(kType, 2, 2, 3, kChannels);
                    OpTensor incoming = loss;
                    Random random(52);
                    incoming.fillUniform(random, -2, 2);
                    if (softMax && !reduces && !labelGradients)
                        for (std::int64_t i = 0; i < incoming.count(); ++i)
                            incoming.set(i, incoming.at(i / kChannels * kChannels));
                    const ops::Tensor w = weighted ? weights.view() : ops::Tensor();
                    const ops::Loss forward{function, {reduction, across}, src, labels, w, {}, loss};
                    runReference(ops::LossGradient{
                        function, {reduction, across}, labelGradients, src, labels, w, incoming, gradient});
                    EXPECT_TRUE(isGradient(gradient.values(), labelGradients ? labels : src,
                                           [&] {
                                               runReference(forward);
                                               return dot(incoming, loss);
                                           }))
                        << "reduction " << static_cast<int>(reduction) << (across ? " across" : "")
                        << (weighted ? " weighted" : "") << (labelGradients ? " labels" : " predictions");
                }
    }
}

INSTANTIATE_TEST_SUITE_P(Types, GradientLoss, testing::ValuesIn(kCases),
                         [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace pewter::test
