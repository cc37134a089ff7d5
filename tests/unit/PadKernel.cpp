#include <MPS/NNPad.hpp>

#include "UnaryKernels.h"

using namespace pewter::test;

namespace {

using Edge = MPS::ImageEdgeMode;
constexpr Edge kEdges[] = {Edge::Zero, Edge::Clamp, Edge::Mirror, Edge::MirrorWithEdge, Edge::Constant};

UnaryPair padding(const DevicePtr& device, const MPS::ImageCoordinate& before,
                  const MPS::ImageCoordinate& after, Edge edge) {
    const auto pad = std::make_shared<MPS::NNPad>(device, before, after);
    pad->setEdgeMode(edge);
    pad->setFillValue(0.5f);
    return {pad, std::make_shared<MPS::NNPadGradient>(device)};
}

std::size_t readsLeft(const ImagePtr& image) {
    return dynamic_cast<MPS::TemporaryImage&>(*image).readCount();
}

}  // namespace

TEST(PadKernel, DefaultsPadNothingAndPropertiesAreKept) {
    const auto device = MTL::copyDevice("reference");
    MPS::NNPad pad(device);
    EXPECT_EQ(pad.paddingSizeBefore().x + pad.paddingSizeBefore().y + pad.paddingSizeBefore().channel, 0u);
    EXPECT_EQ(pad.paddingSizeAfter().x + pad.paddingSizeAfter().y + pad.paddingSizeAfter().channel, 0u);
    EXPECT_EQ(pad.fillValue(), 0);
    EXPECT_EQ(pad.edgeMode(), Edge::Zero);
    pad.setPaddingSizeBefore({1, 2, 3});
    pad.setPaddingSizeAfter({4, 5, 6});
    pad.setFillValue(7);
    const auto copy = std::dynamic_pointer_cast<MPS::NNPad>(pad.copy());
    EXPECT_EQ(copy->paddingSizeBefore().y, 2u);
    EXPECT_EQ(copy->paddingSizeBefore().channel, 3u);
    EXPECT_EQ(copy->paddingSizeAfter().x, 4u);
    EXPECT_EQ(copy->fillValue(), 7);
}

TEST(PadKernel, ReturnedResultsAreSizedByThePaddingOnEveryDevice) {
    for (const auto& device : weightedDevices()) {
        MPS::NNPad pad(device, {2, 1, 1}, {1, 0, 2});
        pad.setDestinationImageAllocator(MPS::Image::defaultAllocator());
        pad.setEdgeMode(Edge::MirrorWithEdge);
        pad.setOffset({9, 9, 0});
        pad.setClipRect({{1, 1, 0}, {1, 1, 1}});
        const auto commands = device->newCommandQueue()->commandBuffer();
        const auto y = pad.encode(commands, imageOf(device, 2, 1, 2, {1, 2, 3, 4}));
        finish(commands);
        ASSERT_EQ(y->width(), 5u);
        ASSERT_EQ(y->height(), 2u);
        ASSERT_EQ(y->featureChannels(), 5u);
        EXPECT_EQ(pad.offset(), (MPS::Offset{-2, -1, 0}));
        const Numbers left = {1, 1, 2, 2, 1}, right = {3, 3, 4, 4, 3};
        Numbers row;
        for (const auto* pixel : {&right, &left, &left, &right, &right})
            row.insert(row.end(), pixel->begin(), pixel->end());
        auto twice = row;
        twice.insert(twice.end(), row.begin(), row.end());
        EXPECT_EQ(read(*y), twice) << device->name();
    }
}

TEST(PadKernel, AFillValueArrayHasOneValueAWrittenChannel) {
    for (const auto& device : weightedDevices()) {
        MPS::NNPad pad(device, {1, 0, 1}, {0, 0, 0}, {5, 6, 7, 8});
        pad.setDestinationImageAllocator(MPS::Image::defaultAllocator());
        pad.setFillValue(99);
        const auto commands = device->newCommandQueue()->commandBuffer();
        const auto source = imageOf(device, 1, 1, 2, {1, 2});
        const auto zero = pad.encode(commands, source);
        pad.setEdgeMode(Edge::Constant);
        const auto constant = pad.encode(commands, source);
        finish(commands);
        EXPECT_EQ(read(*zero), (Numbers{0, 0, 0, 0, 1, 2})) << device->name();
        EXPECT_EQ(read(*constant), (Numbers{5, 6, 7, 5, 1, 2})) << device->name();
    }
}

