// Central differences for the three normalisations by a neighbourhood.

#include <gtest/gtest.h>

#include <string>

#include "support/GradientCheck.h"

namespace pewter::test {
namespace {

constexpr auto kType = ops::Type::Float64;
constexpr auto kClamp = ops::Edge::Clamp;

struct Case {
    const char* name;
    std::int64_t height, width, outHeight, outWidth;
    ops::Window window;
    double alpha, beta, delta;
};

// Window: width, height, strideX, strideY, dilationX, dilationY, padLeft, padTop, edge.
const Case kCases[] = {
    {"Zero", 5, 4, 5, 4, {3, 3, 1, 1, 1, 1, 1, 1}, 1, 5, 1},
    {"Clamp", 5, 4, 5, 4, {3, 3, 1, 1, 1, 1, 1, 1, kClamp}, 1, 0.75, 1},
    {"EvenZero", 4, 5, 4, 5, {4, 2, 1, 1, 1, 1, 2, 1}, 2, 0.5, 0.5},
    {"EvenClamp", 4, 5, 4, 5, {4, 2, 1, 1, 1, 1, 2, 1, kClamp}, 2, 1.3, 0.5},
    {"SmallerResult", 5, 6, 3, 2, {3, 2, 1, 1, 1, 1, 0, -1}, 3, 2, 1},
    {"LargerResultZero", 3, 3, 5, 6, {3, 2, 1, 1, 1, 1, 2, 3}, 3, 2, 1},
    {"LargerResultClamp", 3, 3, 5, 6, {3, 2, 1, 1, 1, 1, 3, 2, kClamp}, 3, 2, 1},
    {"WhollyOutsideClamp", 2, 3, 2, 2, {2, 2, 1, 1, 1, 1, 6, -4, kClamp}, 1, 0.75, 1},
    {"OnePixelClamp", 1, 1, 2, 2, {3, 3, 1, 1, 1, 1, 1, 1, kClamp}, 1, 0.75, 1},
    {"NegativeBeta", 3, 4, 3, 4, {3, 3, 1, 1, 1, 1, 1, 1}, 1, -1.5, 1},
    {"NoAlpha", 3, 4, 3, 4, {3, 3, 1, 1, 1, 1, 1, 1}, 0, 0.5, 0.25},
    {"WindowBeyondTheImage", 3, 2, 3, 2, {9, 7, 1, 1, 1, 1, 4, 3, kClamp}, 1, 0.75, 1},
};

class GradientLocalNormalization : public testing::TestWithParam<Case> {
protected:
    Random random{71};
    OpTensor src{kType, 2, GetParam().height, GetParam().width, 2}, diffSrc = src;
    OpTensor dst{kType, 2, GetParam().outHeight, GetParam().outWidth, 2}, diffDst = dst;

    void SetUp() override {
        src.fillUniform(random, -1.5, 1.5);
        diffDst.fillUniform(random, -1, 1);
        diffSrc.fill(99);
    }
};

TEST_P(GradientLocalNormalization, SpatialGradientIsTheDerivative) {
    const Case& p = GetParam();
    runReference(
        ops::SpatialNormalizationGradient{src, diffDst, diffSrc, p.window, p.alpha, p.beta, p.delta});
    EXPECT_TRUE(isGradient(diffSrc.values(), src, [&] {
        runReference(ops::SpatialNormalizationForward{src, dst, p.window, p.alpha, p.beta, p.delta});
        return dot(dst, diffDst);
    }));
}

TEST_P(GradientLocalNormalization, LocalContrastGradientIsTheDerivative) {
    const Case& p = GetParam();
    runReference(ops::LocalContrastNormalizationGradient{src, diffDst, diffSrc, p.window, p.alpha, p.beta,
                                                         p.delta, 0.8, 0.3, 1.7});
    EXPECT_TRUE(isGradient(diffSrc.values(), src, [&] {
        runReference(ops::LocalContrastNormalizationForward{src, dst, p.window, p.alpha, p.beta, p.delta, 0.8,
                                                            0.3, 1.7});
        return dot(dst, diffDst);
    }));
}

TEST_P(GradientLocalNormalization, CrossChannelGradientIsTheDerivative) {
    const Case& p = GetParam();
    for (const std::int64_t size : {1, 2, 3, 4, 5, 20}) {
        OpTensor x(kType, 2, 1, 2, 7), y = x, dx = x, g = x;
        x.fillUniform(random, -1.5, 1.5);
        g.fillUniform(random, -1, 1);
        runReference(ops::CrossChannelNormalizationGradient{x, g, dx, size, p.alpha, p.beta, p.delta});
        EXPECT_TRUE(isGradient(
            dx.values(), x,
            [&] {
                runReference(ops::CrossChannelNormalizationForward{x, y, size, p.alpha, p.beta, p.delta});
                return dot(y, g);
            }))
            << "kernelSize " << size;
    }
}

INSTANTIATE_TEST_SUITE_P(Cases, GradientLocalNormalization, testing::ValuesIn(kCases),
                         [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace pewter::test
