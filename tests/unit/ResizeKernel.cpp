#include <MPS/NNResize.hpp>

#include "ArchiveRoundTrip.h"
#include "TestKernel.h"
#include "UnaryKernels.h"

using namespace pewter::test;
using pewter::test::finish;
using pewter::test::Format;
using pewter::test::ImagePtr;

namespace {

std::vector<MPS::Region> regionsOf(const Json& json) {
    const auto values = numbers(json);
    std::vector<MPS::Region> regions;
    for (std::size_t i = 0; i < values.size(); i += 4)
        regions.push_back({{values[i], values[i + 1], 0}, {values[i + 2], values[i + 3], 1}});
    return regions;
}

constexpr MPS::Region kHalves[] = {{{0, 0, 0}, {0.5, 1, 1}}, {{0.5, 0, 0}, {0.5, 1, 1}}};

}  // namespace

TEST(ResizeKernel, AgreesWithPyTorch) {
    for (const auto& device : weightedDevices())
        for (const auto all = fixture("resize"); const auto& c : all.at("cases")) {
            MPS::NNResizeBilinear kernel(device, c.at("resizeWidth"), c.at("resizeHeight"),
                                         c.at("alignCorners"));
            kernel.setDestinationImageAllocator(MPS::Image::defaultAllocator());
            const auto e = extentsOf(c.at("x"));
            const auto commands = device->newCommandQueue()->commandBuffer();
            const auto together = kernel.encodeBatch(commands, imagesOf(device, e, numbers(c.at("x"))));
            const auto loose = kernel.encodeBatch(
                commands, imagesOf(device, e, numbers(c.at("x")), Format::Float32, Memory::Loose));
            finish(commands);
            EXPECT_EQ(together[0]->width(), kernel.resizeWidth());
            EXPECT_EQ(together[0]->height(), kernel.resizeHeight());
            EXPECT_TRUE(allNear(read(together), numbers(c.at("y")), 4e-6)) << c.at("name") << device->name();
            EXPECT_EQ(read(loose), read(together)) << c.at("name") << device->name();
        }
}

TEST(ResizeKernel, HalvingAndDoublingAreExactOnWholeNumbers) {
    for (const auto& device : weightedDevices()) {
        const auto commands = device->newCommandQueue()->commandBuffer();
        const auto source = imageOf(device, 4, 1, 1, {0, 2, 4, 6});
        const auto half = imageOf(device, 2, 1, 1), twice = imageOf(device, 8, 1, 1),
                   ends = imageOf(device, 2, 1, 1);
        MPS::NNResizeBilinear(device, 2, 1).encode(commands, source, half);
        MPS::NNResizeBilinear(device, 8, 1).encode(commands, source, twice);
        MPS::NNResizeBilinear(device, 2, 1, true).encode(commands, source, ends);
        finish(commands);
        EXPECT_EQ(read(*half), (Numbers{0, 4})) << device->name();
        EXPECT_EQ(read(*twice), (Numbers{0, 1, 2, 3, 4, 5, 6, 6})) << device->name();
        EXPECT_EQ(read(*ends), (Numbers{0, 6})) << device->name();
    }
}

TEST(ResizeKernel, AClipRectangleStartsAtTheOffset) {
    for (const auto& device : weightedDevices()) {
        MPS::NNResizeBilinear kernel(device, 4, 1);
        kernel.setOffset({1, 0, 0});
        kernel.setClipRect({{1, 0, 0}, {2, 1, 1}});
        const auto commands = device->newCommandQueue()->commandBuffer();
        const auto result = imageOf(device, 4, 1, 1, Numbers(4, -1));
        kernel.encode(commands, imageOf(device, 2, 1, 1, {1, 5}), result);
        finish(commands);
        EXPECT_EQ(read(*result), (Numbers{-1, 5, 5, -1})) << device->name();
    }
}

