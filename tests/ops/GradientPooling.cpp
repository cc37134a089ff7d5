// Central differences for pooling.

#include <gtest/gtest.h>

#include <string>

#include "support/GradientCheck.h"

namespace pewter::test {
namespace {

constexpr auto kType = ops::Type::Float64;
constexpr auto kClamp = ops::Edge::Clamp;

struct Case {
    const char* name;
    ops::PoolingType type;
    std::int64_t height, width, outHeight, outWidth;
    ops::Window window;
    std::int64_t zeroPadX = 0, zeroPadY = 0;
};

constexpr auto kMax = ops::PoolingType::Max;
constexpr auto kAverage = ops::PoolingType::Average;
constexpr auto kNorm = ops::PoolingType::L2Norm;

// Window: width, height, strideX, strideY, dilationX, dilationY, padLeft, padTop, edge.
const Case kCases[] = {
    {"MaxHalves", kMax, 6, 4, 3, 2, {2, 2, 2, 2, 1, 1, 0, 0}},
    {"MaxZeroEdge", kMax, 5, 5, 5, 5, {3, 3, 1, 1, 1, 1, 1, 1}},
    {"MaxClampEdge", kMax, 5, 5, 5, 5, {3, 3, 1, 1, 1, 1, 1, 1, kClamp}},
    {"MaxEvenWindow", kMax, 5, 6, 3, 6, {4, 2, 1, 2, 1, 1, 2, 1, kClamp}},
    {"MaxStrideBeyondWindow", kMax, 7, 7, 2, 3, {2, 2, 3, 4, 1, 1, 0, 0}},
    {"MaxDilatedZero", kMax, 6, 6, 4, 4, {2, 3, 2, 2, 3, 2, 2, 2}},
    {"MaxDilatedClamp", kMax, 6, 6, 4, 4, {2, 3, 2, 2, 3, 2, 2, 2, kClamp}},
    {"MaxNegativePad", kMax, 6, 6, 3, 3, {2, 2, 1, 1, 1, 1, -2, -1}},
    {"MaxWhollyOutside", kMax, 3, 3, 4, 4, {2, 2, 2, 2, 1, 1, 3, 3, kClamp}},
    {"AverageHalves", kAverage, 6, 4, 3, 2, {2, 2, 2, 2, 1, 1, 0, 0}},
    {"AverageZeroEdge", kAverage, 5, 5, 5, 5, {3, 3, 1, 1, 1, 1, 1, 1}},
    {"AverageClampEdge", kAverage, 5, 5, 5, 5, {3, 3, 1, 1, 1, 1, 1, 1, kClamp}},
    {"AverageZeroPadSize", kAverage, 5, 4, 6, 5, {3, 4, 1, 1, 1, 1, 2, 3, kClamp}, 1, 2},
    {"AverageWhollyOutsideZero", kAverage, 3, 3, 4, 4, {2, 2, 2, 2, 1, 1, 3, 3}},
    {"AverageWhollyOutsideClamp", kAverage, 3, 3, 4, 4, {2, 2, 2, 2, 1, 1, 3, 3, kClamp}, 1, 0},
    {"NormHalves", kNorm, 6, 4, 3, 2, {2, 2, 2, 2, 1, 1, 0, 0}},
    {"NormZeroEdge", kNorm, 5, 5, 5, 5, {3, 3, 1, 1, 1, 1, 1, 1}},
    {"NormClampEdge", kNorm, 5, 5, 5, 5, {3, 3, 1, 1, 1, 1, 1, 1, kClamp}},
    {"NormEvenWindowClamp", kNorm, 5, 6, 3, 6, {4, 2, 1, 2, 1, 1, 2, 1, kClamp}},
    {"NormStrideBeyondWindow", kNorm, 7, 7, 2, 3, {2, 2, 3, 4, 1, 1, 0, 0}},
    {"NormWhollyOutside", kNorm, 3, 3, 4, 4, {2, 2, 2, 2, 1, 1, 3, 3, kClamp}},
    {"AverageNegativePad", kAverage, 6, 6, 2, 2, {3, 2, 2, 3, 1, 1, -1, -2, kClamp}},
};

class GradientPooling : public testing::TestWithParam<Case> {};

TEST_P(GradientPooling, DataGradientIsTheDerivative) {
    const Case& p = GetParam();
    Random random(21);
    OpTensor src(kType, 2, p.height, p.width, 3), diffSrc = src;
    OpTensor dst(kType, 2, p.outHeight, p.outWidth, 3), diffDst = dst;
    // All different and none of them 0, so that no window has two equal maxima.
    for (std::int64_t i = 0; i < src.count(); ++i)
        src.set(i, static_cast<double>(i - src.count() / 2) / 64 + 0.005);
    for (std::int64_t i = src.count() - 1; i > 0; --i) {
        const std::int64_t j = random.integer(0, i);
        const double value = src.at(i);
        src.set(i, src.at(j));
        src.set(j, value);
    }
    diffDst.fillUniform(random, -1, 1);
    diffSrc.fill(99);
    runReference(ops::PoolingGradient{p.type, src, diffDst, diffSrc, p.window, p.zeroPadX, p.zeroPadY});
    EXPECT_TRUE(isGradient(diffSrc.values(), src, [&] {
        runReference(ops::PoolingForward{p.type, src, dst, p.window, p.zeroPadX, p.zeroPadY});
        return dot(dst, diffDst);
    }));
}

INSTANTIATE_TEST_SUITE_P(Cases, GradientPooling, testing::ValuesIn(kCases),
                         [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace pewter::test
