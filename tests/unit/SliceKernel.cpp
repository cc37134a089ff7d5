#include <MPS/NNSlice.hpp>

#include "UnaryKernels.h"

using namespace pewter::test;

namespace {

/// 100 y + 10 x + c.
ImagePtr coordinates(const DevicePtr& device, std::size_t width, std::size_t height, std::size_t channels) {
    Numbers values;
    for (std::size_t y = 0; y < height; ++y)
        for (std::size_t x = 0; x < width; ++x)
            for (std::size_t c = 0; c < channels; ++c)
                values.push_back(100 * static_cast<double>(y) + 10 * static_cast<double>(x) +
                                 static_cast<double>(c));
    return imageOf(device, width, height, channels, values);
}

}  // namespace

TEST(SliceKernel, ABoxOfPixelsAndChannelsIsCopiedOnEveryDevice) {
    for (const auto& device : weightedDevices()) {
        const auto commands = device->newCommandQueue()->commandBuffer();
        MPS::NNSlice slice(device);
        slice.setOffset({1, 2, 0});
        slice.setSourceFeatureChannelOffset(4);
        const auto y = imageOf(device, 2, 1, 2);
        slice.encode(commands, coordinates(device, 4, 4, 7), y);
        finish(commands);
        EXPECT_EQ(read(*y), (Numbers{214, 215, 224, 225})) << device->name();
    }
}

TEST(SliceKernel, ClipRectAndDestinationChannelsSayWhereTheBoxGoes) {
    for (const auto& device : weightedDevices()) {
        const auto commands = device->newCommandQueue()->commandBuffer();
        MPS::NNSlice slice(device);
        slice.setOffset({-1, 0, 0});
        slice.setClipRect({{1, 1, 0}, {2, 1, 1}});
        slice.setSourceFeatureChannelMaxCount(2);
        slice.setDestinationFeatureChannelOffset(4);
        const auto y = imageOf(device, 3, 2, 6, Numbers(36, 7));
        slice.encode(commands, coordinates(device, 2, 2, 3), y);
        slice.setClipRect({{0, 0, 0}, {1, 1, 1}});
        slice.setEdgeMode(MPS::ImageEdgeMode::Clamp);
        slice.setOffset({5, 9, 0});
        slice.encode(commands, coordinates(device, 2, 2, 3), y);
        finish(commands);
        Numbers expected(36, 7);
        expected[4] = 110, expected[5] = 111;     // the edge pixel
        expected[22 + 6] = expected[22 + 7] = 0;  // outside
        expected[34] = 0, expected[35] = 1;       // source pixel (0, 0)
        EXPECT_EQ(read(*y), expected) << device->name();
    }
}

TEST(SliceKernel, ReturnedResultsHaveTheSizeOfTheSourceAndTheChannelsOfItsWindow) {
    for (const auto& device : weightedDevices()) {
        const auto commands = device->newCommandQueue()->commandBuffer();
        MPS::NNSlice slice(device);
        slice.setDestinationImageAllocator(MPS::Image::defaultAllocator());
        slice.setSourceFeatureChannelOffset(4);
        slice.setSourceFeatureChannelMaxCount(1);
        const auto source = coordinates(device, 2, 1, 6);
        std::shared_ptr<MPS::State> state =
            std::make_shared<MPS::NNGradientState>(MPS::StateOwner::of(device));
        const auto y = slice.encode(commands, source, &state, true);
        const auto ys = slice.encodeBatch(commands, {source, coordinates(device, 2, 1, 6)});
        finish(commands);
        EXPECT_EQ(state, nullptr);
        EXPECT_EQ(y->featureChannels(), 1u);
        EXPECT_EQ(read(*y), (Numbers{4, 14})) << device->name();
        EXPECT_EQ(read(ys), (Numbers{4, 14, 4, 14})) << device->name();
    }
}

/// What concatenation along channels and its gradient are made of.
TEST(SliceKernel, ThreeAndFiveChannelsGoSideBySideAtMultiplesOfFourAndComeBack) {
    for (const auto& device : weightedDevices()) {
        const auto commands = device->newCommandQueue()->commandBuffer();
        const auto three = imageOf(device, 1, 1, 3, {1, 2, 3}),
                   five = imageOf(device, 1, 1, 5, {4, 5, 6, 7, 8});
        const auto all = imageOf(device, 1, 1, 12, Numbers(12, 9));
        MPS::NNSlice slice(device);
        slice.encode(commands, three, all);
        slice.setDestinationFeatureChannelOffset(4);
        slice.encode(commands, five, all);
        const auto first = imageOf(device, 1, 1, 3), second = imageOf(device, 1, 1, 5);
        slice.setDestinationFeatureChannelOffset(0);
        slice.encode(commands, all, first);
        slice.setSourceFeatureChannelOffset(4);
        slice.encode(commands, all, second);
        finish(commands);
        // Lanes up to the next multiple of 4 get zeros.
        EXPECT_EQ(read(*all), (Numbers{1, 2, 3, 0, 4, 5, 6, 7, 8, 0, 0, 0})) << device->name();
        EXPECT_EQ(read(*first), (Numbers{1, 2, 3}));
        EXPECT_EQ(read(*second), (Numbers{4, 5, 6, 7, 8}));
    }
}

TEST(SliceKernel, ImagesOfABatchAndOfOneImageAreChosenByOffsetAndTypesConvert) {
    for (const auto& device : weightedDevices()) {
        const auto commands = device->newCommandQueue()->commandBuffer();
        const auto source = imageOf(device, 1, 1, 2, {1, 2, 3, 4, 5, 6}, Format::Float32, 3);
        const auto y = imageOf(device, 1, 1, 2, {}, Format::Float16, 2);
        MPS::NNSlice slice(device);
        slice.setOffset({0, 0, 1});
        const auto copy = std::dynamic_pointer_cast<MPS::NNSlice>(slice.copy());
        copy->encode(commands, source, y);
        const auto wide = imageOf(device, 1, 1, 2, {}, Format::Float32, 2);
        slice.setOffset({});
        slice.encode(commands, y, wide);
        finish(commands);
        EXPECT_EQ(read(*wide), (Numbers{3, 4, 5, 6})) << device->name();
    }
}
