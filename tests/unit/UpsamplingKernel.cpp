#include <MPS/CNNUpsampling.hpp>

#include "ArchiveRoundTrip.h"
#include "TestKernel.h"
#include "UnaryKernels.h"

using namespace pewter::test;
using pewter::test::finish;
using pewter::test::Format;
using pewter::test::ImagePtr;

namespace {

UnaryPair nearestPair(const DevicePtr& device, std::size_t x, std::size_t y) {
    UnaryPair pair;
    pair.forward = std::make_shared<MPS::CNNUpsamplingNearest>(device, x, y);
    pair.backward = std::make_shared<MPS::CNNUpsamplingNearestGradient>(device, x, y);
    return pair;
}

UnaryPair bilinearPair(const DevicePtr& device, std::size_t x, std::size_t y, bool align) {
    UnaryPair pair;
    pair.forward = std::make_shared<MPS::CNNUpsamplingBilinear>(device, x, y, align);
    pair.backward = std::make_shared<MPS::CNNUpsamplingBilinearGradient>(device, x, y);
    return pair;
}

}  // namespace

TEST(UpsamplingKernel, AgreesWithPyTorch) {
    for (const auto& device : weightedDevices())
        for (const auto all = fixture("upsampling"); const auto& c : all.at("cases")) {
            const std::size_t x = c.at("scaleFactorX"), y = c.at("scaleFactorY");
            const auto pair = c.at("type") == "nearest" ? nearestPair(device, x, y)
                                                        : bilinearPair(device, x, y, c.at("alignCorners"));
            const auto result = pair.run(extentsOf(c.at("x")), numbers(c.at("x")),
                                         [&](std::size_t) { return numbers(c.at("g")); });
            EXPECT_TRUE(allNear(result.y, numbers(c.at("y")), 4e-6))
                << c.at("name") << " on " << device->name();
            EXPECT_TRUE(allNear(result.dx, numbers(c.at("dx")), 4e-6))
                << c.at("name") << " on " << device->name();
        }
}

TEST(UpsamplingKernel, NearestIsExactAndItsGradientSumsBlocks) {
    for (const auto& device : weightedDevices()) {
        const auto result = nearestPair(device, 2, 2).run({1, 1, 2, 1}, {3, -5}, [](std::size_t) {
            return Numbers{1, 2, 4, 8, 16, 32, 64, 128};
        });
        EXPECT_EQ(result.y, (Numbers{3, 3, -5, -5, 3, 3, -5, -5})) << device->name();
        EXPECT_EQ(result.dx, (Numbers{1 + 2 + 16 + 32, 4 + 8 + 64 + 128})) << device->name();
    }
}

TEST(UpsamplingKernel, AlignedCornersOfTheForwardKernelReachTheGradientThroughTheState) {
    for (const auto& device : weightedDevices()) {
        const auto g = [](std::size_t) { return Numbers{1, 10, 100, 1000}; };
        const auto aligned = bilinearPair(device, 2, 1, true).run({1, 1, 2, 1}, {0, 3}, g);
        EXPECT_TRUE(allNear(aligned.y, {0, 1, 2, 3}, 1e-6)) << device->name();
        EXPECT_TRUE(allNear(aligned.dx, {1 + 20. / 3 + 100. / 3, 10. / 3 + 200. / 3 + 1000}, 1e-6));
        const auto plain = bilinearPair(device, 2, 1, false).run({1, 1, 2, 1}, {0, 3}, g);
        EXPECT_EQ(plain.y, (Numbers{0, 1.5, 3, 3})) << device->name();
        EXPECT_EQ(plain.dx, (Numbers{6, 1105})) << device->name();
    }
}

TEST(UpsamplingKernel, GradientIsTheDerivativeForEveryPlacementOfTheResult) {
    const auto device = MTL::copyDevice("reference");
    Random random(41);
    const Extents e{2, 3, 4, 4};
    const auto x = uniform(random, e.count());
    for (const auto& [ox, oy] : {std::pair{0, 0}, {1, 1}, {-1, 2}})
        for (int kind = 0; kind < 3; ++kind) {
            auto pair = kind == 0 ? nearestPair(device, 2, 3) : bilinearPair(device, 3, 2, kind == 2);
            pair.checkGradient(e, x, random);
            pair.forward->setOffset({ox, oy, 0});
            pair.forward->setClipRect({{1, 2, 0}, {6, 4, 1}});
            pair.keepOffset = true;
            pair.width = 8, pair.height = 7, pair.channels = 4;
            pair.checkGradient(e, x, random, {Memory::Together, true, true});
        }
}

