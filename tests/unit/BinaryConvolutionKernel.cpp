// Binary convolution and binary fully connected through the MPS classes.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <MPS/CNNBinaryConvolution.hpp>

#include "BinaryWeights.h"
#include "Fixtures.h"
#include "WeightedKernels.h"

using namespace pewter::test;
using testing::HasSubstr;

namespace {

using Binary = MPS::CNNBinaryConvolution;
using BinaryFull = MPS::CNNBinaryFullyConnected;
using Type = MPS::CNNBinaryConvolutionType;
using Flags = MPS::CNNBinaryConvolutionFlags;
using Descriptor = MPS::CNNConvolutionDescriptor;

/// Weights of one bit, one number each.
class BitSource final : public ListSource {
public:
    BitSource(std::shared_ptr<Descriptor> d, const Numbers& bits, const Numbers& b = {})
        : ListSource(std::move(d), {}, b), words(packedBits(bits, shape->inputFeatureChannels())) {
        type = MPS::DataType::UInt32;
    }
    const void* weights() const override { return words.empty() ? nullptr : words.data(); }

    std::vector<std::uint32_t> words;
};

std::shared_ptr<BitSource> bitSource(std::shared_ptr<Descriptor> d, const Numbers& bits,
                                     const Numbers& b = {}) {
    return std::make_shared<BitSource>(std::move(d), bits, b);
}

Numbers run(const DevicePtr& device, Binary& kernel, const ImagePtr& x) {
    kernel.setDestinationImageAllocator(MPS::Image::defaultAllocator());
    const auto commands = device->newCommandQueue()->commandBuffer();
    const auto y = kernel.encode(commands, x);
    finish(commands);
    return read(*y);
}

}  // namespace

TEST(BinaryConvolution, TheThreeTypesGiveTheValuesWorkedOutByHand) {
    for (const auto& device : weightedDevices()) {
        const auto d = Descriptor::cnnConvolutionDescriptor(2, 1, 1, 1);
        const auto source = bitSource(d, {1, 0}, {0.5});
        const auto x = imageOf(device, 4, 1, 1, {0.5, -2, 0, 3});
        const auto apply = [&](Type type, float scale) {
            Binary kernel(device, source, scale, type, Flags::None);
            kernel.setPadding(MPS::NNDefaultPadding::padding(MPS::NNPaddingMethodSizeValidOnly));
            return run(device, kernel, x);
        };
        // Times the scale, plus the data source's bias.
        EXPECT_EQ(apply(Type::BinaryWeights, 2), (Numbers{5.5, -3.5, -5.5}));
        EXPECT_EQ(apply(Type::XNOR, 1), (Numbers{2.5, -1.5, 0.5}));
        EXPECT_EQ(apply(Type::AND, 4), (Numbers{4.5, 0.5, 4.5}));
    }
}

TEST(BinaryConvolution, TakesAValueForEveryChannelInPlaceOfTheSourcesBiases) {
    for (const auto& device : weightedDevices()) {
        const auto d = Descriptor::cnnConvolutionDescriptor(1, 1, 2, 2);
        const auto source = bitSource(d, {1, 1, 1, 0}, {100, 100});
        const float outputBias[] = {1, 2}, outputScale[] = {3, -1}, inputBias[] = {1, -1},
                    inputScale[] = {2, -1};
        const auto x = imageOf(device, 1, 1, 2, {1, 4});
        // t = 4, -3: sums 1 and 7 with weights, 0 and 2 with signs.
        Binary weights(device, source, outputBias, outputScale, inputBias, inputScale, Type::BinaryWeights,
                       Flags::None);
        EXPECT_EQ(run(device, weights, x), (Numbers{4, -5}));
        Binary signs(device, source, outputBias, outputScale, inputBias, inputScale, Type::XNOR, Flags::None);
        EXPECT_EQ(run(device, signs, x), (Numbers{1, 0}));
        // beta: the mean of 4 and 3.
        Binary scaled(device, source, outputBias, outputScale, inputBias, inputScale, Type::XNOR,
                      Flags::UseBetaScaling);
        EXPECT_EQ(run(device, scaled, x), (Numbers{1, 2 - 7}));
        Binary plain(device, source, nullptr, nullptr, nullptr, nullptr, Type::BinaryWeights, Flags::None);
        EXPECT_EQ(run(device, plain, x), (Numbers{5, -3}));
    }
}

