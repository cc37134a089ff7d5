// The chain rule through losses on the oracle, in numbers that can be followed by hand.

#include <gtest/gtest.h>

#include <cmath>

#include "support/Compare.h"
#include "support/OpTensors.h"
#include "support/RunReference.h"

namespace pewter::test {
namespace {

using Numbers = std::vector<double>;
using enum ops::LossType;
using enum ops::ReductionType;
constexpr auto kType = ops::Type::Float64;

/// Two images of one pixel with three channels.
struct Chain {
    ops::LossFunction function;
    ops::LossReduction reduction;
    Numbers y = {1, 2, 3, 4, 5, 6}, t = {0, 0, 0, 0, 0, 0}, w = {}, u = {10, 100};

    Numbers gradient(bool labels = false) const {
        const OpTensor src(kType, 2, 1, 1, 3, y), label(kType, 2, 1, 1, 3, t);
        const std::int64_t channels = reduction.type == None ? 3 : 1;
        const OpTensor incoming(kType, 2, 1, 1, channels, u);
        OpTensor weights, dst(kType, 2, 1, 1, 3);
        if (!w.empty()) weights = OpTensor(kType, 2, 1, 1, 3, w);
        runReference(ops::LossGradient{function, reduction, labels, src, label, weights, incoming, dst});
        return dst.values();
    }
};

TEST(ReferenceLossGradient, TheIncomingGradientIsThatOfTheElementTheImageOrTheFirstImage) {
    Chain chain{{.type = MeanAbsoluteError, .weight = 2}, {None}};
    chain.u = {1, 2, 3, 4, 5, 6};
    EXPECT_EQ(chain.gradient(), (Numbers{2, 4, 6, 8, 10, 12}));
    chain.u = {10, 100};
    chain.reduction = {Sum};
    EXPECT_EQ(chain.gradient(), (Numbers{20, 20, 20, 200, 200, 200}));
    chain.reduction = {Sum, true};
    EXPECT_EQ(chain.gradient(), Numbers(6, 20));
}

TEST(ReferenceLossGradient, WhatTheReductionDividesByDividesTheGradient) {
    Chain chain{{.type = MeanAbsoluteError}, {Mean}};
    chain.u = {3, 6};
    EXPECT_EQ(chain.gradient(), (Numbers{1, 1, 1, 2, 2, 2}));
    chain.reduction = {Mean, true};
    EXPECT_EQ(chain.gradient(), Numbers(6, 0.5));
    chain.reduction = {SumByNonZeroWeights};
    EXPECT_EQ(chain.gradient(), (Numbers{1, 1, 1, 2, 2, 2}));  // no weights: all count
    chain.w = {4, 0, 2, 0, 0, 0};
    EXPECT_EQ(chain.gradient(), (Numbers{6, 0, 3, 0, 0, 0}));  // no weight left: 0, not NaN
    chain.w = {4, 0, 2, 0, 1, 0};
    chain.reduction = {SumByNonZeroWeights, true};
    EXPECT_EQ(chain.gradient(), (Numbers{4, 0, 2, 0, 1, 0}));
}

TEST(ReferenceLossGradient, MeanOfSoftMaxCrossEntropyDividesByPixelsAlone) {
    Chain chain{{.type = SoftMaxCrossEntropy, .weight = 3}, {Mean}};
    chain.y = Numbers(6, 0.0), chain.t = {1, 0, 0, 0, 0, 1}, chain.u = {1, 2};
    EXPECT_TRUE(allNear(chain.gradient(), {-2, 1, 1, 2, 2, -4}, 1e-14));
    EXPECT_TRUE(allNear(chain.gradient(true),
                        Numbers{3 * std::log(3), 3 * std::log(3), 3 * std::log(3), 6 * std::log(3),
                                6 * std::log(3), 6 * std::log(3)},
                        1e-14));
}

TEST(ReferenceLossGradient, LabelsHaveGradientsOfTheirOwn) {
    Chain chain{{.type = MeanSquaredError}, {Sum}};
    chain.t = {2, 2, 2, 2, 2, 2}, chain.u = {1, 2};
    EXPECT_EQ(chain.gradient(true), (Numbers{2, 0, -2, -8, -12, -16}));
    chain.function.type = MeanAbsoluteError;
    EXPECT_EQ(chain.gradient(true), (Numbers{1, 0, -1, -2, -2, -2}));
    chain.function = {.type = Huber, .delta = 1.5f};
    EXPECT_EQ(chain.gradient(true), (Numbers{1, 0, -1, -3, -3, -3}));
    chain.function.type = CosineDistance;
    EXPECT_EQ(chain.gradient(true), (Numbers{-1, -2, -3, -8, -10, -12}));
    chain.function = {.type = SigmoidCrossEntropy, .labelSmoothing = 0.5f};
    EXPECT_EQ(chain.gradient(true), (Numbers{-0.5, -1, -1.5, -4, -5, -6}));
    chain.function.type = Hinge;
    chain.y = {0.5, 2, -1, 0.5, 2, -1}, chain.t = {1, 1, 0, 0, 0, 0};
    EXPECT_EQ(chain.gradient(true), (Numbers{-1, 0, 0, -2, -8, 0}));
    chain.function.type = CategoricalCrossEntropy;
    chain.y = {1, 0.5, 0.25, 1, 0.5, 0.25};
    EXPECT_EQ(chain.gradient(true),
              (Numbers{0, std::log(2), std::log(4), 0, 2 * std::log(2), 2 * std::log(4)}));
    chain.function.type = KullbackLeiblerDivergence;
    chain.y = {-1, -1, -2, 0, 0, 0}, chain.t = {1, 1, 1, 1, 1, 1};
    EXPECT_EQ(chain.gradient(true), (Numbers{2, 2, 3, 2, 2, 2}));
}

}  // namespace
}  // namespace pewter::test
