// Losses and optimizers: values worked out by hand.

#include <gtest/gtest.h>

#include <cmath>

#include "support/Compare.h"
#include "support/OpTensors.h"
#include "support/RunReference.h"

// Operations are written here with the fields that matter to the case; the rest keep their defaults.
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"

namespace pewter::test {
namespace {

using Numbers = std::vector<double>;
using enum ops::LossType;
using enum ops::ReductionType;
constexpr auto kType = ops::Type::Float64;

struct Result {
    Numbers loss, gradient;
};

/// Loss of two images of one pixel with three channels.
Result loss(ops::Loss op, const Numbers& y, const Numbers& t, const Numbers& w = {}) {
    const auto images = static_cast<std::int64_t>(y.size()) / 3;
    const OpTensor src(kType, images, 1, 1, 3, y), labels(kType, images, 1, 1, 3, t);
    OpTensor weights, gradient = src, out(kType, images, 1, 1, op.reduction.type == None ? 3 : 1);
    if (!w.empty()) weights = OpTensor(kType, images, 1, 1, 3, w);
    op.src = src;
    op.labels = labels;
    op.weights = weights;
    op.gradient = gradient;
    op.loss = out;
    runReference(op);
    return {out.values(), gradient.values()};
}

TEST(ReferenceLoss, ElementValuesAndGradients) {
    const Numbers y = {2, -1, 0.5}, t = {1, 1, 0.5};
    Result r = loss({.function = {.type = MeanAbsoluteError}}, y, t);
    EXPECT_EQ(r.loss, (Numbers{1, 2, 0}));
    EXPECT_EQ(r.gradient, (Numbers{1, -1, 0}));
    r = loss({.function = {.type = MeanSquaredError}}, y, t);
    EXPECT_EQ(r.loss, (Numbers{1, 4, 0}));
    EXPECT_EQ(r.gradient, (Numbers{2, -4, 0}));
    r = loss({.function = {.type = Huber, .delta = 1.5f}}, y, t);
    EXPECT_EQ(r.loss, (Numbers{0.5, 1.875, 0}));
    EXPECT_EQ(r.gradient, (Numbers{1, -1.5, 0}));
    r = loss({.function = {.type = Hinge}}, {0.5, 2, 0.5}, {1, 1, 0});
    EXPECT_EQ(r.loss, (Numbers{0.5, 0, 1.5}));
    EXPECT_EQ(r.gradient, (Numbers{-1, 0, 1}));
    r = loss({.function = {.type = CategoricalCrossEntropy}}, {0.5, 1, 0.25}, {1, 0, 0.5});
    EXPECT_EQ(r.loss, (Numbers{std::log(2.0), 0, std::log(2.0)}));
    EXPECT_EQ(r.gradient, (Numbers{-2, 0, -2}));
    r = loss({.function = {.type = KullbackLeiblerDivergence}}, {-1, -2, -3}, {1, 0, 0.5});
    EXPECT_EQ(r.loss, (Numbers{1, 0, 0.5 * (std::log(0.5) + 3)}));
    EXPECT_EQ(r.gradient, (Numbers{-1, 0, -0.5}));
}

TEST(ReferenceLoss, SoftMaxCrossEntropyTakesScores) {
    const double l3 = std::log(3.0);
    const Result r = loss({.function = {.type = SoftMaxCrossEntropy}, .reduction = {Sum}}, {0, 0, 0}, {0, 1, 0});
    EXPECT_TRUE(allNear(r.loss, {l3}, 1e-15));
    EXPECT_TRUE(allNear(r.gradient, {1.0 / 3, -2.0 / 3, 1.0 / 3}, 1e-15));
}

TEST(ReferenceLoss, SmoothingDividesByTheNumberOfClassesThatIsGivenNotByTheChannels) {
    const ops::Loss op{
        .function = {.type = SoftMaxCrossEntropy, .labelSmoothing = 0.5f, .numberOfClasses = 1},
        .reduction = {Sum}};
    EXPECT_TRUE(
        allNear(loss(op, {0, 0, 0}, {0, 1, 0}).gradient, {1.0 / 3 - 0.5, 1.0 / 3 - 1, 1.0 / 3 - 0.5}, 1e-15));
}

TEST(ReferenceLoss, ReductionsDivideTheLossButNeverTheGradient) {
    const Numbers y = {1, 2, 3, 4, 5, 6}, t(6, 0.0), w = {1, 1, 0, 1, 0, 0}, g = {1, 1, 0, 1, 0, 0};
    auto reduced = [&](ops::ReductionType reduction, bool acrossBatch) {
        const Result r = loss(
            {.function = {.type = MeanAbsoluteError}, .reduction = {reduction, acrossBatch}}, y, t, w);
        EXPECT_EQ(r.gradient, g);
        return r.loss;
    };
    EXPECT_EQ(reduced(Sum, false), (Numbers{3, 4}));
    EXPECT_EQ(reduced(Sum, true), (Numbers{7, 0}));
    EXPECT_EQ(reduced(Mean, false), (Numbers{1, 4.0 / 3}));
    EXPECT_EQ(reduced(Mean, true), (Numbers{7.0 / 6, 0}));
    EXPECT_EQ(reduced(SumByNonZeroWeights, false), (Numbers{1.5, 4}));
    EXPECT_EQ(reduced(SumByNonZeroWeights, true), (Numbers{7.0 / 3, 0}));
    EXPECT_EQ(reduced(None, true), (Numbers{1, 2, 0, 4, 0, 0}));
}

TEST(ReferenceLoss, MeanOfSoftMaxCrossEntropyDividesByPixelsAlone) {
    const Numbers y(6, 0.0), t = {1, 0, 0, 0, 0, 1};
    const double l3 = std::log(3.0);
    ops::Loss op{.function = {.type = SoftMaxCrossEntropy}, .reduction = {Mean}};
    EXPECT_TRUE(allNear(loss(op, y, t).loss, {l3, l3}, 1e-15));
    op.reduction.acrossBatch = true;
    EXPECT_TRUE(allNear(loss(op, y, t).loss, {l3, 0}, 1e-15));
}

TEST(ReferenceLoss, NoNonZeroWeightGivesZeroAndNoWeightsCountAll) {
    ops::Loss op{.function = {.type = MeanAbsoluteError}, .reduction = {SumByNonZeroWeights}};
    EXPECT_EQ(loss(op, {1, 2, 3}, {0, 0, 0}, {0, 0, 0}).loss, (Numbers{0}));
    EXPECT_EQ(loss(op, {1, 2, 3}, {0, 0, 0}).loss, (Numbers{2}));
}

TEST(ReferenceLoss, TheScalarWeightMultipliesLossAndGradient) {
    const Result r = loss({.function = {.type = MeanSquaredError, .weight = 0.5f}}, {1, 2, 3}, {0, 0, 0}, {1, 2, 4});
    EXPECT_EQ(r.loss, (Numbers{0.5, 4, 18}));
    EXPECT_EQ(r.gradient, (Numbers{1, 4, 12}));
}

TEST(ReferenceLoss, CosineDistanceIsOneMinusTheDotProduct) {
    const Result r = loss({.function = {.type = CosineDistance, .weight = 2}, .reduction = {Sum}}, {1, 2, 3}, {0.5, 0.25, 0});
    EXPECT_EQ(r.loss, (Numbers{0}));
    EXPECT_EQ(r.gradient, (Numbers{-1, -0.5, 0}));
}

TEST(ReferenceLoss, LossOrGradientMayBeAbsent) {
    OpTensor src(kType, 1, 1, 1, 2, {3, 4}), labels(kType, 1, 1, 1, 2), gradient = labels,
                                                                        out(kType, 1, 1, 1, 1);
    ops::Loss op{.function = {.type = MeanSquaredError}, .reduction = {Sum}, .src = src, .labels = labels};
    op.gradient = gradient;
    runReference(op);
    EXPECT_EQ(gradient.values(), (Numbers{6, 8}));
    op.gradient = {};
    op.loss = out;
    runReference(op);
    EXPECT_EQ(out.at(0), 25);
}

// Optimizers. One step on v = 4 with gradient 2, powers of two throughout.

Numbers step(ops::OptimizerStep op, OpArray& first, double v = 4, double g = 2) {
    const OpArray gradient(ops::Type::Float16, {g}), values(ops::Type::Float32, {v});
    OpArray result(ops::Type::Float32, 1);
    op.gradient = gradient;
    op.values = values;
    op.result = result;
    op.first = first;
    runReference(op);
    EXPECT_EQ(values.at(0), v);  // out of place
    return result.values();
}

TEST(ReferenceOptimizer, ClipsThenRescalesThenRegularises) {
    using enum ops::RegularizationType;
    OpArray none;
    EXPECT_EQ(step({.rate = 0.5}, none), (Numbers{3}));
    EXPECT_EQ(step({.clip = true, .clipMin = -1, .clipMax = 1, .rescale = 4, .rate = 0.5}, none),
              (Numbers{2}));
    EXPECT_EQ(step({.regularization = L2, .rescale = 2, .regularizationScale = 0.5f, .rate = 0.5}, none),
              (Numbers{1}));
    EXPECT_EQ(step({.regularization = L1, .regularizationScale = 1, .rate = 1}, none, -4, 0), (Numbers{-3}));
    EXPECT_EQ(step({.regularization = L1, .regularizationScale = 1, .rate = 1}, none, 0, 0), (Numbers{0}));
    EXPECT_EQ(step({.clip = true, .clipMin = -1, .clipMax = 1, .rate = 1}, none, 4, -7), (Numbers{5}));
}

TEST(ReferenceOptimizer, MomentumHoldsTheRateAndNesterovDoesNot) {
    OpArray m(ops::Type::Float32, {1});
    EXPECT_EQ(step({.rate = 0.5, .momentum = 0.5}, m), (Numbers{2.5}));
    EXPECT_EQ(m.at(0), 1.5);
    m.set(0, 2);
    EXPECT_EQ(step({.nesterov = true, .rate = 0.5, .momentum = 0.5}, m), (Numbers{2.25}));
    EXPECT_EQ(m.at(0), 3);
}

TEST(ReferenceOptimizer, MomentumIsNotUsedWithoutItsArray) {
    OpArray none;
    EXPECT_EQ(step({.rate = 0.5, .momentum = 0.5}, none), (Numbers{3}));
}

TEST(ReferenceOptimizer, ANegativeRateWithANegativeRegulariserAverages) {
    // v <- 0.75 v + 0.25 g, the usual way to keep moving statistics.
    OpArray none;
    const ops::OptimizerStep op{
        .regularization = ops::RegularizationType::L2, .regularizationScale = -1, .rate = -0.25};
    EXPECT_EQ(step(op, none), (Numbers{3.5}));
}

TEST(ReferenceOptimizer, RMSPropDividesByTheRootPlusEpsilon) {
    OpArray s(ops::Type::Float32, {4});
    const ops::OptimizerStep op{.type = ops::OptimizerType::RMSProp, .rate = 3, .decay = 0.5, .epsilon = 1};
    EXPECT_EQ(step(op, s), (Numbers{2}));  // s = 4: 4 - 3 * 2 / (2 + 1)
    EXPECT_EQ(s.at(0), 4);
}

TEST(ReferenceOptimizer, AdamUsesTheMaximumWhenItsArrayIsGiven) {
    const OpArray gradient(kType, {2});
    OpArray values(kType, {4}), m(kType, {2}), s(kType, {4}), maximum(kType, {16});
    ops::OptimizerStep op{.type = ops::OptimizerType::Adam, .rate = 2, .beta1 = 0.5, .beta2 = 0.5};
    op.gradient = gradient;
    op.values = op.result = values;  // in place
    op.first = m;
    op.second = s;
    runReference(op);
    EXPECT_EQ(values.at(0), 2);  // 4 - 2 * 2 / 2
    op.third = maximum;
    runReference(op);
    EXPECT_EQ(values.at(0), 1);  // 2 - 2 * 2 / 4
    EXPECT_EQ(maximum.at(0), 16);
}

}  // namespace
}  // namespace pewter::test
