// Resampling: which pixels a position reads, views, positions outside; values of PyTorch.

#include <gtest/gtest.h>

#include "support/Compare.h"
#include "support/Fixtures.h"
#include "support/RunReference.h"

namespace pewter::test {
namespace {

using Numbers = std::vector<double>;
constexpr auto kType = ops::Type::Float64;
constexpr auto kNearest = ops::ResampleType::Nearest;
constexpr auto kBilinear = ops::ResampleType::Bilinear;
constexpr ops::ResampleAxis kStill = {0, 1, 1};

/// One row through one view.
Numbers resample(ops::ResampleType type, const Numbers& row, const ops::ResampleAxis& x, std::int64_t outputs,
                 bool zeroOutside = false) {
    const OpTensor src(kType, 1, 1, static_cast<std::int64_t>(row.size()), 1, row);
    OpTensor dst(kType, 1, 1, outputs, 1);
    dst.fill(99);
    const ops::ResampleView view{x, kStill};
    runReference(ops::ResampleForward{type, src, dst, &view, 1, zeroOutside});
    return dst.values();
}

Numbers gradient(ops::ResampleType type, const Numbers& diff, const ops::ResampleAxis& x,
                 std::int64_t pixels) {
    const OpTensor diffDst(kType, 1, 1, static_cast<std::int64_t>(diff.size()), 1, diff);
    OpTensor diffSrc(kType, 1, 1, pixels, 1);
    diffSrc.fill(99);
    runReference(ops::ResampleGradient{type, diffDst, diffSrc, {x, kStill}});
    return diffSrc.values();
}

TEST(ReferenceUpsampling, NearestRepeatsEachPixel) {
    EXPECT_EQ(resample(kNearest, {1, 2, 3}, {0, 1, 2}, 6), (Numbers{1, 1, 2, 2, 3, 3}));
    EXPECT_EQ(resample(kNearest, {1, 2, 3}, {0, 1, 3}, 9), (Numbers{1, 1, 1, 2, 2, 2, 3, 3, 3}));
    EXPECT_EQ(resample(kNearest, {1, 2, 3}, {0, 3, 5}, 5), (Numbers{1, 1, 2, 2, 3}));
}

TEST(ReferenceUpsampling, BilinearWithoutAlignedCornersStepsFromTheFirstCentre) {
    EXPECT_EQ(resample(kBilinear, {0, 4, 8}, {0, 3, 6}, 6), (Numbers{0, 2, 4, 6, 8, 8}));
    EXPECT_EQ(resample(kBilinear, {0, 8}, {0, 1, 4}, 8), (Numbers{0, 2, 4, 6, 8, 8, 8, 8}));
}

TEST(ReferenceUpsampling, BilinearWithAlignedCornersEndsOnTheLastCentre) {
    EXPECT_EQ(resample(kBilinear, {0, 6, 12}, {0, 2, 4}, 5), (Numbers{0, 3, 6, 9, 12}));
    EXPECT_EQ(resample(kBilinear, {5, 7}, {0, 0, 1}, 1), (Numbers{5}));
}

TEST(ReferenceUpsampling, BothAxesInterpolate) {
    const OpTensor src(kType, 1, 2, 2, 1, {0, 4, 8, 12});
    OpTensor dst(kType, 1, 3, 3, 1);
    const ops::ResampleView view{{0, 1, 2}, {0, 1, 2}};
    runReference(ops::ResampleForward{kBilinear, src, dst, &view, 1, false});
    EXPECT_EQ(dst.values(), (Numbers{0, 2, 4, 4, 6, 8, 8, 10, 12}));
}

TEST(ReferenceUpsampling, PositionsOutsideMoveToTheEdgeOrReadNothing) {
    EXPECT_EQ(resample(kBilinear, {2, 4}, {-1.5, 1, 1}, 4), (Numbers{2, 2, 3, 4}));
    EXPECT_EQ(resample(kNearest, {2, 4}, {-2, 1, 1}, 5), (Numbers{2, 2, 2, 4, 4}));
    EXPECT_EQ(resample(kBilinear, {2, 4}, {-0.5, 1, 2}, 6, true), (Numbers{0, 2, 3, 4, 0, 0}));
}

TEST(ReferenceUpsampling, APositionThatRoundingPutsBesideTheEdgePixelReadsIt) {
    // 0.1 * 9 + 0.9 * 9 is 9 + 2^-50 in double.
    const Numbers row{1, 1, 1, 1, 1, 1, 1, 1, 1, 7};
    EXPECT_EQ(resample(kBilinear, row, {9 * 0x1p-49 + 0.9, 8.1, 1}, 2, true)[1], 7);
    EXPECT_EQ(resample(kBilinear, row, {9 + 1e-6, 0, 1}, 1, true)[0], 0);
}

TEST(ReferenceUpsampling, EachViewOfAnImageMakesAnImage) {
    const OpTensor src(kType, 2, 1, 2, 1, {1, 2, 10, 20});
    OpTensor dst(kType, 6, 1, 1, 1);
    const ops::ResampleView views[] = {{{0, 0, 1}, kStill}, {{1, 0, 1}, kStill}, {{0.5, 0, 1}, kStill}};
    runReference(ops::ResampleForward{kBilinear, src, dst, views, 3, true});
    EXPECT_EQ(dst.values(), (Numbers{1, 2, 1.5, 10, 20, 15}));
}

TEST(ReferenceUpsampling, TheGradientSumsWhatReadAPixel) {
    EXPECT_EQ(gradient(kNearest, {1, 2, 3, 4, 5, 6}, {0, 1, 2}, 3), (Numbers{3, 7, 11}));
    EXPECT_EQ(gradient(kBilinear, {1, 2, 4, 8}, {0, 1, 2}, 2), (Numbers{2, 13}));
    EXPECT_EQ(gradient(kBilinear, {1, 10, 100}, {-5, 1, 1}, 4), (Numbers{111, 0, 0, 0}));
}

OpTensor like(const OpTensor& t) {
    const ops::Tensor v = t.view();
    return {kType, v.n, v.h, v.w, v.c};
}

/// Positions by the published formulas, worked out here once more.
ops::ResampleAxis axisOf(std::int64_t source, std::int64_t outputs, bool align) {
    if (!align) return {0, static_cast<double>(source), static_cast<double>(outputs)};
    if (outputs == 1) return {0, 0, 1};
    return {0, static_cast<double>(source - 1), static_cast<double>(outputs - 1)};
}

TEST(ReferenceUpsampling, UpsamplingAndItsGradientAgreeWithPyTorch) {
    const auto file = fixture("upsampling");
    for (const Json& one : file.at("cases")) {
        const auto name = one.at("name").get<std::string>();
        const OpTensor x = tensorOf(one.at("x")), g = tensorOf(one.at("g"));
        OpTensor y = like(g), dx = like(x);
        const auto type = one.at("type") == "nearest" ? kNearest : kBilinear;
        const bool align = one.at("alignCorners");
        const ops::ResampleView view{axisOf(x.view().w, y.view().w, align),
                                     axisOf(x.view().h, y.view().h, align)};
        runReference(ops::ResampleForward{type, x, y, &view, 1, false});
        runReference(ops::ResampleGradient{type, g, dx, view});
        EXPECT_TRUE(allNear(y.values(), numbers(one.at("y")), 1e-10)) << name;
        EXPECT_TRUE(allNear(dx.values(), numbers(one.at("dx")), 1e-10)) << name;
    }
}

TEST(ReferenceUpsampling, ResizingAgreesWithPyTorch) {
    const auto file = fixture("resize");
    for (const Json& one : file.at("cases")) {
        const OpTensor x = tensorOf(one.at("x"));
        OpTensor y = like(tensorOf(one.at("y")));
        const bool align = one.at("alignCorners");
        const ops::ResampleView view{axisOf(x.view().w, one.at("resizeWidth"), align),
                                     axisOf(x.view().h, one.at("resizeHeight"), align)};
        runReference(ops::ResampleForward{kBilinear, x, y, &view, 1, false});
        EXPECT_TRUE(allNear(y.values(), numbers(one.at("y")), 1e-10)) << one.at("name");
    }
}

}  // namespace
}  // namespace pewter::test