TEST(UpsamplingKernel, EveryWayToEncodeGivesTheSameBits) {
    Random random(42);
    for (const auto& device : weightedDevices())
        for (const std::size_t channels : {3, 20}) {
            const Extents e{3, 4, 5, channels};
            const auto x = uniform(random, e.count());
            nearestPair(device, 2, 3).checkWays(e, x, random);
            bilinearPair(device, 3, 2, false).checkWays(e, x, random);
            bilinearPair(device, 2, 2, true).checkWays(e, x, random);
        }
}

TEST(UpsamplingKernel, TheResultIsEnlargedWhateverThePaddingPolicySays) {
    const auto device = MTL::copyDevice("reference");
    MPS::CNNUpsamplingNearest kernel(device, 3, 2);
    EXPECT_EQ(kernel.scaleFactorX(), 3.0);
    EXPECT_EQ(kernel.scaleFactorY(), 2.0);
    EXPECT_FALSE(kernel.alignCorners());
    EXPECT_FALSE(MPS::CNNUpsamplingBilinear(device, 2, 2).alignCorners());
    EXPECT_TRUE(MPS::CNNUpsamplingBilinear(device, 2, 2, true).alignCorners());
    kernel.setPadding(MPS::NNDefaultPadding::padding(MPS::NNPaddingMethodSizeFull));
    kernel.setOffset({1, 0, 0});
    const auto d = kernel.destinationImageDescriptor({imageOf(device, 4, 5, 6)});
    EXPECT_EQ(d.width, 12u);
    EXPECT_EQ(d.height, 10u);
    EXPECT_EQ(d.featureChannels, 6u);
    EXPECT_EQ(kernel.offset().x, 1);
}

TEST(UpsamplingKernel, TheClipRectangleStartsAtTheOffsetAndReadsTheEdgeBeyondTheSource) {
    for (const auto& device : weightedDevices()) {
        MPS::CNNUpsamplingNearest kernel(device, 2, 1);
        kernel.setOffset({1, 0, 0});
        kernel.setClipRect({{2, 0, 0}, {5, 1, 1}});
        const auto commands = device->newCommandQueue()->commandBuffer();
        const auto result = imageOf(device, 8, 1, 1, Numbers(8, -1));
        kernel.encode(commands, imageOf(device, 3, 1, 1, {4, 5, 6}), result);
        finish(commands);
        EXPECT_EQ(read(*result), (Numbers{-1, -1, 5, 5, 6, 6, 6, -1})) << device->name();
    }
}

TEST(UpsamplingKernel, ASliceOfTheChannelsGoesBothWays) {
    for (const auto& device : weightedDevices()) {
        auto pair = nearestPair(device, 2, 1);
        pair.forward->setSourceFeatureChannelOffset(4);
        pair.forward->setSourceFeatureChannelMaxCount(2);
        pair.forward->setDestinationFeatureChannelOffset(4);
        const auto commands = device->newCommandQueue()->commandBuffer();
        const auto source = imageOf(device, 1, 1, 8, {0, 1, 2, 3, 4, 5, 6, 7});
        const auto result = imageOf(device, 2, 1, 8, Numbers(16, -1));
        const auto state = pair.forward->resultState(source, {}, result);
        pair.forward->encode(commands, source, state, result);
        pair.backward->setDestinationImageAllocator(MPS::Image::defaultAllocator());
        Numbers g(16);
        for (std::size_t i = 0; i < 16; ++i) g[i] = static_cast<double>(i);
        const auto gradient = pair.backward->encode(commands, imageOf(device, 2, 1, 8, g), source, state);
        finish(commands);
        EXPECT_EQ(read(*result), (Numbers{-1, -1, -1, -1, 4, 5, 0, 0, -1, -1, -1, -1, 4, 5, 0, 0}));
        ASSERT_EQ(gradient->featureChannels(), 2u);
        EXPECT_EQ(read(*gradient), (Numbers{4 + 12, 5 + 13})) << device->name();
    }
}

