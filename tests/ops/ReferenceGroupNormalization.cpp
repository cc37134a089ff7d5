// Instance and group normalisation: values worked out by hand, and what the groups mean.

#include <gtest/gtest.h>

#include <cfloat>
#include <cmath>

#include "support/Compare.h"
#include "support/Fixtures.h"
#include "support/OpTensors.h"
#include "support/RunReference.h"

namespace pewter::test {
namespace {

using Values = std::vector<double>;
constexpr auto kType = ops::Type::Float64;

TEST(ReferenceGroupNormalization, FourChannelsOfOnePixelInTwoGroups) {
    const OpTensor src(kType, 1, 1, 1, 4, {1, 3, 5, 9}), diffDst(kType, 1, 1, 1, 4, {1, 2, 3, 5});
    OpTensor dst = src, diffSrc = src;
    OpArray mean(kType, 2), inverseDeviation = mean, diffGamma(kType, 4), diffBeta = diffGamma;
    runReference(ops::GroupNormalizationForward{src, dst, {}, {}, mean, inverseDeviation, 2, 0});
    EXPECT_EQ(mean.values(), (Values{2, 7}));
    EXPECT_EQ(inverseDeviation.values(), (Values{1, 0.5}));
    EXPECT_EQ(dst.values(), (Values{-1, 1, -1, 1}));
    runReference(ops::GroupNormalizationGradient{
        src, diffDst, diffSrc, {}, mean, inverseDeviation, diffGamma, diffBeta, 2});
    EXPECT_EQ(diffBeta.values(), (Values{1, 2, 3, 5}));
    EXPECT_EQ(diffGamma.values(), (Values{-1, 2, -3, 5}));
    EXPECT_EQ(diffSrc.values(), (Values{0, 0, 0, 0})) << "two samples in a group: always 0";
}

TEST(ReferenceGroupNormalization, OneGroupOfTwoChannelsByHand) {
    // Two pixels of two channels, mean 4, variance 4: xh is -1, 1 and 1, -1.
    const OpTensor src(kType, 1, 1, 2, 2, {2, 6, 6, 2}), diffDst(kType, 1, 1, 2, 2, {1, 1, 3, 1});
    const OpArray gamma(kType, {2, 1}), beta(kType, {10, 20});
    OpTensor dst = src, diffSrc = src;
    OpArray mean(kType, 1), inverseDeviation = mean, diffGamma(kType, 2), diffBeta = diffGamma;
    runReference(ops::GroupNormalizationForward{src, dst, gamma, beta, mean, inverseDeviation, 1, 0});
    EXPECT_EQ(dst.values(), (Values{8, 21, 12, 19}));
    runReference(ops::GroupNormalizationGradient{src, diffDst, diffSrc, gamma, mean, inverseDeviation,
                                                 diffGamma, diffBeta, 1});
    EXPECT_EQ(diffBeta.values(), (Values{4, 2}));
    EXPECT_EQ(diffGamma.values(), (Values{2, 0}));
    // h = 2, 1, 6, 1; S(h) / m = 2.5, S(h xh) / m = 1: (h - 2.5 - xh) / 2.
    EXPECT_EQ(diffSrc.values(), (Values{0.25, -1.25, 1.25, -0.25}));
}

TEST(ReferenceGroupNormalization, AsManyGroupsAsChannelsNormaliseEachChannelOfEachImageAlone) {
    const OpTensor src(kType, 2, 1, 2, 2, {0, 10, 2, 30, 5, 7, 5, 3});
    OpTensor dst = src;
    OpArray mean(kType, 4), inverseDeviation = mean;
    runReference(ops::GroupNormalizationForward{src, dst, {}, {}, mean, inverseDeviation, 2, 1});
    EXPECT_EQ(mean.values(), (Values{1, 20, 5, 5}));
    const double r2 = 1 / std::sqrt(2.0), r101 = 1 / std::sqrt(101.0), r5 = 1 / std::sqrt(5.0);
    EXPECT_TRUE(allNear(dst.values(), {-r2, -10 * r101, r2, 10 * r101, 0, 2 * r5, 0, -2 * r5}, 1e-15));
}

TEST(ReferenceGroupNormalization, OneGroupIsLayerNormalisationOfTheWholeImage) {
    Random random(71);
    OpTensor src(kType, 1, 3, 4, 6), dst = src;
    src.fillUniform(random, -1, 3);
    runReference(ops::GroupNormalizationForward{src, dst, {}, {}, {}, {}, 1, 0});
    double sum = 0, squares = 0;
    for (const double y : dst.values()) sum += y, squares += y * y;
    EXPECT_NEAR(sum, 0, 72 * 0x1p-50);
    EXPECT_NEAR(squares / 72, 1, 72 * 0x1p-52);
}

TEST(ReferenceGroupNormalization, ConstantImagesGiveBetaEvenWithTheSmallestEpsilon) {
    OpTensor src(ops::Type::Float32, 2, 3, 7, 6), dst = src;
    src.fill(0.1);
    const OpArray beta(ops::Type::Float32, 6);
    for (const std::int64_t groups : {1, 2, 3, 6}) {
        runReference(ops::GroupNormalizationForward{src, dst, {}, beta, {}, {}, groups, FLT_MIN});
        EXPECT_EQ(dst.values(), Values(252, 0.0)) << groups << " groups";
    }
}

TEST(ReferenceGroupNormalization, ParameterGradientsAreEachImagesOwnOrTheirSum) {
    Random random(72);
    OpTensor src(kType, 3, 2, 4, 4), diffDst = src, diffSrc = src;
    src.fillIntegers(random, -3, 3);
    diffDst.fillIntegers(random, -3, 3);
    OpArray mean(kType, 6), inverseDeviation = mean, each(kType, 12), ofBeta = each, sum(kType, 4),
                            sumOfBeta = sum;
    mean.fillIntegers(random, -2, 2);
    inverseDeviation.fill(0.5);
    each.fill(99), sum.fill(99);  // overwritten, not added to
    runReference(
        ops::GroupNormalizationGradient{src, diffDst, diffSrc, {}, mean, inverseDeviation, each, ofBeta, 2});
    const auto dx = diffSrc.values();
    runReference(ops::GroupNormalizationGradient{
        src, diffDst, diffSrc, {}, mean, inverseDeviation, sum, sumOfBeta, 2});
    for (std::int64_t c = 0; c < 4; ++c) {
        EXPECT_EQ(sum.at(c), each.at(c) + each.at(4 + c) + each.at(8 + c));
        EXPECT_EQ(sumOfBeta.at(c), ofBeta.at(c) + ofBeta.at(4 + c) + ofBeta.at(8 + c));
    }
    diffSrc.fill(99);
    runReference(
        ops::GroupNormalizationGradient{src, diffDst, diffSrc, {}, mean, inverseDeviation, {}, {}, 2});
    EXPECT_EQ(diffSrc.values(), dx) << "without parameter gradients";
}

/// Both sides compute in double; what differs is the order of at most a hundred additions.
TEST(ReferenceGroupNormalization, AgreesWithPyTorch) {
    for (const char* family : {"instance_normalization", "group_normalization"})
        for (const auto all = fixture(family); const auto& one : all.at("cases")) {
            const auto name = one.at("name").get<std::string>();
            const OpTensor x = tensorOf(one.at("x")), g = tensorOf(one.at("g"));
            const OpArray gamma = arrayOf(one.at("gamma")), beta = arrayOf(one.at("beta"));
            const auto channels = x.view().c, groups = one.at("groups").get<std::int64_t>();
            OpTensor y = x, dx = x;
            OpArray mean(kType, x.view().n * groups), inverseDeviation = mean, dgamma(kType, channels),
                                                      dbeta = dgamma;
            runReference(ops::GroupNormalizationForward{x, y, gamma, beta, mean, inverseDeviation, groups,
                                                        one.at("epsilon").get<float>()});
            runReference(ops::GroupNormalizationGradient{x, g, dx, gamma, mean, inverseDeviation, dgamma,
                                                         dbeta, groups});
            EXPECT_TRUE(allNear(y.values(), numbers(one.at("y")), 1e-10)) << name;
            EXPECT_TRUE(allNear(dx.values(), numbers(one.at("dx")), 1e-10)) << name;
            EXPECT_TRUE(allNear(dgamma.values(), numbers(one.at("dgamma")), 1e-10)) << name;
            EXPECT_TRUE(allNear(dbeta.values(), numbers(one.at("dbeta")), 1e-10)) << name;
        }
}

}  // namespace
}  // namespace pewter::test
