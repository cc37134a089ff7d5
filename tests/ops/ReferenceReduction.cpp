// Reductions and comparisons: values worked out by hand.

#include <gtest/gtest.h>

#include <cmath>

#include "support/OpTensors.h"
#include "support/RunReference.h"

namespace pewter::test {
namespace {

using Numbers = std::vector<double>;
using Operation = ops::ReductionOperation;
constexpr auto kType = ops::Type::Float32;

/// 2 rows, 3 columns, 2 channels.
const Numbers kImage = {1, -1, 2, -2, 3, -3, 4, 8, 5, 5, 6, -6};

Numbers reduce(Operation operation, std::int64_t h, std::int64_t w, std::int64_t c, float scale = 1) {
    const OpTensor src(kType, 1, 2, 3, 2, kImage);
    OpTensor dst(kType, 1, h, w, c);
    ops::Reduction op;
    op.operation = operation;
    op.src = src, op.dst = dst;
    op.scale = scale;
    runReference(op);
    return dst.values();
}

TEST(ReferenceReduction, EachAxisGoesAlone) {
    EXPECT_EQ(reduce(Operation::Sum, 2, 1, 2), (Numbers{6, -6, 15, 7}));
    EXPECT_EQ(reduce(Operation::Sum, 1, 3, 2), (Numbers{5, 7, 7, 3, 9, -9}));
    EXPECT_EQ(reduce(Operation::Sum, 2, 3, 1), (Numbers{0, 0, 0, 12, 10, 0}));
    EXPECT_EQ(reduce(Operation::Mean, 1, 3, 2), (Numbers{2.5, 3.5, 3.5, 1.5, 4.5, -4.5}));
    EXPECT_EQ(reduce(Operation::Max, 2, 1, 2), (Numbers{3, -1, 6, 8}));
    EXPECT_EQ(reduce(Operation::Min, 1, 3, 2), (Numbers{1, -1, 2, -2, 3, -6}));
}

TEST(ReferenceReduction, SeveralAxesGoTogetherAndScaleMultiplies) {
    EXPECT_EQ(reduce(Operation::Sum, 1, 1, 2, 2), (Numbers{42, 2}));
    EXPECT_EQ(reduce(Operation::Mean, 1, 1, 1, 12), (Numbers{22}));
    EXPECT_EQ(reduce(Operation::Max, 1, 1, 1), (Numbers{8}));
}

TEST(ReferenceReduction, TheIndexIsThatOfTheFirstExtremum) {
    EXPECT_EQ(reduce(Operation::ArgumentMax, 2, 3, 1), (Numbers{0, 0, 0, 1, 0, 0}));
    EXPECT_EQ(reduce(Operation::ArgumentMin, 2, 3, 1), (Numbers{1, 1, 1, 0, 0, 1}));
}

TEST(ReferenceReduction, NaNIsTheExtremum) {
    const OpTensor src(kType, 1, 1, 1, 4, {9, std::nan(""), 11, std::nan("")});
    OpTensor dst(kType, 1, 1, 1, 1);
    ops::Reduction op;
    op.src = src, op.dst = dst;
    for (const auto operation : {Operation::Min, Operation::Max}) {
        op.operation = operation;
        runReference(op);
        EXPECT_TRUE(std::isnan(dst.at(0)));
    }
    for (const auto operation : {Operation::ArgumentMin, Operation::ArgumentMax}) {
        op.operation = operation;
        runReference(op);
        EXPECT_EQ(dst.at(0), 1);
    }
}

TEST(ReferenceReduction, WeightsMultiplyAndTheirNonZeroOnesMayDivide) {
    const OpTensor src(kType, 1, 1, 3, 3, {1, 2, 3, 4, 5, 6, 7, 8, 9}),
        weights(kType, 1, 1, 3, 3, {2, 0, 4, 1, 1, 1, 0, 0, 0});
    OpTensor dst(kType, 1, 1, 3, 1);
    ops::Reduction op;
    op.src = src, op.weights = weights, op.dst = dst;
    runReference(op);
    EXPECT_EQ(dst.values(), (Numbers{14, 15, 0}));
    op.operation = Operation::Mean;
    runReference(op);
    EXPECT_EQ(dst.values(), (Numbers{14.0f / 3, 5, 0}));
    op.operation = Operation::Sum;
    op.byNonZeroWeights = true;
    runReference(op);
    EXPECT_EQ(dst.values(), (Numbers{7, 5, 0}));
}

TEST(ReferenceCompare, ResultsAreOneOrZeroAndOnlyEqualityKnowsTheThreshold) {
    const OpTensor x(kType, 1, 1, 5, 1, {1, 2, 3, 4, std::nan("")}), y(kType, 1, 1, 5, 1, {3, 3, 3, 3, 3});
    OpTensor dst(kType, 1, 1, 5, 1);
    const auto compare = [&](ops::ComparisonType type, float threshold) {
        ops::Compare op;
        op.type = type;
        op.primary = x, op.secondary = y, op.dst = dst;
        op.threshold = threshold;
        runReference(op);
        return dst.values();
    };
    using Type = ops::ComparisonType;
    EXPECT_EQ(compare(Type::Equal, 0), (Numbers{0, 0, 1, 0, 0}));
    EXPECT_EQ(compare(Type::Equal, 1), (Numbers{0, 1, 1, 1, 0}));
    EXPECT_EQ(compare(Type::NotEqual, 0), (Numbers{1, 1, 0, 1, 0}));
    EXPECT_EQ(compare(Type::NotEqual, 1), (Numbers{1, 0, 0, 0, 0}));
    EXPECT_EQ(compare(Type::Less, 5), (Numbers{1, 1, 0, 0, 0}));
    EXPECT_EQ(compare(Type::LessOrEqual, 5), (Numbers{1, 1, 1, 0, 0}));
    EXPECT_EQ(compare(Type::Greater, 5), (Numbers{0, 0, 0, 1, 0}));
    EXPECT_EQ(compare(Type::GreaterOrEqual, 5), (Numbers{0, 0, 1, 1, 0}));
}

}  // namespace
}  // namespace pewter::test