TEST(PadKernel, WithAGivenDestinationOffsetAndClipRectSayWhereAndAnyChannelMayBeTheFirst) {
    for (const auto& device : weightedDevices()) {
        MPS::NNPad pad(device, {9, 9, 1}, {9, 9, 1});
        pad.setEdgeMode(Edge::Mirror);
        pad.setOffset({-1, 0, 0});
        pad.setClipRect({{1, 0, 0}, {3, 1, 1}});
        pad.setSourceFeatureChannelOffset(1);
        pad.setSourceFeatureChannelMaxCount(2);
        pad.setDestinationFeatureChannelOffset(4);
        const auto source = imageOf(device, 2, 1, 4, {0, 1, 2, 3, 10, 11, 12, 13});
        const auto y = imageOf(device, 4, 1, 8, Numbers(32, 7));
        const auto commands = device->newCommandQueue()->commandBuffer();
        pad.encode(commands, source, y);
        finish(commands);
        // Pixels 1 0 1 of the source, channels 2 | 1 2 | 1; nothing else is touched.
        EXPECT_EQ(read(*y), (Numbers{7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 12, 11, 12, 11,
                                     7, 7, 7, 7, 2, 1, 2, 1, 7, 7, 7, 7, 12, 11, 12, 11}))
            << device->name();
    }
}

TEST(PadKernel, GradientsFoldBackExactlyAndGiveZeroToChannelsThatWereNotRead) {
    for (const auto& device : weightedDevices()) {
        MPS::NNPad pad(device, {1, 0, 0}, {2, 0, 1});
        MPS::NNPadGradient gradient(device);
        pad.setDestinationImageAllocator(MPS::Image::defaultAllocator());
        gradient.setDestinationImageAllocator(MPS::Image::defaultAllocator());
        pad.setEdgeMode(Edge::Clamp);
        pad.setSourceFeatureChannelOffset(2);
        pad.setSourceFeatureChannelMaxCount(1);
        const auto commands = device->newCommandQueue()->commandBuffer();
        const auto source = imageOf(device, 2, 1, 4, Numbers(8, 1));
        std::shared_ptr<MPS::State> state;
        const auto y = pad.encode(commands, source, &state, true);
        ASSERT_EQ(y->width(), 5u);
        ASSERT_EQ(y->featureChannels(), 2u);
        const auto g = imageOf(device, 5, 1, 2, {1, 10, 2, 20, 4, 40, 8, 80, 16, 160});
        const auto dx = gradient.encode(commands, g, source, state);
        finish(commands);
        ASSERT_EQ(dx->featureChannels(), 4u);
        EXPECT_EQ(read(*dx), (Numbers{0, 0, 33, 0, 0, 0, 308, 0})) << device->name();
        EXPECT_EQ(gradient.secondaryEdgeMode(), Edge::Clamp);
        EXPECT_EQ(gradient.secondarySourceFeatureChannelOffset(), 2u);
    }
}

TEST(PadKernel, GradientsAreTheDerivativesForEveryEdgeModeAndPlacement) {
    Random random(61);
    const auto device = MTL::copyDevice("reference");
    for (const auto edge : kEdges) {
        const auto pair = padding(device, {3, 2, 1}, {1, 4, 2}, edge);
        pair.checkGradient({2, 3, 2, 3}, uniform(random, 36), random);
        // A clip rectangle of its own, part of the channels, a crop on one side.
        auto placed = padding(device, {0, 0, 2}, {0, 0, 0}, edge);
        placed.keepOffset = true;
        placed.forward->setOffset({1, -3, 0});
        placed.forward->setClipRect({{1, 0, 0}, {4, 5, 1}});
        placed.forward->setSourceFeatureChannelOffset(1);
        placed.width = 6, placed.height = 7, placed.channels = 6;
        placed.forward->setSourceFeatureChannelMaxCount(2);
        placed.checkGradient({1, 4, 3, 4}, uniform(random, 48), random, {.explicitDestination = true});
    }
}

TEST(PadKernel, EveryWayToEncodeGivesTheSameBits) {
    Random random(62);
    for (const auto& device : weightedDevices())
        for (const auto edge : kEdges)
            padding(device, {1, 2, 0}, {3, 1, 2}, edge).checkWays({3, 3, 4, 3}, uniform(random, 108), random);
}

TEST(PadKernel, SourcesAndStatesLoseOneReadEach) {
    const auto device = MTL::copyDevice("reference");
    const auto commands = device->newCommandQueue()->commandBuffer();
    const auto source = MPS::TemporaryImage::temporaryImage(
        commands, MPS::ImageDescriptor::imageDescriptor(Format::Float32, 2, 2, 1));
    source->setReadCount(2);
    MPS::NNPad pad(device, {1, 1, 0}, {1, 1, 0});
    MPS::NNPadGradient gradient(device);
    // Temporaries must have been written.
    MPS::NNPad(device).encode(commands, imageOf(device, 2, 2, 1, {1, 2, 3, 4}), source);
    std::shared_ptr<MPS::State> state;
    const auto y = pad.encode(commands, source, &state, true);
    EXPECT_EQ(source->readCount(), 1u);
    EXPECT_EQ(readsLeft(y), 1u);
    gradient.setDestinationImageAllocator(MPS::Image::defaultAllocator());
    const auto dx = gradient.encode(commands, y, source, state);
    EXPECT_EQ(source->readCount(), 0u);
    EXPECT_EQ(readsLeft(y), 0u);
    EXPECT_EQ(state->readCount(), 0u);
    finish(commands);
    EXPECT_EQ(read(*dx), (Numbers{1, 2, 3, 4}));
}
