#include <MPS/NNReshape.hpp>

#include "UnaryKernels.h"

using namespace pewter::test;

namespace {

Numbers counting(std::size_t count) {
    Numbers values(count);
    for (std::size_t i = 0; i < count; ++i) values[i] = static_cast<double>(i + 1);
    return values;
}

}  // namespace

TEST(ReshapeKernel, ElementsKeepTheirOrderWithChannelsFastestOnEveryDevice) {
    for (const auto& device : weightedDevices()) {
        const auto commands = device->newCommandQueue()->commandBuffer();
        MPS::NNReshape reshape(device);
        reshape.setDestinationImageAllocator(MPS::Image::defaultAllocator());
        const auto source = imageOf(device, 3, 2, 5, counting(30));
        const auto vector = reshape.encode(commands, source, 1, 1, 30);
        const auto wide = reshape.encode(commands, source, 10, 1, 3);
        const auto same = reshape.encode(commands, source);
        const auto given = imageOf(device, 5, 3, 2);
        reshape.encode(commands, source, given);
        finish(commands);
        EXPECT_EQ(vector->featureChannels(), 30u);
        EXPECT_EQ(wide->width(), 10u);
        EXPECT_EQ(same->height(), 2u);
        for (const auto& image : {vector, wide, same, given})
            EXPECT_EQ(read(*image), counting(30)) << device->name();
    }
}

TEST(ReshapeKernel, BatchesAndStatesOfNamedShapesComeBackInEveryForm) {
    for (const auto& device : weightedDevices())
        for (const auto memory : {Memory::Together, Memory::Loose})
            for (const bool temporary : {false, true}) {
                const auto commands = device->newCommandQueue()->commandBuffer();
                MPS::NNReshape reshape(device);
                MPS::NNReshapeGradient gradient(device);
                reshape.setDestinationImageAllocator(MPS::Image::defaultAllocator());
                gradient.setDestinationImageAllocator(MPS::Image::defaultAllocator());
                const auto xs = imagesOf(device, {2, 2, 3, 2}, counting(24), Format::Float32, memory);
                MPS::StateBatch states;
                const auto ys = reshape.encodeBatch(commands, xs, &states, temporary, 4, 3, 1);
                const auto plain = reshape.encodeBatch(commands, xs, 2, 2, 3);
                const auto dxs = gradient.encodeBatch(commands, ys, xs, states);
                std::shared_ptr<MPS::State> state;
                const auto y = reshape.encode(commands, xs[1], &state, temporary, 12, 1, 1);
                const auto dx = gradient.encode(commands, y, xs[1], state);
                finish(commands);
                EXPECT_EQ(ys[0]->width(), 4u);
                EXPECT_EQ(plain[1]->featureChannels(), 3u);
                EXPECT_EQ(dxs[0]->width(), 3u);
                EXPECT_EQ(dxs[0]->featureChannels(), 2u);
                EXPECT_EQ(dx->height(), 2u);
                EXPECT_EQ(read(ys), counting(24)) << device->name();
                EXPECT_EQ(read(plain), counting(24));
                EXPECT_EQ(read(dxs), counting(24));
                const auto all = read(dxs);
                EXPECT_EQ(read(*dx), Numbers(all.begin() + 12, all.end()));
            }
}

TEST(ReshapeKernel, WindowsOfChannelsAndClipRectanglesAreReshapedEvenIfNeitherLiesBackToBack) {
    for (const auto& device : weightedDevices()) {
        const auto commands = device->newCommandQueue()->commandBuffer();
        MPS::NNReshape reshape(device);
        reshape.setSourceFeatureChannelOffset(4);
        reshape.setClipRect({{1, 0, 0}, {1, 4, 1}});
        reshape.setDestinationFeatureChannelOffset(4);
        // 2 x 2 pixels, of whose 7 channels the last 3: to 1 x 4 pixels of 3 channels.
        const auto source = imageOf(device, 2, 2, 7, counting(28));
        const auto y = imageOf(device, 2, 4, 7, Numbers(56, 9));
        reshape.encode(commands, source, y);
        finish(commands);
        const auto values = read(*y);
        for (std::size_t i = 0; i < 4; ++i)
            for (std::size_t c = 0; c < 7; ++c) {
                EXPECT_EQ(values[i * 14 + c], 9);
                EXPECT_EQ(values[i * 14 + 7 + c], c < 4 ? 9 : static_cast<double>(i * 7 + c + 1))
                    << device->name();
            }
    }
}

