#include <gtest/gtest.h>

#include "TestKernel.h"
#include "WeightedKernels.h"

using namespace pewter::test;

namespace {

/// The result of a 1x1 convolution of `in` on one pixel.
Numbers apply(const std::shared_ptr<ListSource>& source, const Numbers& pixel) {
    MPS::CNNConvolution kernel(testDevice(), source);
    const auto y = imageOf(testDevice(), 1, 1, source->shape->outputFeatureChannels());
    const auto commands = testQueue()->commandBuffer();
    kernel.encode(commands, imageOf(testDevice(), 1, 1, pixel.size(), pixel), y);
    finish(commands);
    return read(*y);
}

std::shared_ptr<MPS::CNNConvolutionDescriptor> pixels(std::size_t in, std::size_t out) {
    return MPS::CNNConvolutionDescriptor::cnnConvolutionDescriptor(1, 1, in, out);
}

}  // namespace

TEST(ConvolutionDescriptor, NeuronsHaveTheDefaultsOfTheirType) {
    using Type = MPS::CNNNeuronType;
    const auto check = [](Type type, float a, float b, float c) {
        const auto d = MPS::NNNeuronDescriptor::cnnNeuronDescriptor(type);
        EXPECT_EQ(d.a(), a) << static_cast<int>(type);
        EXPECT_EQ(d.b(), b) << static_cast<int>(type);
        EXPECT_EQ(d.c(), c) << static_cast<int>(type);
    };
    check(Type::ReLU, 0, 0, 0);
    check(Type::Linear, 1, 0, 0);
    check(Type::HardSigmoid, 0.2f, 0.5f, 0);
    check(Type::TanH, 1, 1, 0);
    check(Type::SoftPlus, 1, 1, 0);
    check(Type::ELU, 1, 0, 0);
    check(Type::ReLUN, 1, 6, 0);
    check(Type::Power, 1, 0, 1);
    check(Type::Exponential, 1, 0, -1);
    check(Type::Logarithm, 1, 0, -1);
    const auto half = MPS::NNNeuronDescriptor::cnnNeuronDescriptor(Type::ReLUN, 0.5f);
    EXPECT_EQ(half.a(), 0.5f);
    EXPECT_EQ(half.b(), 6);
}

TEST(ConvolutionDescriptor, AKernelKeepsACopyOfItsDescriptor) {
    const auto source = listSource(pixels(1, 1), {2});
    const MPS::CNNConvolution kernel(testDevice(), source);
    source->shape->setStrideInPixelsX(3);
    EXPECT_EQ(kernel.strideInPixelsX(), 1u);
    EXPECT_EQ(kernel.label(), "layer");
    EXPECT_EQ(kernel.channelMultiplier(), 0u);
    EXPECT_EQ(source->loads, 1);
    EXPECT_EQ(source->purges, 1);
}

TEST(ConvolutionDescriptor, PReLUTakesASlopeForEachOutput) {
    auto d = pixels(1, 3);
    d->setFusedNeuronDescriptor(MPS::NNNeuronDescriptor::cnnNeuronPReLUDescriptor({2, 3, 4}));
    EXPECT_EQ(apply(listSource(d, {1, -1, 1}), {-1}), (Numbers{-2, 1, -4}));
}

TEST(ConvolutionDescriptor, HalfWeightsAreReadAsTheyAre) {
    const auto source = listSource(pixels(2, 1), {0, 0});
    source->type = MPS::DataType::Float16;
    source->bytes = {0x00, 0x3C, 0x00, 0xC1};  // 1 and -2.5
    EXPECT_EQ(apply(source, {3, 2}), Numbers{-2});
}

TEST(ConvolutionDescriptor, EightBitWeightsGoThroughRangesOrATable) {
    const auto source = listSource(pixels(1, 2), {0, 0});
    source->type = MPS::DataType::UInt8;
    source->bytes = {0, 255};
    source->ranges = {-1, 1, 5, 7};
    EXPECT_EQ(apply(source, {1}), (Numbers{-1, 7}));
    source->ranges.clear();
    source->table.assign(256, 0);
    source->table[0] = 10;
    source->table[255] = 20;
    EXPECT_EQ(apply(source, {1}), (Numbers{10, 20}));
}

TEST(ConvolutionDescriptor, FoldedBatchNormalisationActsBeforeTheNeuronAndAgainAfterAReload) {
    auto d = pixels(1, 2);
    // gamma / sqrt(variance + epsilon): 2 / 4 and 6 / 2.
    d->setBatchNormalizationParametersForInference({4, 1}, {15, 3}, {2, 6}, {0, 1}, 1);
    d->setFusedNeuronDescriptor(MPS::NNNeuronDescriptor::cnnNeuronDescriptor(MPS::CNNNeuronType::ReLU));
    const auto source = listSource(d, {2, 1}, {2, 0});
    // (2x + 2 - 4) / 2 and (x - 1) 3 + 1
    EXPECT_EQ(apply(source, {3}), (Numbers{2, 7}));
    EXPECT_EQ(apply(source, {0}), (Numbers{0, 0}));

    MPS::CNNConvolution kernel(testDevice(), source);
    const auto x = imageOf(testDevice(), 1, 1, 1, {3}), y = imageOf(testDevice(), 1, 1, 2);
    const auto commands = testQueue()->commandBuffer();
    const auto raw = kernel.exportWeightsAndBiases(commands, false);
    const auto next =
        std::make_shared<MPS::CNNConvolutionWeightsAndBiasesState>(bufferOf(testDevice(), {4, 2}), nullptr);
    kernel.reloadWeightsAndBiases(commands, next);
    kernel.encode(commands, x, y);
    finish(commands);
    EXPECT_EQ(floatsOf(*raw->weights()), (Numbers{2, 1}));
    EXPECT_EQ(read(*y), (Numbers{5, 16}));
}

TEST(ConvolutionDescriptor, ADepthwiseKernelMayMultiplyItsChannels) {
    const auto d = MPS::CNNDepthWiseConvolutionDescriptor::cnnConvolutionDescriptor(1, 1, 2, 4);
    EXPECT_EQ(d->channelMultiplier(), 2u);
    EXPECT_EQ(d->weightCount(), 4u);
    EXPECT_EQ(apply(listSource(d, {1, 10, 100, 1000}), {2, 3}), (Numbers{2, 20, 300, 3000}));
}