TEST(BinaryConvolution, AgreesWithPyTorch) {
    const auto cases = fixture("binary_convolution").at("cases");
    ASSERT_FALSE(cases.empty());
    for (const auto& one : cases)
        for (const auto& device : weightedDevices()) {
            const auto at = [&](const char* field) { return one.at(field).get<std::size_t>(); };
            auto d =
                Descriptor::cnnConvolutionDescriptor(at("kernelWidth"), at("kernelHeight"),
                                                     at("inputFeatureChannels"), at("outputFeatureChannels"));
            d->setStrideInPixelsX(at("strideX"));
            d->setStrideInPixelsY(at("strideY"));
            d->setDilationRateX(at("dilationX"));
            d->setDilationRateY(at("dilationY"));
            const auto floats = [&](const char* field) {
                const auto list = numbers(one.at(field));
                return std::vector<float>(list.begin(), list.end());
            };
            const auto ob = floats("outputBias"), os = floats("outputScale"), ib = floats("inputBias"),
                       is = floats("inputScale");
            const auto kind = one.at("type").get<std::string>();
            const bool beta = one.at("betaScaling").get<bool>();
            Binary kernel(device, bitSource(d, numbers(one.at("bits"))), ob.data(), os.data(), ib.data(),
                          is.data(),
                          kind == "AND"    ? Type::AND
                          : kind == "XNOR" ? Type::XNOR
                                           : Type::BinaryWeights,
                          beta ? Flags::UseBetaScaling : Flags::None);
            // Windows start at the first pixel: offset is their centre.
            kernel.setOffset({static_cast<std::int64_t>((at("kernelWidth") - 1) * at("dilationX") + 1) / 2,
                              static_cast<std::int64_t>((at("kernelHeight") - 1) * at("dilationY") + 1) / 2,
                              0});
            const auto shape = one.at("x").at("shape").get<std::vector<std::size_t>>(),
                       result = one.at("y").at("shape").get<std::vector<std::size_t>>();
            const auto y = batchOf(device, result[0], result[2], result[1], result[3]);
            const auto commands = device->newCommandQueue()->commandBuffer();
            kernel.encodeBatch(
                commands, batchOf(device, shape[0], shape[2], shape[1], shape[3], numbers(one.at("x"))), y);
            finish(commands);
            const auto actual = read(y), expected = numbers(one.at("y"));
            ASSERT_EQ(actual.size(), expected.size());
            for (std::size_t i = 0; i < actual.size(); ++i)
                EXPECT_NEAR(actual[i], expected[i], beta ? 1e-5 * (1 + std::fabs(expected[i])) : 0)
                    << one.at("name") << ", " << device->name();
        }
}

TEST(BinaryConvolution, FoldsANormalisationAndEndsInTheNeuron) {
    for (const auto& device : weightedDevices()) {
        auto d = Descriptor::cnnConvolutionDescriptor(1, 1, 1, 2);
        d->setFusedNeuronDescriptor(
            MPS::NNNeuronDescriptor::cnnNeuronDescriptor(MPS::CNNNeuronType::ReLU, 0));
        d->setBatchNormalizationParametersForInference({1, 0}, {4, 4}, {4, 2}, {5, -20}, 0);
        Binary kernel(device, bitSource(d, {1, 0}, {1, 2}), 3, Type::BinaryWeights, Flags::None);
        // (2 * 3 + 1 - 1) * 2 + 5 and (-2 * 3 + 2) * 1 - 20.
        EXPECT_EQ(run(device, kernel, imageOf(device, 1, 1, 1, {2})), (Numbers{17, 0}));
    }
}

TEST(BinaryConvolution, FollowsStrideDilationClipRectangleAndChannelSlices) {
    for (const auto& device : weightedDevices()) {
        auto d = Descriptor::cnnConvolutionDescriptor(2, 1, 1, 1);
        d->setStrideInPixelsX(2);
        d->setDilationRateX(2);
        Binary kernel(device, bitSource(d, {1, 1}), 1, Type::BinaryWeights, Flags::None);
        kernel.setOffset({1, 0, 0});
        kernel.setClipRect({{1, 0, 0}, {2, 1, 1}});
        kernel.setSourceFeatureChannelOffset(4);
        kernel.setDestinationFeatureChannelOffset(4);
        Numbers source(5 * 5, 99), expected(4 * 5, -1);
        for (std::size_t i = 0; i < 5; ++i) source[i * 5 + 4] = static_cast<double>(1 << i);
        const auto y = imageOf(device, 4, 1, 5, expected);
        const auto commands = device->newCommandQueue()->commandBuffer();
        kernel.encode(commands, imageOf(device, 5, 1, 5, source), y);
        finish(commands);
        // The window of 3 starts at offset - 1: pixels 0 and 2, then 2 and 4.
        expected[1 * 5 + 4] = 1 + 4;
        expected[2 * 5 + 4] = 4 + 16;
        EXPECT_EQ(read(*y), expected) << device->name();
    }
}

