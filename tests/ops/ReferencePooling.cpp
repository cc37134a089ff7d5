// Pooling: values worked out by hand, ties, NaN and windows outside the source.

#include <gtest/gtest.h>

#include <cmath>

#include "support/Compare.h"
#include "support/Fixtures.h"
#include "support/OpTensors.h"
#include "support/RunReference.h"

namespace pewter::test {
namespace {

using Numbers = std::vector<double>;
constexpr auto kType = ops::Type::Float32;
constexpr auto kMax = ops::PoolingType::Max;
constexpr auto kAverage = ops::PoolingType::Average;
constexpr auto kNorm = ops::PoolingType::L2Norm;
constexpr auto kClamp = ops::Edge::Clamp;

OpTensor row(const Numbers& values) {
    return {kType, 1, 1, static_cast<std::int64_t>(values.size()), 1, values};
}

Numbers pool(ops::PoolingType type, const Numbers& source, std::int64_t outputs, ops::Window window,
             std::int64_t zeroPadX = 0) {
    const OpTensor src = row(source);
    OpTensor dst(kType, 1, 1, outputs, 1);
    runReference(ops::PoolingForward{type, src, dst, window, zeroPadX, 0});
    return dst.values();
}

Numbers gradient(ops::PoolingType type, const Numbers& source, const Numbers& diff, ops::Window window,
                 std::int64_t zeroPadX = 0) {
    const OpTensor src = row(source), diffDst = row(diff);
    OpTensor diffSrc = row(Numbers(source.size(), 99));
    runReference(ops::PoolingGradient{type, src, diffDst, diffSrc, window, zeroPadX, 0});
    return diffSrc.values();
}

TEST(ReferencePooling, ZerosOutsideTakePartInTheMaximum) {
    EXPECT_EQ(pool(kMax, {-1, -2, -3}, 3, {.width = 3, .padLeft = 1}), (Numbers{0, -1, 0}));
    EXPECT_EQ(pool(kMax, {-1, -2, -3}, 3, {.width = 3, .padLeft = 1, .edge = kClamp}), (Numbers{-1, -1, -2}));
}

TEST(ReferencePooling, AWindowWhollyOutsideGivesZeroOrTheEdgePixel) {
    EXPECT_EQ(pool(kMax, {-1, -2}, 1, {.width = 2, .padLeft = 5}), (Numbers{0}));
    EXPECT_EQ(pool(kMax, {-1, -2}, 1, {.width = 2, .padLeft = 5, .edge = kClamp}), (Numbers{-1}));
    EXPECT_EQ(pool(kAverage, {1, 2}, 1, {.width = 2, .padLeft = 5}), (Numbers{0}));
    EXPECT_EQ(pool(kAverage, {1, 2}, 1, {.width = 2, .padLeft = 5, .edge = kClamp}), (Numbers{0}));
    EXPECT_EQ(pool(kAverage, {1, 2}, 1, {.width = 2, .padLeft = 2, .edge = kClamp}, 2), (Numbers{0}));
}

TEST(ReferencePooling, MaximumKeepsNaNAndMinusInfinity) {
    const auto out = pool(kMax, {1, std::nan(""), 5, 2, -HUGE_VAL, -HUGE_VAL}, 3, {.width = 2, .strideX = 2});
    EXPECT_TRUE(std::isnan(out[0]));
    EXPECT_EQ(out[1], 5);
    EXPECT_EQ(out[2], -HUGE_VAL);
    EXPECT_EQ(gradient(kMax, {-HUGE_VAL, -HUGE_VAL}, {3}, {.width = 2}), (Numbers{3, 0}));
    EXPECT_EQ(gradient(kMax, {7, std::nan("")}, {3}, {.width = 2}), (Numbers{0, 3}));
}

TEST(ReferencePooling, TheFirstOfEqualMaximaTakesTheGradient) {
    EXPECT_EQ(gradient(kMax, {4, 4, 4, 4}, {1, 10}, {.width = 2, .strideX = 2}), (Numbers{1, 0, 10, 0}));
    // Row by row: (0,1) comes before (1,0).
    const OpTensor src(kType, 1, 2, 2, 1, {1, 7, 7, 1}), diffDst(kType, 1, 1, 1, 1, {5});
    OpTensor diffSrc(kType, 1, 2, 2, 1);
    runReference(ops::PoolingGradient{kMax, src, diffDst, diffSrc, {.width = 2, .height = 2}, 0, 0});
    EXPECT_EQ(diffSrc.values(), (Numbers{0, 5, 0, 0}));
}

TEST(ReferencePooling, ATapOutsideThatWinsCreditsNothingUnderZeroAndTheEdgePixelUnderClamp) {
    EXPECT_EQ(gradient(kMax, {-1, -2}, {1, 10, 100}, {.width = 2, .padLeft = 1}), (Numbers{10, 0}));
    EXPECT_EQ(gradient(kMax, {-1, -2}, {1, 10, 100}, {.width = 2, .padLeft = 1, .edge = kClamp}),
              (Numbers{11, 100}));
    // The zeros outside lose ties, on the left and on the right.
    EXPECT_EQ(gradient(kMax, {0, -1, 0}, {1, 10, 100, 1000}, {.width = 2, .padLeft = 1}),
              (Numbers{11, 0, 1100}));
}

TEST(ReferencePooling, OverlappingWindowsAddTheirGradients) {
    EXPECT_EQ(gradient(kMax, {1, 9, 2}, {1, 10}, {.width = 2}), (Numbers{0, 11, 0}));
    EXPECT_EQ(gradient(kAverage, {0, 0, 0}, {2, 20}, {.width = 2}), (Numbers{1, 11, 10}));
}

TEST(ReferencePooling, DilatedTapsLeaveGaps) {
    EXPECT_EQ(pool(kMax, {1, 9, 3, 4, 2}, 3, {.width = 2, .dilationX = 2}), (Numbers{3, 9, 3}));
}

TEST(ReferencePooling, AverageDividesByTheWindowOrByWhatIsLeftOfIt) {
    EXPECT_EQ(pool(kAverage, {3, 6, 9}, 3, {.width = 3, .padLeft = 1}), (Numbers{3, 6, 5}));
    EXPECT_EQ(pool(kAverage, {3, 6, 9}, 3, {.width = 3, .padLeft = 1, .edge = kClamp}),
              (Numbers{4.5, 6, 7.5}));
    // One zero on either side still counts: divisors 2, 3, 2.
    EXPECT_EQ(pool(kAverage, {4, 6, 10}, 3, {.width = 3, .strideX = 2, .padLeft = 2, .edge = kClamp}, 1),
              (Numbers{2, 20.0f / 3, 5}));
    EXPECT_EQ(gradient(kAverage, {0, 0, 0}, {6, 6, 6}, {.width = 3, .padLeft = 1, .edge = kClamp}),
              (Numbers{5, 8, 5}));
}

TEST(ReferencePooling, AverageZeroPadCountsInRowsToo) {
    // 3x3 windows centred on the pixels of a 1x1 image with a border of one row: 3 of 9 positions lie inside.
    const OpTensor src(kType, 1, 1, 1, 1, {12});
    OpTensor dst(kType, 1, 1, 1, 1);
    const ops::Window window{.width = 3, .height = 3, .padLeft = 1, .padTop = 1, .edge = kClamp};
    runReference(ops::PoolingForward{kAverage, src, dst, window, 0, 1});
    EXPECT_EQ(dst.at(0), 4);
}

TEST(ReferencePooling, NormIsTheRootOfTheSumOfSquares) {
    EXPECT_EQ(pool(kNorm, {3, -4, 12, 5}, 2, {.width = 2, .strideX = 2}), (Numbers{5, 13}));
    EXPECT_EQ(pool(kNorm, {3, 4, 0}, 3, {.width = 2, .padLeft = 1}), (Numbers{3, 5, 4}));
    EXPECT_EQ(pool(kNorm, {3, 4}, 1, {.width = 2, .padLeft = 5}), (Numbers{0}));
}

TEST(ReferencePooling, NormCountsAnEdgePixelForEveryTapThatReadsIt) {
    // Taps -2, -1, 0, 1 of the pixels 2 and 2: four twos.
    EXPECT_EQ(pool(kNorm, {2, 2}, 1, {.width = 4, .padLeft = 2, .edge = kClamp}), (Numbers{4}));
    EXPECT_EQ(gradient(kNorm, {2, 2}, {8}, {.width = 4, .padLeft = 2, .edge = kClamp}), (Numbers{12, 4}));
}

TEST(ReferencePooling, NormGivesEachPixelItsShareOfTheGradientAndNothingWhereItIsZero) {
    EXPECT_EQ(gradient(kNorm, {3, -4, 0, 0}, {10, 7}, {.width = 2, .strideX = 2}), (Numbers{6, -8, 0, 0}));
    EXPECT_EQ(gradient(kNorm, {3, 4, 3}, {10, 5}, {.width = 2}), (Numbers{6, 12, 3}));
}

TEST(ReferencePooling, NormAgreesWithPyTorch) {
    const auto file = fixture("pooling_norm");
    for (const Json& one : file.at("cases")) {
        const OpTensor x = tensorOf(one.at("x")), g = tensorOf(one.at("g"));
        ops::Window window{.width = one.at("kernelWidth"), .height = one.at("kernelHeight")};
        window.strideX = one.at("strideX"), window.strideY = one.at("strideY");
        window.padLeft = one.at("padLeft"), window.padTop = one.at("padTop");
        window.edge = one.at("edgeMode") == "Clamp" ? kClamp : ops::Edge::Zero;
        OpTensor y = g, dx = x;
        runReference(ops::PoolingForward{kNorm, x, y, window, 0, 0});
        runReference(ops::PoolingGradient{kNorm, x, g, dx, window, 0, 0});
        EXPECT_TRUE(allNear(y.values(), numbers(one.at("y")), 1e-10)) << one.at("name");
        EXPECT_TRUE(allNear(dx.values(), numbers(one.at("dx")), 1e-10)) << one.at("name");
    }
}

}  // namespace
}  // namespace pewter::test