TEST(ReshapeKernel, GradientsAreTheDerivativesAndEveryWayGivesTheSameBits) {
    Random random(63);
    UnaryPair pair;
    pair.width = 5, pair.height = 1, pair.channels = 12;
    pair.keepOffset = true;
    for (const auto& device : weightedDevices()) {
        pair.forward = std::make_shared<MPS::NNReshape>(device);
        pair.backward = std::make_shared<MPS::NNReshapeGradient>(device);
        const auto x = uniform(random, 120);
        if (device->name() == "reference")
            pair.checkGradient({2, 4, 3, 5}, x, random, {.explicitDestination = true});
        for (const auto memory : {Memory::Together, Memory::Loose}) {
            const auto r = pair.run({2, 4, 3, 5}, x, [&](std::size_t) { return x; }, Format::Float32,
                                    {memory, true, memory == Memory::Loose});
            EXPECT_EQ(r.y, x);
            EXPECT_EQ(r.dx, x);
        }
    }
}

TEST(ReshapeKernel, CopiesReshapeOnTheirOwn) {
    const auto device = MTL::copyDevice("reference");
    MPS::NNReshape reshape(device);
    reshape.setSourceFeatureChannelMaxCount(1);
    const auto copy = std::dynamic_pointer_cast<MPS::NNReshape>(reshape.copy());
    reshape.setSourceFeatureChannelMaxCount(2);
    copy->setDestinationImageAllocator(MPS::Image::defaultAllocator());
    const auto commands = device->newCommandQueue()->commandBuffer();
    const auto y = copy->encode(commands, imageOf(device, 2, 1, 2, {1, 2, 3, 4}), 1, 2, 1);
    finish(commands);
    EXPECT_EQ(read(*y), (Numbers{1, 3}));
}

TEST(ReshapeKernel, AWiderGradientIsReadWhereTheResultWasWrittenAndTheNextOneFromItsStart) {
    for (const auto& device : weightedDevices()) {
        const auto commands = device->newCommandQueue()->commandBuffer();
        MPS::NNReshape reshape(device);
        MPS::NNReshapeGradient gradient(device);
        gradient.setDestinationImageAllocator(MPS::Image::defaultAllocator());
        const auto source = imageOf(device, 2, 2, 1, {1, 2, 3, 4});
        const auto wide = imageOf(device, 1, 1, 12, Numbers(12, 9)), narrow = imageOf(device, 1, 1, 4);
        // A state of its own for either.
        reshape.setDestinationFeatureChannelOffset(8);
        const auto first = reshape.resultState(source, {}, wide);
        reshape.encode(commands, source, first, wide);
        reshape.setDestinationFeatureChannelOffset(0);
        const auto second = reshape.resultState(source, {}, narrow);
        reshape.encode(commands, source, second, narrow);
        const auto a = gradient.encode(commands, wide, source, first);
        EXPECT_EQ(gradient.primarySourceFeatureChannelOffset(), 8u);
        const auto b = gradient.encode(commands, narrow, source, second);
        EXPECT_EQ(gradient.primarySourceFeatureChannelOffset(), 0u);
        finish(commands);
        EXPECT_EQ(read(*wide), (Numbers{9, 9, 9, 9, 9, 9, 9, 9, 1, 2, 3, 4})) << device->name();
        EXPECT_EQ(read(*a), (Numbers{1, 2, 3, 4})) << device->name();
        EXPECT_EQ(read(*b), (Numbers{1, 2, 3, 4})) << device->name();
    }
}