TEST(BinaryConvolution, PropertiesCopiesAndStates) {
    const auto d = Descriptor::cnnConvolutionDescriptor(3, 3, 40, 2);
    const auto source = bitSource(d, Numbers(2 * 9 * 40, 1), {1, 2});
    const auto device = MTL::copyDevice("reference");
    Binary kernel(device, source, 1, Type::AND, Flags::None);
    EXPECT_EQ(kernel.inputFeatureChannels(), 40u);
    EXPECT_EQ(kernel.outputFeatureChannels(), 2u);
    EXPECT_EQ(kernel.type(), Type::AND);
    EXPECT_EQ(kernel.label(), "layer");
    EXPECT_EQ(source->loads, 1);
    EXPECT_EQ(source->purges, 1);
    for (const auto& target : weightedDevices()) {
        const auto copy = std::dynamic_pointer_cast<Binary>(kernel.copy(target));
        ASSERT_NE(copy, nullptr);
        const auto x = imageOf(target, 3, 3, 40, Numbers(360, 1));
        // Same size: the middle pixel sees 9 taps; outside is 0, which counts as a set bit.
        EXPECT_EQ(run(target, *copy, x)[8], 361) << target->name();
    }
    // No gradient: forms that ask for a state get none.
    const auto commands = device->newCommandQueue()->commandBuffer();
    std::shared_ptr<MPS::State> state = std::make_shared<MPS::State>(device, 4);
    kernel.setDestinationImageAllocator(MPS::Image::defaultAllocator());
    kernel.encode(commands, imageOf(device, 3, 3, 40), &state, false);
    EXPECT_EQ(state, nullptr);
}

TEST(BinaryFullyConnected, IsTheInnerProductWithTheWholeSource) {
    for (const auto& device : weightedDevices()) {
        const auto d = Descriptor::cnnConvolutionDescriptor(2, 2, 1, 2);
        const auto source = bitSource(d, {1, 1, 0, 1, 0, 1, 1, 1}, {10, 20});
        const auto x = imageOf(device, 2, 2, 1, {1, -2, 3, 4});
        BinaryFull weights(device, source, 1, Type::BinaryWeights, Flags::None);
        EXPECT_EQ(weights.padding()->paddingMethod(), MPS::NNPaddingMethodSizeValidOnly);
        weights.setOffset({7, 7, 0});  // does not matter
        EXPECT_EQ(run(device, weights, x), (Numbers{10 + 1 - 2 - 3 + 4, 20 - 1 - 2 + 3 + 4}));
        BinaryFull signs(device, source, 1, Type::XNOR, Flags::None);
        EXPECT_EQ(run(device, signs, x), (Numbers{10 + 1 - 1 - 1 + 1, 20 - 1 - 1 + 1 + 1}));
        const float scale[] = {2, 3};
        BinaryFull both(device, source, nullptr, scale, nullptr, nullptr, Type::AND, Flags::UseBetaScaling);
        // Set bits under set weights: 2 and 2; the mean magnitude is 2.5.
        EXPECT_EQ(run(device, both, x), (Numbers{2 * 2 * 2.5, 2 * 3 * 2.5}));
        const auto copy = std::dynamic_pointer_cast<BinaryFull>(both.copy(device));
        ASSERT_NE(copy, nullptr);
        EXPECT_EQ(run(device, *copy, x), (Numbers{10, 15}));
    }
}

