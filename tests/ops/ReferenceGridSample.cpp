// Sampling at grid positions: values worked out by hand, edges, odd positions; values of PyTorch.

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "support/Compare.h"
#include "support/Fixtures.h"
#include "support/RunReference.h"

namespace pewter::test {
namespace {

using Numbers = std::vector<double>;
constexpr auto kType = ops::Type::Float64;

/// The 2 x 2 image 1 2 / 3 4 at one position.
double at(double x, double y, ops::Edge edge = ops::Edge::Zero) {
    const OpTensor src(kType, 1, 2, 2, 1, {1, 2, 3, 4}), grid(kType, 1, 1, 1, 2, {x, y});
    OpTensor dst(kType, 1, 1, 1, 1);
    runReference(ops::GridSample{src, grid, dst, 0, 0, false, edge});
    return dst.at(0);
}

TEST(ReferenceGridSample, PixelCentresAreTheWholeNumbers) {
    EXPECT_EQ(at(0, 0), 1);
    EXPECT_EQ(at(1, 0), 2);
    EXPECT_EQ(at(0, 1), 3);
    EXPECT_EQ(at(0.5, 0), 1.5);
    EXPECT_EQ(at(0.5, 0.5), 2.5);
    EXPECT_EQ(at(0.25, 1), 3.25);
}

TEST(ReferenceGridSample, TapsOutsideFollowTheEdgeMode) {
    EXPECT_EQ(at(-0.5, 0), 0.5);
    EXPECT_EQ(at(1.25, 1), 3);
    EXPECT_EQ(at(-1, 0), 0);
    EXPECT_EQ(at(7, 7), 0);
    EXPECT_EQ(at(-0.5, 0, ops::Edge::Clamp), 1);
    EXPECT_EQ(at(9, -9, ops::Edge::Clamp), 2);
    EXPECT_EQ(at(0.5, 1e300, ops::Edge::Clamp), 3.5);
    EXPECT_EQ(at(-HUGE_VAL, 0), 0);
    EXPECT_EQ(at(HUGE_VAL, 0, ops::Edge::Clamp), 2);
}

TEST(ReferenceGridSample, APositionThatIsNotANumberGivesNaN) {
    EXPECT_TRUE(std::isnan(at(std::nan(""), 0)));
    EXPECT_TRUE(std::isnan(at(0, std::nan(""), ops::Edge::Clamp)));
}

TEST(ReferenceGridSample, DisplacementsAreAddedToThePixelAndTheOffset) {
    const OpTensor src(kType, 1, 2, 3, 1, {1, 2, 3, 4, 5, 6});
    OpTensor dst(kType, 1, 2, 2, 1);
    const OpTensor still(kType, 1, 2, 2, 2);
    runReference(ops::GridSample{src, still, dst, 0, 0, true, ops::Edge::Zero});
    EXPECT_EQ(dst.values(), (Numbers{1, 2, 4, 5}));
    runReference(ops::GridSample{src, still, dst, 1, 0, true, ops::Edge::Zero});
    EXPECT_EQ(dst.values(), (Numbers{2, 3, 5, 6}));
    runReference(ops::GridSample{src, still, dst, 2, 1, false, ops::Edge::Zero});
    EXPECT_EQ(dst.values(), (Numbers{6, 6, 6, 6}));
}

TEST(ReferenceGridSample, AgreesWithPyTorch) {
    const auto file = fixture("grid_sample");
    for (const Json& one : file.at("cases")) {
        const OpTensor x = tensorOf(one.at("x")), grid = tensorOf(one.at("grid")), y = tensorOf(one.at("y"));
        const ops::Tensor v = y.view();
        OpTensor result(kType, v.n, v.h, v.w, v.c);
        runReference(ops::GridSample{x, grid, result, 0, 0, !one.at("useGridValueAsInputCoordinate"),
                                     one.at("edgeMode") == "Clamp" ? ops::Edge::Clamp : ops::Edge::Zero});
        EXPECT_TRUE(allNear(result.values(), y.values(), 1e-10)) << one.at("name");
    }
}

}  // namespace
}  // namespace pewter::test