TEST(ResizeKernel, PropertiesCopiesAndStates) {
    const auto reference = MTL::copyDevice("reference");
    MPS::NNResizeBilinear kernel(reference, 3, 2);
    EXPECT_FALSE(kernel.alignCorners());
    kernel.setPadding(MPS::NNDefaultPadding::padding(MPS::NNPaddingMethodSizeFull));
    const auto image = imageOf(reference, 5, 4, 4);
    EXPECT_EQ(kernel.destinationImageDescriptor({image}).width, 3u);
    EXPECT_EQ(kernel.resultState(image, {}, imageOf(reference, 3, 2, 4)), nullptr) << "there is no gradient";
    for (const auto& device : weightedDevices()) {
        const auto copy = std::dynamic_pointer_cast<MPS::NNResizeBilinear>(
            MPS::NNResizeBilinear(reference, 3, 2, true).copy(device));
        ASSERT_TRUE(copy);
        EXPECT_EQ(copy->device(), device);
        EXPECT_EQ(copy->resizeHeight(), 2u);
        EXPECT_TRUE(copy->alignCorners());
        sameForward(std::make_shared<MPS::NNResizeBilinear>(device, 6, 5, true), anyImage(device, 3, 2, 8));
    }
}

TEST(CropAndResizeKernel, AgreesWithPyTorch) {
    for (const auto& device : weightedDevices())
        for (const auto all = fixture("resize"); const auto& c : all.at("cropCases")) {
            const auto regions = regionsOf(c.at("regions"));
            MPS::NNCropAndResizeBilinear kernel(device, c.at("resizeWidth"), c.at("resizeHeight"),
                                                regions.size(), regions.data());
            kernel.setDestinationImageAllocator(MPS::Image::defaultAllocator());
            const auto e = extentsOf(c.at("x"));
            const auto x = numbers(c.at("x"));
            const auto commands = device->newCommandQueue()->commandBuffer();
            // All pictures in one image, and a batch of images.
            const auto one = kernel.encode(commands, imageOf(device, e.w, e.h, e.c, x, Format::Float32, e.n));
            const auto batch = kernel.encodeBatch(commands, batchOf(device, e.n, e.w, e.h, e.c, x));
            finish(commands);
            EXPECT_EQ(one->numberOfImages(), e.n * regions.size());
            ASSERT_EQ(batch.size(), e.n);
            EXPECT_EQ(batch[0]->numberOfImages(), regions.size());
            EXPECT_TRUE(allNear(read(*one), numbers(c.at("y")), 4e-6)) << c.at("name") << device->name();
            EXPECT_EQ(read(batch), read(*one)) << c.at("name") << device->name();
        }
}

TEST(CropAndResizeKernel, RegionRAfterRegionOfEachPicture) {
    for (const auto& device : weightedDevices()) {
        MPS::NNCropAndResizeBilinear kernel(device, 2, 1, 2, kHalves);
        const auto source = imageOf(device, 5, 1, 1, {0, 1, 2, 3, 4, 10, 11, 12, 13, 14}, Format::Float32, 2);
        const auto result = imageOf(device, 2, 1, 1, Numbers(12, -1), Format::Float32, 6);
        // The first two pictures of the result stay as they are.
        kernel.setClipRect({{0, 0, 2}, {2, 1, 2}});
        const auto commands = device->newCommandQueue()->commandBuffer();
        kernel.encode(commands, source, result);
        finish(commands);
        EXPECT_EQ(read(*result), (Numbers{-1, -1, -1, -1, 0, 2, 2, 4, 10, 12, 12, 14})) << device->name();
    }
}

