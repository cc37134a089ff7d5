// Central differences for resampling.

#include <gtest/gtest.h>

#include <string>

#include "support/GradientCheck.h"

namespace pewter::test {
namespace {

constexpr auto kType = ops::Type::Float64;
constexpr auto kNearest = ops::ResampleType::Nearest;
constexpr auto kBilinear = ops::ResampleType::Bilinear;

struct Case {
    const char* name;
    ops::ResampleType type;
    std::int64_t height, width, outHeight, outWidth;
    ops::ResampleView view;  // x, then y
};

const Case kCases[] = {
    {"NearestTwice", kNearest, 3, 4, 6, 8, {{0, 1, 2}, {0, 1, 2}}},
    {"NearestThreeTimesOnce", kNearest, 3, 4, 3, 12, {{0, 1, 3}, {0, 1, 1}}},
    {"NearestMovedAndCut", kNearest, 4, 4, 5, 6, {{-1, 1, 2}, {1, 1, 2}}},
    {"BilinearTwice", kBilinear, 3, 4, 6, 8, {{0, 4, 8}, {0, 3, 6}}},
    {"BilinearThreeByFour", kBilinear, 2, 3, 8, 9, {{0, 3, 9}, {0, 2, 8}}},
    {"BilinearCornersAligned", kBilinear, 3, 4, 6, 8, {{0, 3, 7}, {0, 2, 5}}},
    {"BilinearOnePixel", kBilinear, 1, 1, 3, 4, {{0, 1, 4}, {0, 0, 2}}},
    {"BilinearMovedAndCut", kBilinear, 4, 5, 6, 7, {{-1, 1, 2}, {2, 1, 3}}},
    {"BilinearWhollyOutside", kBilinear, 3, 3, 2, 2, {{9, 1, 2}, {-9, 1, 2}}},
    {"BilinearSmaller", kBilinear, 7, 6, 3, 2, {{0, 5, 1}, {0, 7, 3}}},
};

class GradientUpsampling : public testing::TestWithParam<Case> {};

TEST_P(GradientUpsampling, DataGradientIsTheDerivative) {
    const Case& p = GetParam();
    Random random(31);
    OpTensor src(kType, 2, p.height, p.width, 3), diffSrc = src;
    OpTensor dst(kType, 2, p.outHeight, p.outWidth, 3), diffDst = dst;
    src.fillUniform(random, -1, 1);
    diffDst.fillUniform(random, -1, 1);
    diffSrc.fill(99);
    runReference(ops::ResampleGradient{p.type, diffDst, diffSrc, p.view});
    EXPECT_TRUE(isGradient(diffSrc.values(), src, [&] {
        runReference(ops::ResampleForward{p.type, src, dst, &p.view, 1, false});
        return dot(dst, diffDst);
    }));
}

INSTANTIATE_TEST_SUITE_P(Cases, GradientUpsampling, testing::ValuesIn(kCases),
                         [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace pewter::test
