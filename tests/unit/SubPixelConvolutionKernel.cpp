// Convolution whose outputs are rearranged into blocks of pixels.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "Fixtures.h"
#include "TestKernel.h"
#include "WeightedKernels.h"

using namespace pewter::test;
using testing::HasSubstr;

namespace {

using SubPixel = MPS::CNNSubPixelConvolutionDescriptor;

std::shared_ptr<SubPixel> descriptor(std::size_t taps, std::size_t in, std::size_t out, std::size_t factor) {
    auto d = SubPixel::cnnConvolutionDescriptor(taps, taps, in, out);
    d->setSubPixelScaleFactor(factor);
    return d;
}

/// The rearrangement by its formula.
Numbers depthToSpace(const Numbers& io, std::size_t ioWidth, std::size_t width, std::size_t height,
                     std::size_t channels, std::size_t r) {
    Numbers result(width * height * channels);
    for (std::size_t y = 0; y < height; ++y)
        for (std::size_t x = 0; x < width; ++x)
            for (std::size_t c = 0; c < channels; ++c)
                result[(y * width + x) * channels + c] =
                    io[(y / r * ioWidth + x / r) * channels * r * r + channels * (r * (y % r) + x % r) + c];
    return result;
}

}  // namespace

TEST(SubPixelConvolution, ABlockOfOutputsBecomesABlockOfPixels) {
    for (const auto& device : weightedDevices()) {
        MPS::CNNConvolution kernel(device, listSource(descriptor(1, 1, 4, 2), {1, 10, 100, 1000}));
        kernel.setDestinationImageAllocator(MPS::Image::defaultAllocator());
        EXPECT_EQ(kernel.subPixelScaleFactor(), 2u);
        const auto commands = device->newCommandQueue()->commandBuffer();
        const auto y = kernel.encode(commands, imageOf(device, 2, 1, 1, {1, 2}));
        finish(commands);
        EXPECT_EQ(y->width(), 4u);
        EXPECT_EQ(y->height(), 2u);
        EXPECT_EQ(y->featureChannels(), 1u);
        EXPECT_EQ(read(*y), (Numbers{1, 10, 2, 20, 100, 1000, 200, 2000})) << device->name();
    }
}

TEST(SubPixelConvolution, AgreesWithPyTorchsPixelShuffle) {
    const auto cases = fixture("sub_pixel_convolution").at("cases");
    ASSERT_FALSE(cases.empty());
    for (const auto& one : cases)
        for (const auto& device : weightedDevices()) {
            const auto at = [&](const char* field) { return one.at(field).get<std::size_t>(); };
            auto d =
                SubPixel::cnnConvolutionDescriptor(at("kernelWidth"), at("kernelHeight"),
                                                   at("inputFeatureChannels"), at("outputFeatureChannels"));
            d->setSubPixelScaleFactor(at("scale"));
            d->setStrideInPixelsX(at("strideX"));
            d->setStrideInPixelsY(at("strideY"));
            MPS::CNNConvolution kernel(device, listSource(d, numbers(one.at("w")), numbers(one.at("b"))));
            kernel.setOffset({one.at("offsetX"), one.at("offsetY"), 0});
            const auto x = one.at("x").at("shape").get<std::vector<std::size_t>>(),
                       y = one.at("y").at("shape").get<std::vector<std::size_t>>();
            const auto result = batchOf(device, y[0], y[2], y[1], y[3]);
            const auto commands = device->newCommandQueue()->commandBuffer();
            kernel.encodeBatch(commands, batchOf(device, x[0], x[2], x[1], x[3], numbers(one.at("x"))),
                               result);
            finish(commands);
            EXPECT_EQ(read(result), numbers(one.at("y"))) << one.at("name") << ", " << device->name();
        }
}

