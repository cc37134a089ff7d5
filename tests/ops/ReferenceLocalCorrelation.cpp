// Local correlations on the oracle, by hand and by PyTorch.

#include <gtest/gtest.h>

#include "support/Compare.h"
#include "support/Fixtures.h"
#include "support/OpTensors.h"
#include "support/RunReference.h"

namespace pewter::test {
namespace {

constexpr auto kType = ops::Type::Float64;

ops::LocalCorrelation correlation(const OpTensor& a, const OpTensor& b, const OpTensor& dst,
                                  std::int64_t windowX, std::int64_t windowY) {
    ops::LocalCorrelation op;
    op.primary = a, op.secondary = b, op.dst = dst;
    op.windowX = windowX, op.windowY = windowY;
    return op;
}

TEST(ReferenceLocalCorrelation, ShiftsAlongXRunFastest) {
    const OpTensor a(kType, 1, 1, 3, 1, {1, 2, 3}), b(kType, 1, 1, 3, 1, {10, 20, 30});
    OpTensor dst(kType, 1, 1, 3, 3);
    runReference(correlation(a, b, dst, 1, 0));
    EXPECT_EQ(dst.values(), (std::vector<double>{0, 10, 20, 20, 40, 60, 60, 90, 0}));
    auto clamped = correlation(a, b, dst, 1, 0);
    clamped.edge = ops::Edge::Clamp;
    runReference(clamped);
    EXPECT_EQ(dst.values(), (std::vector<double>{10, 10, 20, 20, 40, 60, 60, 90, 90}));
    // Unequal windows: one pixel of the secondary is found at shift (2, -1), channel (-1 + 1) * 5 + (2 + 2).
    OpTensor three(kType, 1, 1, 1, 1, {3}), spot(kType, 1, 5, 5, 1), wide(kType, 1, 1, 1, 15);
    spot.set(0, 1, 4, 0, 7);
    auto one = correlation(three, spot, wide, 2, 1);
    one.offsetX = 2, one.offsetY = 2;
    runReference(one);
    std::vector<double> expected(15, 0);
    expected[4] = 21;
    EXPECT_EQ(wide.values(), expected);
}

TEST(ReferenceLocalCorrelation, StridesSpreadTheShiftsAndChannelsAddUp) {
    const OpTensor a(kType, 1, 1, 1, 2, {1, 10}), b(kType, 1, 3, 1, 2, {1, 2, 3, 4, 5, 6});
    OpTensor dst(kType, 1, 1, 1, 3);
    auto op = correlation(a, b, dst, 0, 1);
    op.strideY = 2;
    runReference(op);
    EXPECT_EQ(dst.values(), (std::vector<double>{0, 21, 65}));
}

TEST(ReferenceLocalCorrelation, AgreesWithPyTorch) {
    const Json all = fixture("local_correlation");
    ASSERT_FALSE(all.at("cases").empty());
    for (const Json& one : all.at("cases")) {
        const OpTensor a = tensorOf(one.at("primary")), b = tensorOf(one.at("secondary"));
        OpTensor y = tensorOf(one.at("y"));
        y.fill(9);
        auto op = correlation(a, b, y, one.at("windowInX"), one.at("windowInY"));
        op.strideX = one.at("strideInX"), op.strideY = one.at("strideInY");
        op.edge = one.at("edgeMode") == "Clamp" ? ops::Edge::Clamp : ops::Edge::Zero;
        runReference(op);
        EXPECT_TRUE(allNear(y.values(), numbers(one.at("y")), 1e-10)) << one.at("name");
    }
}

}  // namespace
}  // namespace pewter::test
