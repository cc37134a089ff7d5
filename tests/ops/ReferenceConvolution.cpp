// Convolution and fully connected: values worked out by hand.

#include <gtest/gtest.h>

#include "support/OpTensors.h"
#include "support/RunReference.h"

namespace pewter::test {
namespace {

using Numbers = std::vector<double>;
constexpr auto kType = ops::Type::Float32;

OpTensor row(const Numbers& values) {
    return {kType, 1, 1, static_cast<std::int64_t>(values.size()), 1, values};
}

/// One row, one channel: kernels of `weights`, the window of the first output at -padLeft.
Numbers convolve(const Numbers& source, const Numbers& weights, std::int64_t outputs, ops::Window window,
                 ops::Neuron neuron = {}) {
    const OpTensor src = row(source), kernel = row(weights);
    OpTensor dst(kType, 1, 1, outputs, 1);
    window.width = static_cast<std::int64_t>(weights.size());
    runReference(ops::ConvolutionForward{src, kernel, dst, {}, window, 1, neuron});
    return dst.values();
}

// In all of these offset 0 puts the window's left edge at -floor(window / 2).

TEST(ReferenceConvolution, EvenWindowReachesFurtherToTheLeft) {
    EXPECT_EQ(convolve({1, 2, 3, 4}, {10, 1}, 4, {.padLeft = 1}), (Numbers{1, 12, 23, 34}));
    EXPECT_EQ(convolve({1, 2, 3, 4}, {10, 1}, 4, {.padLeft = 0}), (Numbers{12, 23, 34, 40}));
}

TEST(ReferenceConvolution, OddWindowIsCentred) {
    EXPECT_EQ(convolve({1, 2, 3, 4}, {100, 10, 1}, 4, {.padLeft = 1}), (Numbers{12, 123, 234, 340}));
}

TEST(ReferenceConvolution, DilationSpreadsTheTaps) {
    EXPECT_EQ(convolve({1, 2, 3, 4}, {100, 10, 1}, 4, {.dilationX = 2, .padLeft = 2}),
              (Numbers{13, 24, 130, 240}));
}

TEST(ReferenceConvolution, StrideSkipsPositions) {
    EXPECT_EQ(convolve({1, 2, 3, 4}, {100, 10, 1}, 2, {.strideX = 2, .padLeft = 1}), (Numbers{12, 234}));
    EXPECT_EQ(convolve({1, 2, 3, 4}, {100, 10, 1}, 2, {.strideX = 2, .padLeft = 0}), (Numbers{123, 340}));
}

TEST(ReferenceConvolution, NegativePadSkipsTheFirstPixels) {
    EXPECT_EQ(convolve({1, 2, 3, 4}, {10, 1}, 2, {.padLeft = -2}), (Numbers{34, 40}));
}

TEST(ReferenceConvolution, ClampReadsTheEdgePixelAgain) {
    EXPECT_EQ(convolve({1, 2, 3, 4}, {100, 10, 1}, 4, {.padLeft = 1, .edge = ops::Edge::Clamp}),
              (Numbers{112, 123, 234, 344}));
    EXPECT_EQ(convolve({1, 2, 3, 4}, {10, 1}, 2, {.padLeft = 5, .edge = ops::Edge::Clamp}),
              (Numbers{11, 11}));
}

TEST(ReferenceConvolution, NeuronComesAfterTheSum) {
    const ops::Neuron neuron{ops::NeuronType::Linear, 2, -4, 0, nullptr};
    EXPECT_EQ(convolve({1, 2}, {10, 1}, 2, {.padLeft = 1}, neuron), (Numbers{-2, 20}));
}

TEST(ReferenceConvolution, DataGradientOfTheEvenWindow) {
    const OpTensor diffDst = row({1, 2, 3, 4}), weights = row({10, 1});
    OpTensor diffSrc = row({9, 9, 9, 9});
    runReference(ops::ConvolutionDataGradient{diffDst, weights, diffSrc, {.width = 2, .padLeft = 1}, 1});
    EXPECT_EQ(diffSrc.values(), (Numbers{21, 32, 43, 4}));
}

TEST(ReferenceConvolution, DataGradientUnderClampCreditsTheEdgePixel) {
    const OpTensor diffDst = row({1, 2, 3}), weights = row({10, 1});
    OpTensor diffSrc = row({9, 9, 9});
    runReference(ops::ConvolutionDataGradient{
        diffDst, weights, diffSrc, {.width = 2, .padLeft = 1, .edge = ops::Edge::Clamp}, 1});
    EXPECT_EQ(diffSrc.values(), (Numbers{10 + 1 + 20, 2 + 30, 3}));
}

TEST(ReferenceConvolution, WeightsGradientOfTheEvenWindowAndItsAccumulation) {
    const OpTensor src = row({1, 2, 3, 4}), diffDst = row({1, 1, 1, 1});
    OpTensor diffWeights = row({0, 0});
    OpArray diffBias(kType, 1);
    const ops::Window window{.width = 2, .padLeft = 1};
    runReference(ops::ConvolutionWeightsGradient{src, diffDst, diffWeights, diffBias, window, 1, false});
    EXPECT_EQ(diffWeights.values(), (Numbers{6, 10}));
    EXPECT_EQ(diffBias.values(), (Numbers{4}));
    runReference(ops::ConvolutionWeightsGradient{src, diffDst, diffWeights, diffBias, window, 1, true});
    EXPECT_EQ(diffWeights.values(), (Numbers{12, 20}));
    EXPECT_EQ(diffBias.values(), (Numbers{8}));
    runReference(ops::ConvolutionWeightsGradient{src, diffDst, diffWeights, {}, window, 1, false});
    EXPECT_EQ(diffWeights.values(), (Numbers{6, 10}));
    EXPECT_EQ(diffBias.values(), (Numbers{8}));  // absent this time
}

TEST(ReferenceConvolution, RowsAndColumnsAreNotMixedUp) {
    // 2 rows of 3, window 1 column by 2 rows: each column on its own.
    const OpTensor src(kType, 1, 2, 3, 1, {1, 2, 3, 4, 5, 6}), weights(kType, 1, 2, 1, 1, {10, 1});
    OpTensor dst(kType, 1, 1, 3, 1);
    runReference(ops::ConvolutionForward{src, weights, dst, {}, {.width = 1, .height = 2}, 1, {}});
    EXPECT_EQ(dst.values(), (Numbers{14, 25, 36}));
}

TEST(ReferenceConvolution, AGroupSeesOnlyItsOwnChannels) {
    // Two groups of two channels, two outputs each; biases tell the outputs apart.
    const OpTensor src(kType, 1, 1, 1, 4, {1, 2, 3, 4});
    const OpTensor weights(kType, 4, 1, 1, 2, {1, 10, 1, 100, 1, 10, 1, 100});
    const OpArray bias(kType, {1000, 2000, 3000, 4000});
    OpTensor dst(kType, 1, 1, 1, 4);
    runReference(ops::ConvolutionForward{src, weights, dst, bias, {}, 2, {}});
    EXPECT_EQ(dst.values(), (Numbers{1021, 2201, 3043, 4403}));
}

TEST(ReferenceConvolution, DepthwiseWithMultiplierTakesTheChannelOfItsOutput) {
    const OpTensor src(kType, 1, 1, 1, 2, {3, 5}), weights(kType, 4, 1, 1, 1, {1, 10, 100, 1000});
    OpTensor dst(kType, 1, 1, 1, 4);
    runReference(ops::ConvolutionForward{src, weights, dst, {}, {}, 2, {}});
    EXPECT_EQ(dst.values(), (Numbers{3, 30, 500, 5000}));
}

TEST(ReferenceConvolution, PReLUTakesTheSlopeOfTheOutputChannel) {
    const float slopes[] = {2, 3};
    const OpTensor src(kType, 1, 1, 2, 1, {1, -1}), weights(kType, 2, 1, 1, 1, {1, -1});
    OpTensor dst(kType, 1, 1, 2, 2);
    runReference(
        ops::ConvolutionForward{src, weights, dst, {}, {}, 1, {ops::NeuronType::PReLU, 0, 0, 0, slopes}});
    EXPECT_EQ(dst.values(), (Numbers{1, -3, -2, 1}));
}

TEST(ReferenceFullyConnected, TakesTheImageInRowColumnChannelOrder) {
    const OpTensor src(kType, 2, 1, 2, 2, {1, 2, 3, 4, 5, 6, 7, 8});
    const OpTensor weights(kType, 1, 1, 2, 2, {1000, 100, 10, 1});
    const OpArray bias(kType, {10000});
    OpTensor dst(kType, 2, 1, 1, 1);
    runReference(ops::FullyConnectedForward{src, weights, dst, bias, {}});
    EXPECT_EQ(dst.values(), (Numbers{11234, 15678}));
}

TEST(ReferenceConvolution, ATransposedConvolutionEndsInBiasAndNeuron) {
    const OpTensor src = row({1, 2}), weights = row({1, 10, 100});
    OpTensor dst(kType, 1, 1, 5, 1);
    const ops::Window window{.width = 3, .strideX = 2};
    runReference(ops::ConvolutionDataGradient{src, weights, dst, window, 1});
    EXPECT_EQ(dst.values(), (Numbers{1, 10, 102, 20, 200}));
    const OpArray bias(kType, {-50});
    runReference(ops::ConvolutionDataGradient{src, weights, dst, window, 1, bias});
    EXPECT_EQ(dst.values(), (Numbers{-49, -40, 52, -30, 150}));
    runReference(ops::ConvolutionDataGradient{
        src, weights, dst, window, 1, bias, {ops::NeuronType::ReLU, 0.5f, 0, 0, nullptr}});
    EXPECT_EQ(dst.values(), (Numbers{-24.5, -20, 52, -15, 150}));
}

TEST(ReferenceConvolution, SumsOfTheIncomingGradientNeedNoWeights) {
    const OpTensor diffDst(kType, 2, 1, 2, 2, {1, 2, 3, 4, 5, 6, 7, 8});
    OpArray sums(kType, {100, 200});
    runReference(ops::ConvolutionWeightsGradient{{}, diffDst, {}, sums, {}, 1, true});
    EXPECT_EQ(sums.values(), (Numbers{116, 220}));
    runReference(ops::ConvolutionWeightsGradient{{}, diffDst, {}, sums, {}, 1, false});
    EXPECT_EQ(sums.values(), (Numbers{16, 20}));
}

}  // namespace
}  // namespace pewter::test
