// Central differences for convolution and fully connected.

#include <gtest/gtest.h>

#include <string>

#include "support/GradientCheck.h"

namespace pewter::test {
namespace {

constexpr auto kType = ops::Type::Float64;

struct Case {
    const char* name;
    std::int64_t images, height, width, channels, outputs, groups, outHeight, outWidth;
    ops::Window window;
};

// Window: width, height, strideX, strideY, dilationX, dilationY, padLeft, padTop, edge.
const Case kCases[] = {
    {"Same3x3", 2, 5, 4, 3, 2, 1, 5, 4, {3, 3, 1, 1, 1, 1, 1, 1}},
    {"OneTap", 1, 3, 3, 4, 3, 1, 3, 3, {}},
    {"EvenWindow", 1, 4, 5, 2, 3, 1, 4, 5, {2, 4, 1, 1, 1, 1, 1, 2}},
    {"Strides", 2, 7, 8, 2, 2, 1, 3, 3, {3, 2, 3, 2, 1, 1, 1, 0}},
    {"StrideBeyondWindow", 1, 7, 7, 2, 2, 1, 3, 3, {1, 1, 3, 2, 1, 1, 0, 0}},
    {"Dilation", 1, 6, 7, 2, 2, 1, 6, 7, {3, 2, 1, 1, 2, 3, 2, 1}},
    {"DilationAndStride", 1, 7, 7, 1, 2, 1, 4, 3, {2, 3, 2, 2, 3, 2, 1, 2}},
    {"Groups", 2, 4, 4, 6, 4, 2, 4, 4, {3, 3, 1, 1, 1, 1, 1, 1}},
    {"Depthwise", 1, 5, 5, 4, 4, 4, 5, 5, {3, 3, 1, 1, 1, 1, 1, 1}},
    {"DepthwiseMultiplier", 1, 4, 4, 3, 6, 3, 2, 2, {2, 2, 2, 2, 1, 1, 0, 0}},
    {"NegativePad", 1, 6, 6, 2, 2, 1, 2, 3, {2, 2, 1, 2, 1, 1, -2, -1}},
    {"WindowsWhollyOutside", 1, 3, 3, 2, 2, 1, 5, 6, {2, 2, 2, 2, 1, 1, 4, 3}},
    {"Clamp", 2, 4, 5, 2, 3, 1, 4, 5, {3, 3, 1, 1, 1, 1, 1, 1, ops::Edge::Clamp}},
    {"ClampFarOutside", 1, 3, 4, 2, 2, 1, 4, 4, {3, 2, 2, 2, 2, 3, 4, 3, ops::Edge::Clamp}},
    {"ClampNegativePad", 1, 5, 5, 2, 2, 2, 4, 4, {2, 3, 2, 1, 1, 2, -1, -2, ops::Edge::Clamp}},
};

class GradientConvolution : public testing::TestWithParam<Case> {};

TEST_P(GradientConvolution, DataWeightsAndBiasGradientsAreTheDerivatives) {
    const Case& p = GetParam();
    Random random(11);
    OpTensor src(kType, p.images, p.height, p.width, p.channels), diffSrc = src;
    OpTensor weights(kType, p.outputs, p.window.height, p.window.width, p.channels / p.groups),
        diffWeights = weights;
    OpTensor dst(kType, p.images, p.outHeight, p.outWidth, p.outputs), diffDst = dst;
    OpArray bias(kType, p.outputs), diffBias = bias;
    src.fillUniform(random, -1, 1);
    weights.fillUniform(random, -1, 1);
    bias.fillUniform(random, -1, 1);
    diffDst.fillUniform(random, -1, 1);
    diffSrc.fill(99);  // must be overwritten, also where no window reaches
    diffWeights.fill(99);
    diffBias.fill(99);

    runReference(ops::ConvolutionDataGradient{diffDst, weights, diffSrc, p.window, p.groups});
    runReference(
        ops::ConvolutionWeightsGradient{src, diffDst, diffWeights, diffBias, p.window, p.groups, false});
    auto objective = [&] {
        runReference(ops::ConvolutionForward{src, weights, dst, bias, p.window, p.groups, {}});
        return dot(dst, diffDst);
    };
    EXPECT_TRUE(isGradient(diffSrc.values(), src, objective));
    EXPECT_TRUE(isGradient(diffWeights.values(), weights, objective));
    EXPECT_TRUE(isGradient(diffBias.values(), bias, objective));
}

TEST_P(GradientConvolution, WeightsGradientsOfSubBatchesAddUpToThoseOfTheBatch) {
    const Case& p = GetParam();
    Random random(12);
    OpTensor src(kType, 3, p.height, p.width, p.channels),
        diffDst(kType, 3, p.outHeight, p.outWidth, p.outputs);
    OpTensor whole(kType, p.outputs, p.window.height, p.window.width, p.channels / p.groups), parts = whole;
    OpArray wholeBias(kType, p.outputs), partsBias = wholeBias;
    src.fillIntegers(random, -3, 3);
    diffDst.fillIntegers(random, -3, 3);
    runReference(ops::ConvolutionWeightsGradient{src, diffDst, whole, wholeBias, p.window, p.groups, false});
    ops::Tensor head = src, headDiff = diffDst, tail = src, tailDiff = diffDst;
    head.n = headDiff.n = 1;
    tail.n = tailDiff.n = 2;
    tail.data = static_cast<double*>(tail.data) + tail.strideN;
    tailDiff.data = static_cast<double*>(tailDiff.data) + tailDiff.strideN;
    runReference(
        ops::ConvolutionWeightsGradient{head, headDiff, parts, partsBias, p.window, p.groups, false});
    runReference(ops::ConvolutionWeightsGradient{tail, tailDiff, parts, partsBias, p.window, p.groups, true});
    EXPECT_EQ(parts.values(), whole.values());
    EXPECT_EQ(partsBias.values(), wholeBias.values());
}

INSTANTIATE_TEST_SUITE_P(Cases, GradientConvolution, testing::ValuesIn(kCases),
                         [](const auto& info) { return std::string(info.param.name); });

TEST(GradientFullyConnected, DataWeightsAndBiasGradientsAreTheDerivatives) {
    Random random(13);
    OpTensor src(kType, 3, 2, 4, 3), diffSrc = src, weights(kType, 5, 2, 4, 3), diffWeights = weights;
    OpTensor dst(kType, 3, 1, 1, 5), diffDst = dst;
    OpArray bias(kType, 5), diffBias = bias;
    src.fillUniform(random, -1, 1);
    weights.fillUniform(random, -1, 1);
    bias.fillUniform(random, -1, 1);
    diffDst.fillUniform(random, -1, 1);
    runReference(ops::FullyConnectedDataGradient{diffDst, weights, diffSrc});
    runReference(ops::FullyConnectedWeightsGradient{src, diffDst, diffWeights, diffBias, false});
    auto objective = [&] {
        runReference(ops::FullyConnectedForward{src, weights, dst, bias, {}});
        return dot(dst, diffDst);
    };
    EXPECT_TRUE(isGradient(diffSrc.values(), src, objective));
    EXPECT_TRUE(isGradient(diffWeights.values(), weights, objective));
    EXPECT_TRUE(isGradient(diffBias.values(), bias, objective));
}

TEST(GradientFullyConnected, AccumulateAddsToWhatIsThere) {
    Random random(14);
    OpTensor src(kType, 2, 2, 2, 3), diffDst(kType, 2, 1, 1, 4), once(kType, 4, 2, 2, 3), twice = once;
    OpArray onceBias(kType, 4), twiceBias = onceBias;
    src.fillIntegers(random, -3, 3);
    diffDst.fillIntegers(random, -3, 3);
    twice.fill(5);
    twiceBias.fill(-2);
    runReference(ops::FullyConnectedWeightsGradient{src, diffDst, once, onceBias, false});
    runReference(ops::FullyConnectedWeightsGradient{src, diffDst, twice, twiceBias, true});
    for (std::int64_t i = 0; i < once.count(); ++i) EXPECT_EQ(twice.at(i), once.at(i) + 5);
    for (std::int64_t i = 0; i < onceBias.size(); ++i) EXPECT_EQ(twiceBias.at(i), onceBias.at(i) - 2);
}

TEST(GradientCheck, RejectsAGradientThatIsSlightlyWrong) {
    OpTensor x(kType, 1, 1, 1, 2, {0.5, -1.25});
    auto objective = [&] { return x.at(0) * x.at(0) + 3 * x.at(1); };
    EXPECT_TRUE(isGradient({1, 3}, x, objective));
    EXPECT_FALSE(isGradient({1, 3.00001}, x, objective));
    EXPECT_FALSE(isGradient({1}, x, objective));
    EXPECT_FALSE(isGradient({1, std::nan("")}, x, objective));
}

}  // namespace
}  // namespace pewter::test