TEST(UpsamplingKernel, EverySourceIsReadOnce) {
    const auto queue = testQueue();
    const auto commands = queue->commandBuffer();
    MPS::CNNUpsamplingBilinear forward(testDevice(), 2, 2);
    MPS::CNNUpsamplingBilinearGradient backward(testDevice(), 2, 2);
    const auto source = makeTemporary(commands, 3, 2, 4, 2);
    std::shared_ptr<MPS::State> state;
    const auto result = forward.encode(commands, source, &state, true);
    EXPECT_EQ(temporary(source).readCount(), 1u);
    EXPECT_FALSE(state->isTemporary()) << "it holds a record and no memory";
    const auto gradient = backward.encode(commands, result, source, state);
    EXPECT_EQ(temporary(source).readCount(), 0u);
    EXPECT_EQ(temporary(result).readCount(), 0u);
    EXPECT_EQ(temporary(gradient).readCount(), 1u);
    temporary(gradient).setReadCount(0);
    run(commands);
}

TEST(UpsamplingKernel, TheStateRecordsFactorsAndCorners) {
    const auto device = MTL::copyDevice("reference");
    MPS::CNNUpsamplingBilinear forward(device, 2, 3, true);
    const auto source = imageOf(device, 2, 2, 4), result = imageOf(device, 4, 6, 4);
    const auto state = forward.resultState(source, {}, result);
    EXPECT_THAT(state->debugDescription(), testing::AllOf(HasSubstr("scale factors"), HasSubstr("2 x 3"),
                                                          HasSubstr("align corners"), HasSubstr("yes")));
}

TEST(UpsamplingKernel, CopiesKeepEverythingOnAnotherDevice) {
    const auto reference = MTL::copyDevice("reference");
    for (const auto& device : weightedDevices()) {
        MPS::CNNUpsamplingBilinear bilinear(reference, 2, 1, true);
        bilinear.setLabel("up");
        const auto copy = std::dynamic_pointer_cast<MPS::CNNUpsamplingBilinear>(bilinear.copy(device));
        ASSERT_TRUE(copy);
        EXPECT_EQ(copy->device(), device);
        EXPECT_EQ(copy->name(), bilinear.name());
        EXPECT_TRUE(copy->alignCorners());
        EXPECT_TRUE(std::dynamic_pointer_cast<MPS::CNNUpsamplingNearest>(
            MPS::CNNUpsamplingNearest(reference, 2, 2).copy(device)));
        EXPECT_EQ(std::dynamic_pointer_cast<MPS::CNNUpsamplingNearestGradient>(
                      MPS::CNNUpsamplingNearestGradient(reference, 2, 5).copy(device))
                      ->scaleFactorY(),
                  5.0);
        EXPECT_EQ(std::dynamic_pointer_cast<MPS::CNNUpsamplingBilinearGradient>(
                      MPS::CNNUpsamplingBilinearGradient(reference, 7, 5).copy())
                      ->scaleFactorX(),
                  7.0);
        const auto commands = device->newCommandQueue()->commandBuffer();
        copy->setDestinationImageAllocator(MPS::Image::defaultAllocator());
        const auto result = copy->encode(commands, imageOf(device, 2, 1, 1, {0, 3}));
        finish(commands);
        EXPECT_TRUE(allNear(read(*result), {0, 1, 2, 3}, 1e-6)) << device->name();
    }
}

TEST(UpsamplingKernel, ArchivesReadBackTheSameKernels) {
    for (const auto& device : weightedDevices()) {
        const auto source = anyImage(device, 3, 2, 8);
        sameForward(std::make_shared<MPS::CNNUpsamplingNearest>(device, 2, 3), source);
        EXPECT_TRUE(sameForward(std::make_shared<MPS::CNNUpsamplingBilinear>(device, 2, 3, true), source)
                        ->alignCorners());
        EXPECT_EQ(
            roundTrip(std::make_shared<MPS::CNNUpsamplingNearestGradient>(device, 2, 3))->scaleFactorY(),
            3.0);
        EXPECT_EQ(
            roundTrip(std::make_shared<MPS::CNNUpsamplingBilinearGradient>(device, 4, 3))->scaleFactorX(),
            4.0);
    }
}
