// The three normalisations by a neighbourhood on the oracle, by hand: with beta -1 they multiply by the base,
// so that every number is an integer. PyTorch's values and positive exponents follow.

#include <gtest/gtest.h>

#include "support/Compare.h"
#include "support/Fixtures.h"
#include "support/RunReference.h"

namespace pewter::test {
namespace {

constexpr auto kType = ops::Type::Float64;
constexpr double kTolerance = 1e-10;

ops::Window windowOf(std::int64_t width, std::int64_t height, ops::Edge edge = ops::Edge::Zero) {
    ops::Window window;
    window.width = width, window.height = height;
    window.padLeft = width / 2, window.padTop = height / 2;
    window.edge = edge;
    return window;
}

std::vector<double> spatial(const OpTensor& src, const ops::Window& window, double alpha, double beta,
                            double delta) {
    OpTensor dst = src;
    runReference(ops::SpatialNormalizationForward{src, dst, window, alpha, beta, delta});
    return dst.values();
}

TEST(ReferenceSpatialNormalization, TheBaseIsDeltaPlusAlphaTimesTheMeanSquareOfTheWindow) {
    const OpTensor row(kType, 1, 1, 3, 1, {1, 2, 3});
    EXPECT_EQ(spatial(row, windowOf(3, 1), 3, -1, 1), (std::vector<double>{6, 30, 42}));
    EXPECT_EQ(spatial(row, windowOf(3, 1, ops::Edge::Clamp), 3, -1, 1), (std::vector<double>{7, 30, 69}));
    const OpTensor column(kType, 1, 3, 1, 1, {1, 2, 3});
    EXPECT_EQ(spatial(column, windowOf(1, 3), 3, -1, 1), (std::vector<double>{6, 30, 42}));
    // The window keeps its area where it leaves the source: 4 under a power of 1.
    EXPECT_EQ(spatial(OpTensor(kType, 1, 1, 1, 1, {4}), windowOf(2, 2), 4, 1, 0),
              (std::vector<double>{0.25}));
}

TEST(ReferenceSpatialNormalization, AnEvenWindowReachesOneMorePixelToTheTopLeft) {
    const OpTensor row(kType, 1, 1, 3, 1, {1, 2, 3});
    EXPECT_EQ(spatial(row, windowOf(2, 1), 2, -1, 1), (std::vector<double>{2, 12, 42}));
}

TEST(ReferenceSpatialNormalization, ChannelsAndImagesDoNotMix) {
    const OpTensor two(kType, 2, 1, 2, 2, {1, 10, 2, 20, 3, 30, 4, 40});
    EXPECT_EQ(spatial(two, windowOf(3, 1), 3, -1, 0),
              (std::vector<double>{5, 5000, 10, 10000, 75, 75000, 100, 100000}));
}

TEST(ReferenceSpatialNormalization, AGradientReachesEveryPixelOfTheWindow) {
    const OpTensor src(kType, 1, 1, 3, 1, {1, 2, 3}), diffDst(kType, 1, 1, 3, 1, {1, 0, 0});
    OpTensor diffSrc(kType, 1, 1, 3, 1, {9, 9, 9});
    runReference(ops::SpatialNormalizationGradient{src, diffDst, diffSrc, windowOf(3, 1), 3, -1, 1});
    EXPECT_EQ(diffSrc.values(), (std::vector<double>{8, 4, 0})) << "1 + 3 x0^2 + x1^2 and 2 x0 x1";
}

TEST(ReferenceLocalContrastNormalization, MeanAndVarianceAreThoseOfTheWindow) {
    const OpTensor src(kType, 1, 1, 3, 1, {2, 6, 4});
    OpTensor dst = src;
    runReference(ops::LocalContrastNormalizationForward{src, dst, windowOf(2, 1), 1, -1, 1, 1, 10, 2});
    EXPECT_EQ(dst.values(), (std::vector<double>{14, 30, 6}));
    // Under Clamp the first window is twice the first pixel: no contrast at all.
    runReference(ops::LocalContrastNormalizationForward{src, dst, windowOf(2, 1, ops::Edge::Clamp), 1, -1, 1,
                                                        1, 10, 2});
    EXPECT_EQ(dst.values(), (std::vector<double>{10, 30, 6}));
}

TEST(ReferenceLocalContrastNormalization, ByDefaultOnlyTheMeanIsRemoved) {
    const OpTensor src(kType, 1, 1, 3, 1, {3, 6, 9});
    OpTensor dst = src;
    runReference(ops::LocalContrastNormalizationForward{src, dst, windowOf(3, 1)});
    EXPECT_EQ(dst.values(), (std::vector<double>{0, 0, 32 * (9 - 5)})) << "1 / sqrt(1/1024) = 32";
}

std::vector<double> crossChannel(const OpTensor& src, std::int64_t size, double alpha, double beta,
                                 double delta) {
    OpTensor dst = src;
    runReference(ops::CrossChannelNormalizationForward{src, dst, size, alpha, beta, delta});
    return dst.values();
}

TEST(ReferenceCrossChannelNormalization, AnEvenWindowReachesOneMoreChannelDown) {
    const OpTensor src(kType, 1, 1, 1, 4, {1, 2, 3, 4});
    EXPECT_EQ(crossChannel(src, 1, 1, -1, 0), (std::vector<double>{1, 8, 27, 64}));
    EXPECT_EQ(crossChannel(src, 2, 2, -1, 0), (std::vector<double>{1, 10, 39, 100}));
    EXPECT_EQ(crossChannel(src, 3, 3, -1, 0), (std::vector<double>{5, 28, 87, 100}));
    EXPECT_EQ(crossChannel(src, 4, 4, -1, 0), (std::vector<double>{5, 28, 90, 116}));
    EXPECT_EQ(crossChannel(src, 99, 99, -1, 0), (std::vector<double>{30, 60, 90, 120}));
}

TEST(ReferenceCrossChannelNormalization, AGradientReachesEveryChannelOfTheWindow) {
    const OpTensor src(kType, 1, 1, 1, 3, {1, 2, 3}), diffDst(kType, 1, 1, 1, 3, {0, 1, 0});
    OpTensor diffSrc(kType, 1, 1, 1, 3, {9, 9, 9});
    // y1 = x1 (x0^2 + x1^2).
    runReference(ops::CrossChannelNormalizationGradient{src, diffDst, diffSrc, 2, 2, -1, 0});
    EXPECT_EQ(diffSrc.values(), (std::vector<double>{4, 13, 0}));
}

template <class Visitor>
void forEachCase(const char* family, Visitor visit) {
    const Json all = fixture(family);
    ASSERT_FALSE(all.at("cases").empty());
    for (const Json& one : all.at("cases")) visit(one, one.at("name").get<std::string>());
}

ops::Window windowOf(const Json& one) {
    return windowOf(one.at("kernelWidth"), one.at("kernelHeight"),
                    one.at("edgeMode") == "Clamp" ? ops::Edge::Clamp : ops::Edge::Zero);
}

TEST(ReferenceSpatialNormalization, AgreesWithPyTorch) {
    forEachCase("spatial_normalization", [](const Json& one, const std::string& name) {
        const OpTensor x = tensorOf(one.at("x")), g = tensorOf(one.at("g"));
        OpTensor y = x, dx = x;
        runReference(ops::SpatialNormalizationForward{x, y, windowOf(one), one.at("alpha"), one.at("beta"),
                                                      one.at("delta")});
        runReference(ops::SpatialNormalizationGradient{x, g, dx, windowOf(one), one.at("alpha"),
                                                       one.at("beta"), one.at("delta")});
        EXPECT_TRUE(allNear(y.values(), numbers(one.at("y")), kTolerance)) << name;
        EXPECT_TRUE(allNear(dx.values(), numbers(one.at("dx")), kTolerance)) << name;
    });
}

TEST(ReferenceLocalContrastNormalization, AgreesWithPyTorch) {
    forEachCase("local_contrast_normalization", [](const Json& one, const std::string& name) {
        const OpTensor x = tensorOf(one.at("x")), g = tensorOf(one.at("g"));
        OpTensor y = x, dx = x;
        runReference(ops::LocalContrastNormalizationForward{x, y, windowOf(one), one.at("alpha"),
                                                            one.at("beta"), one.at("delta"), one.at("p0"),
                                                            one.at("pm"), one.at("ps")});
        runReference(ops::LocalContrastNormalizationGradient{x, g, dx, windowOf(one), one.at("alpha"),
                                                             one.at("beta"), one.at("delta"), one.at("p0"),
                                                             one.at("pm"), one.at("ps")});
        EXPECT_TRUE(allNear(y.values(), numbers(one.at("y")), kTolerance)) << name;
        EXPECT_TRUE(allNear(dx.values(), numbers(one.at("dx")), kTolerance)) << name;
    });
}

TEST(ReferenceCrossChannelNormalization, AgreesWithPyTorch) {
    forEachCase("cross_channel_normalization", [](const Json& one, const std::string& name) {
        const OpTensor x = tensorOf(one.at("x")), g = tensorOf(one.at("g"));
        const std::int64_t size = one.at("kernelSize");
        OpTensor y = x, dx = x;
        runReference(ops::CrossChannelNormalizationForward{x, y, size, one.at("alpha"), one.at("beta"),
                                                           one.at("delta")});
        runReference(ops::CrossChannelNormalizationGradient{x, g, dx, size, one.at("alpha"), one.at("beta"),
                                                            one.at("delta")});
        EXPECT_TRUE(allNear(y.values(), numbers(one.at("y")), kTolerance)) << name;
        EXPECT_TRUE(allNear(dx.values(), numbers(one.at("dx")), kTolerance)) << name;
    });
}

}  // namespace
}  // namespace pewter::test