TEST(SubPixelConvolution, FillsClipRectanglesThatCutBlocksAndSlicesOfChannels) {
    Random random(51);
    for (int i = 0; i < 40; ++i) {
        const auto r = static_cast<std::size_t>(random.integer(2, 3));
        const auto channels = static_cast<std::size_t>(random.integer(1, 3));
        const auto width = static_cast<std::size_t>(random.integer(1, 7)),
                   height = static_cast<std::size_t>(random.integer(1, 7));
        const std::size_t ioWidth = (width + r - 1) / r, ioHeight = (height + r - 1) / r;
        const auto d = descriptor(2, 2, channels * r * r, r);
        const auto w = integers(random, d->weightCount()), b = integers(random, d->outputFeatureChannels());
        Loops loops;
        loops.d = d;
        loops.width = 4;
        loops.height = 3;
        loops.outWidth = static_cast<std::int64_t>(ioWidth);
        loops.outHeight = static_cast<std::int64_t>(ioHeight);
        loops.offsetX = random.integer(-1, 1);
        loops.offsetY = random.integer(-1, 1);
        const auto x = integers(random, loops.sourceSize());
        const auto block = depthToSpace(loops.forward(x, w, b), ioWidth, width, height, channels, r);
        for (const auto& device : weightedDevices()) {
            MPS::CNNConvolution kernel(device, listSource(d, w, b));
            kernel.setOffset({loops.offsetX, loops.offsetY, 0});
            // A slice that leaves wider lanes alone, or the whole image.
            const bool slice = i % 2 == 0;
            const std::size_t left = slice ? 1 : 0, first = slice ? 4 : 0, all = first + channels;
            kernel.setDestinationFeatureChannelOffset(first);
            kernel.setClipRect({{left, left, 0}, {width, height, 1}});
            const std::size_t wide = width + left, high = height + left;
            Numbers expected(wide * high * all, 7);
            for (std::size_t y = 0; y < height; ++y)
                for (std::size_t u = 0; u < width; ++u)
                    for (std::size_t c = 0; c < channels; ++c)
                        expected[((y + left) * wide + u + left) * all + first + c] =
                            block[(y * width + u) * channels + c];
            const auto y = imageOf(device, wide, high, all, Numbers(wide * high * all, 7));
            const auto commands = device->newCommandQueue()->commandBuffer();
            kernel.encode(commands, imageOf(device, 4, 3, 2, x), y);
            finish(commands);
            EXPECT_EQ(read(*y), expected) << "factor " << r << ", " << width << " x " << height << " x "
                                          << channels << ", " << device->name();
        }
    }
}

TEST(SubPixelConvolution, SlopesOfAFusedNeuronGoByTheChannelsBefore) {
    for (const auto& device : weightedDevices()) {
        const auto d = descriptor(1, 1, 4, 2);
        d->setFusedNeuronDescriptor(MPS::NNNeuronDescriptor::cnnNeuronPReLUDescriptor({1, 2, 4, 8}));
        MPS::CNNConvolution kernel(device, listSource(d, {-1, -1, -1, 1}));
        kernel.setDestinationImageAllocator(MPS::Image::defaultAllocator());
        const auto commands = device->newCommandQueue()->commandBuffer();
        const auto y = kernel.encode(commands, imageOf(device, 1, 1, 1, {1}));
        finish(commands);
        EXPECT_EQ(read(*y), (Numbers{-1, -2, -4, 1})) << device->name();
    }
}

TEST(SubPixelConvolution, FactorOneIsAPlainConvolutionThatTrains) {
    const auto device = testDevice();
    const auto source = listSource(descriptor(1, 1, 2, 1), {3, 4});
    MPS::CNNConvolution kernel(device, source);
    EXPECT_EQ(kernel.destinationImageDescriptor({imageOf(device, 3, 2, 1)}).width, 3u);
    EXPECT_NO_THROW(MPS::CNNConvolutionGradient(device, source));
}

TEST(SubPixelConvolution, RefusesFactorsThatDoNotFit) {
    const auto device = testDevice();
    const auto construct = [&](const std::shared_ptr<MPS::CNNConvolutionDescriptor>& d) {
        return sentenceOf([&] { MPS::CNNConvolution(device, listSource(d, Numbers(d->weightCount(), 1))); });
    };
    EXPECT_THAT(
        construct(descriptor(1, 1, 6, 2)),
        HasSubstr("subPixelScaleFactor: expected a factor whose square divides outputFeatureChannels, "
                  "found 2 for 1 to 6 channels"));
    EXPECT_THAT(construct(descriptor(1, 1, 6, 0)),
                HasSubstr("subPixelScaleFactor: expected at least 1, found 0"));
    auto grouped = descriptor(1, 8, 24, 2);
    grouped->setGroups(2);
    EXPECT_THAT(construct(grouped), HasSubstr("a multiple of 4 channels after the rearrangement"));
    auto fits = descriptor(1, 8, 32, 2);
    fits->setGroups(2);
    EXPECT_EQ(construct(fits), "");
    const auto source = listSource(descriptor(1, 1, 4, 2), Numbers(4, 1));
    EXPECT_THAT(sentenceOf([&] { MPS::CNNConvolutionGradient(device, source); }),
                HasSubstr("subPixelScaleFactor: expected 1: the rearrangement has no gradient, found 2"));
    EXPECT_THAT(sentenceOf([&] { MPS::CNNFullyConnected(device, source); }),
                HasSubstr("subPixelScaleFactor: expected 1 for a fully connected kernel, found 2"));
}