TEST(BinaryFullyConnected, WritesOnePixelAtTheOriginOfTheClipRectangle) {
    for (const auto& device : weightedDevices()) {
        const auto d = Descriptor::cnnConvolutionDescriptor(2, 1, 1, 1);
        BinaryFull kernel(device, bitSource(d, {1, 1}), 1, Type::BinaryWeights, Flags::None);
        kernel.setClipRect({{1, 1, 0}, {2, 2, 1}});
        const auto y = imageOf(device, 3, 3, 1, Numbers(9, -1));
        const auto commands = device->newCommandQueue()->commandBuffer();
        kernel.encode(commands, imageOf(device, 2, 1, 1, {3, 4}), y);
        finish(commands);
        EXPECT_EQ(read(*y), (Numbers{-1, -1, -1, -1, 7, -1, -1, -1, -1})) << device->name();
    }
}

TEST(BinaryConvolution, RefusesWhatItCannotComputeByName) {
    const auto device = MTL::copyDevice("reference");
    const auto construct = [&](const std::shared_ptr<ListSource>& s, Type type = Type::XNOR,
                               Flags flags = Flags::None) {
        return sentenceOf([&] { Binary(device, s, 1, type, flags); });
    };
    const auto plain = [] { return Descriptor::cnnConvolutionDescriptor(2, 2, 8, 8); };
    const Numbers bits(8 * 4 * 8, 1);
    EXPECT_THAT(sentenceOf([&] { Binary(device, nullptr, 1, Type::XNOR, Flags::None); }),
                HasSubstr("CNNBinaryConvolution: weights: expected a data source, found null"));
    EXPECT_THAT(
        construct(listSource(plain(), Numbers(256, 1))),
        HasSubstr("CNNBinaryConvolution 'layer': dataType: expected UInt32 for a binary convolution"));
    auto d = plain();
    d->setGroups(2);
    EXPECT_THAT(construct(bitSource(d, bits)),
                HasSubstr("groups: expected 1 for a binary convolution, found 2"));
    EXPECT_THAT(
        construct(
            bitSource(MPS::CNNDepthWiseConvolutionDescriptor::cnnConvolutionDescriptor(2, 2, 8, 8), bits)),
        HasSubstr("expected a plain convolution descriptor, found CNNDepthWiseConvolutionDescriptor"));
    auto blocks = MPS::CNNSubPixelConvolutionDescriptor::cnnConvolutionDescriptor(2, 2, 8, 8);
    blocks->setSubPixelScaleFactor(2);
    EXPECT_THAT(construct(bitSource(blocks, bits)), HasSubstr("found CNNSubPixelConvolutionDescriptor"));
    EXPECT_THAT(construct(bitSource(plain(), bits), static_cast<Type>(3)),
                HasSubstr("type: expected BinaryWeights, XNOR or AND, found 3"));
    EXPECT_THAT(construct(bitSource(plain(), bits), Type::AND, static_cast<Flags>(2)),
                HasSubstr("flags: expected None or UseBetaScaling, found 2"));
    auto empty = bitSource(plain(), bits);
    empty->words.clear();
    EXPECT_THAT(construct(empty), HasSubstr("weights: expected a pointer to the weights, found null"));
    auto strided = plain();
    strided->setStrideInPixelsX(2);
    EXPECT_THAT(sentenceOf([&] { BinaryFull(device, bitSource(strided, bits), 1, Type::XNOR, Flags::None); }),
                HasSubstr("CNNBinaryFullyConnected 'layer': strideInPixelsX: expected 1 for a fully "
                          "connected kernel, found 2"));

    Binary kernel(device, bitSource(plain(), bits), 1, Type::XNOR, Flags::None);
    const auto commands = device->newCommandQueue()->commandBuffer();
    const auto x = imageOf(device, 4, 4, 8), narrow = imageOf(device, 4, 4, 4), y = imageOf(device, 4, 4, 8);
    EXPECT_THAT(sentenceOf([&] { kernel.encode(commands, narrow, y); }),
                HasSubstr("sourceImage: expected 8 feature channels, found 4"));
    EXPECT_THAT(
        sentenceOf([&] { kernel.encode(commands, x, std::make_shared<MPS::State>(device, 4), y); }),
        HasSubstr("destinationState: expected none: a binary convolution has no gradient, found a State"));
    BinaryFull full(device, bitSource(plain(), bits), 1, Type::XNOR, Flags::None);
    EXPECT_THAT(sentenceOf([&] { full.encode(commands, x, y); }),
                HasSubstr("sourceImage: expected 2 x 2 pixels, the kernel's size, found 4 x 4"));
}