TEST(CropAndResizeKernel, PixelsOutsideAreZeroAndChannelsMayBeSlices) {
    for (const auto& device : weightedDevices()) {
        const MPS::Region region{{-0.5, 0, 0}, {2, 1, 1}};
        MPS::NNCropAndResizeBilinear kernel(device, 5, 1, 1, &region);
        kernel.setSourceFeatureChannelOffset(4);
        kernel.setDestinationFeatureChannelOffset(4);
        const auto commands = device->newCommandQueue()->commandBuffer();
        const auto source = imageOf(device, 3, 1, 5, {0, 0, 0, 0, 1, 0, 0, 0, 0, 2, 0, 0, 0, 0, 3});
        const auto result = imageOf(device, 5, 1, 5, Numbers(25, -1));
        kernel.encode(commands, source, result);
        finish(commands);
        const auto y = read(*result);
        EXPECT_EQ((Numbers{y[4], y[9], y[14], y[19], y[24]}), (Numbers{0, 1, 2, 3, 0})) << device->name();
        EXPECT_EQ(y[5], -1);
    }
}

TEST(CropAndResizeKernel, ARegionThatEndsOnTheLastPixelReadsItWhateverItsNumbersRoundTo) {
    for (const auto& device : weightedDevices()) {
        std::vector<MPS::Region> regions;
        for (int i = 1; i < 100; ++i) regions.push_back({{i / 100., 0, 0}, {1 - i / 100., 1, 1}});
        MPS::NNCropAndResizeBilinear kernel(device, 7, 1, regions.size(), regions.data());
        kernel.setDestinationImageAllocator(MPS::Image::defaultAllocator());
        const auto commands = device->newCommandQueue()->commandBuffer();
        const auto result = kernel.encode(commands, imageOf(device, 12, 1, 1, Numbers(12, 8)));
        finish(commands);
        EXPECT_TRUE(allNear(read(*result), Numbers(7 * 99, 8), 1e-6)) << device->name();
    }
}

TEST(CropAndResizeKernel, TheKernelKeepsItsOwnCopyOfTheRegions) {
    const auto device = MTL::copyDevice("reference");
    std::vector<MPS::Region> regions(kHalves, kHalves + 2);
    MPS::NNCropAndResizeBilinear kernel(device, 4, 3, regions.size(), regions.data());
    regions[1].origin.x = 7;
    EXPECT_EQ(kernel.numberOfRegions(), 2u);
    EXPECT_EQ(kernel.regions()[1].origin.x, 0.5);
    for (const auto& other : weightedDevices()) {
        const auto copy = std::dynamic_pointer_cast<MPS::NNCropAndResizeBilinear>(kernel.copy(other));
        ASSERT_TRUE(copy);
        EXPECT_EQ(copy->device(), other);
        EXPECT_EQ(copy->resizeWidth(), 4u);
        EXPECT_EQ(copy->resizeHeight(), 3u);
        EXPECT_EQ(copy->regions()[0].size.width, 0.5);
        const auto again = roundTrip(copy);
        EXPECT_EQ(again->regions()[1].origin.x, 0.5);
        EXPECT_EQ(again->numberOfRegions(), 2u);
    }
}

TEST(CropAndResizeKernel, EveryBatchFormReadsEachSourceOnce) {
    const auto commands = testQueue()->commandBuffer();
    MPS::NNCropAndResizeBilinear kernel(testDevice(), 2, 2, 2, kHalves);
    const MPS::ImageBatch sources{makeTemporary(commands, 3, 3, 1, 3), makeTemporary(commands, 3, 3, 1, 3)};
    const auto first = kernel.encodeBatch(commands, sources);
    MPS::StateBatch states{nullptr};
    const auto second = kernel.encodeBatch(commands, sources, &states, true);
    EXPECT_TRUE(states.empty());
    MPS::ImageBatch given;
    for (int i = 0; i < 2; ++i)
        given.push_back(std::make_shared<MPS::Image>(testDevice(), describe(2, 2, 1, 2)));
    kernel.encodeBatch(commands, sources, MPS::StateBatch{}, given);
    for (const auto& source : sources) EXPECT_EQ(temporary(source).readCount(), 0u);
    for (const auto& batch : {first, second})
        for (const auto& image : batch) {
            EXPECT_EQ(temporary(image).readCount(), 1u);
            temporary(image).setReadCount(0);
        }
    run(commands);
}
