#include <MPS/NNGridSample.hpp>

#include "ArchiveRoundTrip.h"
#include "TestKernel.h"
#include "UnaryKernels.h"

using namespace pewter::test;
using pewter::test::finish;
using pewter::test::Format;
using pewter::test::ImagePtr;

TEST(GridSampleKernel, AgreesWithPyTorch) {
    for (const auto& device : weightedDevices())
        for (const auto all = fixture("grid_sample"); const auto& c : all.at("cases")) {
            MPS::NNGridSample kernel(device);
            kernel.setDestinationImageAllocator(MPS::Image::defaultAllocator());
            kernel.setUseGridValueAsInputCoordinate(c.at("useGridValueAsInputCoordinate"));
            kernel.setPrimaryEdgeMode(c.at("edgeMode") == "Clamp" ? MPS::ImageEdgeMode::Clamp
                                                                  : MPS::ImageEdgeMode::Zero);
            const auto e = extentsOf(c.at("x")), g = extentsOf(c.at("grid"));
            const auto commands = device->newCommandQueue()->commandBuffer();
            const auto together = kernel.encodeBatch(commands, imagesOf(device, e, numbers(c.at("x"))),
                                                     imagesOf(device, g, numbers(c.at("grid"))));
            const auto loose = batchOf(device, e.n, g.w, g.h, e.c);
            kernel.encodeBatch(commands, batchOf(device, e.n, e.w, e.h, e.c, numbers(c.at("x"))),
                               batchOf(device, g.n, g.w, g.h, 2, numbers(c.at("grid"))), loose);
            finish(commands);
            EXPECT_TRUE(allNear(read(together), numbers(c.at("y")), 4e-6)) << c.at("name") << device->name();
            EXPECT_EQ(read(loose), read(together)) << c.at("name") << device->name();
        }
}

TEST(GridSampleKernel, TheGridSizesTheResultAndMoreThanTwoOfItsChannelsAreIgnored) {
    for (const auto& device : weightedDevices()) {
        MPS::NNGridSample kernel(device);
        EXPECT_TRUE(kernel.useGridValueAsInputCoordinate());
        kernel.setPadding(MPS::NNDefaultPadding::padding(MPS::NNPaddingMethodSizeFull));
        kernel.setDestinationImageAllocator(MPS::Image::defaultAllocator());
        kernel.setSecondaryOffset({3, 3, 0});
        const auto commands = device->newCommandQueue()->commandBuffer();
        const auto result = kernel.encode(commands, imageOf(device, 2, 1, 1, {4, 8}),
                                          imageOf(device, 3, 1, 3, {0, 0, 99, 0.5, 0, 99, 1, 0, 99}));
        finish(commands);
        EXPECT_EQ(result->width(), 3u);
        EXPECT_EQ(result->featureChannels(), 1u);
        EXPECT_EQ(read(*result), (Numbers{4, 6, 8})) << device->name();
    }
}

TEST(GridSampleKernel, OffsetsClipAndChannelSlicesPlaceTheResult) {
    for (const auto& device : weightedDevices()) {
        MPS::NNGridSample kernel(device);
        kernel.setUseGridValueAsInputCoordinate(false);
        kernel.setPrimaryOffset({1, 0, 0});
        kernel.setSecondaryOffset({1, 0, 0});
        kernel.setSecondarySourceFeatureChannelOffset(4);
        kernel.setClipRect({{1, 0, 0}, {2, 1, 1}});
        const auto commands = device->newCommandQueue()->commandBuffer();
        const auto result = imageOf(device, 4, 1, 1, Numbers(4, -1));
        // Grid pixels 1 and 2 hold (0.5, 0) and, outside, (0, 0).
        kernel.encode(commands, imageOf(device, 4, 1, 1, {2, 4, 6, 8}),
                      imageOf(device, 2, 1, 6, {0, 0, 0, 0, 9, 9, 0, 0, 0, 0, 0.5, 0}), result);
        finish(commands);
        EXPECT_EQ(read(*result), (Numbers{-1, 5, 6, -1})) << device->name();
    }
}

TEST(GridSampleKernel, BothSourcesAreReadOnceAndThereIsNoState) {
    const auto commands = testQueue()->commandBuffer();
    MPS::NNGridSample kernel(testDevice());
    const auto image = makeTemporary(commands, 3, 3, 4), grid = makeTemporary(commands, 5, 2, 2);
    std::shared_ptr<MPS::State> state;
    const auto result = kernel.encode(commands, image, grid, &state, true);
    EXPECT_EQ(state, nullptr);
    EXPECT_EQ(temporary(image).readCount(), 0u);
    EXPECT_EQ(temporary(grid).readCount(), 0u);
    EXPECT_EQ(temporary(result).readCount(), 1u);
    EXPECT_EQ(result->width(), 5u);
    EXPECT_EQ(result->height(), 2u);
    temporary(result).setReadCount(0);
    run(commands);
}

TEST(GridSampleKernel, CopiesAndArchivesKeepEverything) {
    const auto reference = MTL::copyDevice("reference");
    for (const auto& device : weightedDevices()) {
        MPS::NNGridSample kernel(reference);
        kernel.setUseGridValueAsInputCoordinate(false);
        kernel.setPrimaryEdgeMode(MPS::ImageEdgeMode::Clamp);
        const auto copy = std::dynamic_pointer_cast<MPS::NNGridSample>(kernel.copy(device));
        ASSERT_TRUE(copy);
        EXPECT_EQ(copy->device(), device);
        EXPECT_FALSE(copy->useGridValueAsInputCoordinate());
        const auto again = roundTrip(copy);
        EXPECT_FALSE(again->useGridValueAsInputCoordinate());
        EXPECT_EQ(again->primaryEdgeMode(), MPS::ImageEdgeMode::Clamp);
    }
}
