// Batch normalisation: values worked out by hand, and statistics of sub-batches.

#include <gtest/gtest.h>

#include <cfloat>
#include <cmath>

#include "support/Compare.h"
#include "support/OpTensors.h"
#include "support/RunReference.h"

namespace pewter::test {
namespace {

using Numbers = std::vector<double>;
constexpr auto kType = ops::Type::Float64;

TEST(ReferenceBatchNormalization, TwoSamplesByHand) {
    const OpTensor src(kType, 1, 1, 2, 1, {1, 3}), diffDst(kType, 1, 1, 2, 1, {1, 0});
    OpTensor dst = src, diffSrc = src;
    OpArray mean(kType, 1), variance = mean, diffGamma = mean, diffBeta = mean;
    const OpArray gamma(kType, {2}), beta(kType, {1});
    runReference(ops::BatchNormalizationStatistics{src, mean, variance, 0});
    EXPECT_EQ(mean.at(0), 2);
    EXPECT_EQ(variance.at(0), 1);
    runReference(ops::BatchNormalizationForward{src, dst, mean, variance, gamma, beta, 0, {}});
    EXPECT_EQ(dst.values(), (Numbers{-1, 3}));
    runReference(ops::BatchNormalizationStatisticsGradient{
        src, diffDst, mean, variance, gamma, beta, diffGamma, diffBeta, 0, {}, false});
    EXPECT_EQ(diffBeta.at(0), 1);
    EXPECT_EQ(diffGamma.at(0), -1);
    runReference(ops::BatchNormalizationGradient{
        src, diffDst, diffSrc, mean, variance, gamma, beta, diffGamma, diffBeta, 0, {}, 2, false});
    EXPECT_EQ(diffSrc.values(), (Numbers{0, 0}));
    runReference(ops::BatchNormalizationGradient{
        src, diffDst, diffSrc, mean, variance, gamma, beta, diffGamma, diffBeta, 0, {}, 2, true});
    EXPECT_EQ(diffSrc.values(), (Numbers{2, 0}));
    diffSrc.fill(99);  // sums and count are not looked at
    runReference(ops::BatchNormalizationGradient{
        src, diffDst, diffSrc, mean, variance, gamma, beta, {}, {}, 0, {}, 0, true});
    EXPECT_EQ(diffSrc.values(), (Numbers{2, 0}));
}

TEST(ReferenceBatchNormalization, ASumOfTwoPixelsByHand) {
    const OpTensor src(kType, 1, 1, 2, 1, {1, 3}), addend(kType, 1, 1, 2, 1, {4, -4}), diffDst(kType, 1, 1, 2, 1, {5, 7});
    OpTensor dst = src, diffSum = src;
    OpArray diffGamma(kType, 1), diffBeta = diffGamma;
    const OpArray mean(kType, {2}), variance(kType, {1}), gamma(kType, {2}), beta(kType, {1});
    const ops::Neuron relu{ops::NeuronType::ReLU, 0.5f};
    // Without what is added, the first pixel would be left of 0 and the second right of it.
    runReference(ops::BatchNormalizationForward{src, dst, mean, variance, gamma, beta, 0, relu, addend});
    EXPECT_EQ(dst.values(), (Numbers{3, -0.5}));
    ops::BatchNormalizationStatisticsGradient sums{src,      diffDst, mean, variance, gamma,  beta,   diffGamma,
                                                   diffBeta, 0,       relu, false,    addend, diffSum};
    runReference(sums);
    EXPECT_EQ(diffSum.values(), (Numbers{5, 3.5}));
    EXPECT_EQ(diffBeta.at(0), 8.5);
    EXPECT_EQ(diffGamma.at(0), -1.5);
    diffSum.fill(99);  // nobody wants it
    sums.diffSum = {};
    runReference(sums);
    EXPECT_EQ(diffSum.values(), (Numbers{99, 99}));
    EXPECT_EQ(diffGamma.at(0), -1.5);
}

TEST(ReferenceBatchNormalization, AConstantChannelNormalisesToBetaEvenWithTheSmallestEpsilon) {
    OpTensor src(ops::Type::Float32, 3, 3, 7, 1), dst = src;
    src.fill(0.1);
    OpArray mean(ops::Type::Float32, 1), variance = mean;
    const OpArray beta(ops::Type::Float32, {0.5});
    runReference(ops::BatchNormalizationStatistics{src, mean, variance, 0});
    runReference(ops::BatchNormalizationForward{src, dst, mean, variance, {}, beta, FLT_MIN, {}});
    EXPECT_EQ(dst.values(), Numbers(63, 0.5));
}

TEST(ReferenceBatchNormalization, ALargeMeanDoesNotSpoilTheVariance) {
    OpTensor src(kType, 1, 1, 4, 1, {1e9 + 1, 1e9 + 2, 1e9 + 3, 1e9 + 4});
    OpArray mean(kType, 1), variance = mean;
    runReference(ops::BatchNormalizationStatistics{src, mean, variance, 0});
    EXPECT_EQ(mean.at(0), 1e9 + 2.5);
    EXPECT_EQ(variance.at(0), 1.25);
}

TEST(ReferenceBatchNormalization, StatisticsMergedOverSubBatchesEqualOnePass) {
    Random random(61);
    OpTensor whole(kType, 7, 3, 5, 4);
    whole.fillUniform(random, -3, 5);
    OpArray mean(kType, 4), variance = mean, mergedMean = mean, mergedVariance = mean;
    mergedMean.fill(std::nan(""));  // ignored while countBefore is 0
    mergedVariance.fill(std::nan(""));
    runReference(ops::BatchNormalizationStatistics{whole, mean, variance, 0});
    std::int64_t first = 0;
    for (const std::int64_t images : {1, 4, 2}) {
        ops::Tensor part = whole;
        part.data = static_cast<double*>(part.data) + first * part.strideN;
        part.n = images;
        runReference(ops::BatchNormalizationStatistics{part, mergedMean, mergedVariance, first * 15});
        first += images;
    }
    // 105 additions in double.
    EXPECT_TRUE(allNear(mergedMean.values(), mean.values(), 105 * 0x1p-52));
    EXPECT_TRUE(allNear(mergedVariance.values(), variance.values(), 105 * 0x1p-52));
}

TEST(ReferenceBatchNormalization, ParameterGradientsOfSubBatchesAddUp) {
    Random random(62);
    OpTensor src(kType, 4, 2, 3, 2), diffDst = src;
    src.fillIntegers(random, -3, 3);
    diffDst.fillIntegers(random, -3, 3);
    const OpArray mean(kType, {1, -1}), variance(kType, {4, 0.25}), gamma(kType, {2, 1}), beta(kType, {0, 1});
    OpArray wholeGamma(kType, 2), wholeBeta = wholeGamma, gammaSum = wholeGamma, betaSum = wholeGamma;
    auto run = [&](const ops::Tensor& x, const ops::Tensor& g, const OpArray& dGamma, const OpArray& dBeta,
                   bool add) {
        runReference(ops::BatchNormalizationStatisticsGradient{
            x, g, mean, variance, gamma, beta, dGamma, dBeta, 0, {}, add});
    };
    run(src, diffDst, wholeGamma, wholeBeta, false);
    ops::Tensor x = src, g = diffDst;
    x.n = g.n = 3;
    run(x, g, gammaSum, betaSum, false);
    x.n = g.n = 1;
    x.data = static_cast<double*>(x.data) + 3 * x.strideN;
    g.data = static_cast<double*>(g.data) + 3 * g.strideN;
    run(x, g, gammaSum, betaSum, true);
    EXPECT_EQ(gammaSum.values(), wholeGamma.values());
    EXPECT_EQ(betaSum.values(), wholeBeta.values());
}

}  // namespace
}  // namespace pewter::test
