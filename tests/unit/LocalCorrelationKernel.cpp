#include <MPS/NNLocalCorrelation.hpp>

#include "ArchiveRoundTrip.h"
#include "UnaryKernels.h"

using namespace pewter::test;
using testing::AllOf;

namespace {

/// Encodes a batch in both ways and reads the results, which must agree.
Numbers correlate(MPS::NNLocalCorrelation& kernel, const MPS::ImageBatch& a, const MPS::ImageBatch& b) {
    const auto device = kernel.device();
    const auto commands = device->newCommandQueue()->commandBuffer();
    kernel.setDestinationImageAllocator(MPS::Image::defaultAllocator());
    const auto returned = kernel.encodeBatch(commands, a, b);
    MPS::ImageBatch given;
    for (const auto& image : returned)
        given.push_back(imageOf(device, image->width(), image->height(), image->featureChannels(),
                                Numbers(image->width() * image->height() * image->featureChannels(), 7)));
    kernel.encodeBatch(commands, a, b, given);
    finish(commands);
    const auto values = read(returned);
    EXPECT_EQ(read(given), values);
    return values;
}

}  // namespace

TEST(LocalCorrelationKernel, AgreesWithPyTorch) {
    for (const auto& device : weightedDevices())
        for (const auto all = fixture("local_correlation"); const auto& c : all.at("cases")) {
            MPS::NNLocalCorrelation kernel(device, c.at("windowInX"), c.at("windowInY"), c.at("strideInX"),
                                           c.at("strideInY"));
            if (c.at("edgeMode") == "Clamp") kernel.setSecondaryEdgeMode(MPS::ImageEdgeMode::Clamp);
            for (const auto memory : {Memory::Together, Memory::Loose}) {
                const auto e = extentsOf(c.at("primary"));
                const auto y =
                    correlate(kernel, imagesOf(device, e, numbers(c.at("primary")), Format::Float32, memory),
                              imagesOf(device, e, numbers(c.at("secondary")), Format::Float32, memory));
                EXPECT_TRUE(allNear(y, numbers(c.at("y")), 1e-5)) << c.at("name") << " on " << device->name();
            }
        }
}

TEST(LocalCorrelationKernel, IntegersAreExactAndShiftsAlongXRunFastest) {
    for (const auto& device : weightedDevices()) {
        MPS::NNLocalCorrelation kernel(device, 1, 0, 1, 1);
        EXPECT_EQ(correlate(kernel, {imageOf(device, 3, 1, 1, {1, 2, 3})},
                            {imageOf(device, 3, 1, 1, {10, 20, 30})}),
                  (Numbers{0, 10, 20, 20, 40, 60, 60, 90, 0}))
            << device->name();
    }
}

TEST(LocalCorrelationKernel, DefaultsAreNoWindowAndStrideOne) {
    const auto device = MTL::copyDevice("reference");
    MPS::NNLocalCorrelation kernel(device);
    EXPECT_EQ(kernel.windowInX(), 0u);
    EXPECT_EQ(kernel.windowInY(), 0u);
    EXPECT_EQ(kernel.strideInX(), 1u);
    EXPECT_EQ(kernel.strideInY(), 1u);
    EXPECT_EQ(
        correlate(kernel, {imageOf(device, 1, 1, 3, {1, 2, 3})}, {imageOf(device, 1, 1, 3, {1, 10, 100})}),
        (Numbers{321}));
    kernel.setWindowInX(2), kernel.setWindowInY(1), kernel.setStrideInX(3), kernel.setStrideInY(2);
    const auto copy =
        std::dynamic_pointer_cast<MPS::NNLocalCorrelation>(kernel.copy(weightedDevices().back()));
    ASSERT_TRUE(copy);
    EXPECT_EQ(copy->device(), weightedDevices().back());
    EXPECT_EQ(copy->windowInX(), 2u);
    EXPECT_EQ(copy->windowInY(), 1u);
    EXPECT_EQ(copy->strideInX(), 3u);
    EXPECT_EQ(copy->strideInY(), 2u);
}

TEST(LocalCorrelationKernel, SourceRectanglesSayWhereBothBeginAndShiftsMayLeaveThem) {
    for (const auto& device : weightedDevices()) {
        MPS::NNLocalCorrelation kernel(device, 1, 0, 1, 1);
        kernel.setPrimarySourceClipRect({{1, 0, 0}, {2, 1, 1}});
        kernel.setSecondarySourceClipRect({{2, 0, 0}, {2, 1, 1}});
        EXPECT_EQ(correlate(kernel, {imageOf(device, 3, 1, 1, {9, 1, 2})},
                            {imageOf(device, 4, 1, 1, {5, 10, 20, 30})}),
                  (Numbers{10, 20, 30, 40, 60, 0}))
            << device->name();
    }
}

TEST(LocalCorrelationKernel, ImagesOfAContainerAreTakenFromTheRectanglesOn) {
    for (const auto& device : weightedDevices()) {
        MPS::NNLocalCorrelation kernel(device);
        kernel.setPrimarySourceClipRect({{0, 0, 1}, {1, 1, 2}});
        const auto a = imageOf(device, 1, 1, 1, {1, 2, 3}, Format::Float32, 3),
                   b = imageOf(device, 1, 1, 1, {10, 100, 1000}, Format::Float32, 3),
                   y = imageOf(device, 1, 1, 1, {0, 0}, Format::Float32, 2);
        const auto commands = device->newCommandQueue()->commandBuffer();
        kernel.encode(commands, a, b, y);
        finish(commands);
        EXPECT_EQ(read(*y), (Numbers{20, 300})) << device->name();
    }
}

TEST(LocalCorrelationKernel, EachTemporarySourceLosesOneRead) {
    const auto device = MTL::copyDevice("reference");
    const auto commands = device->newCommandQueue()->commandBuffer();
    const auto three = MPS::ImageDescriptor::imageDescriptor(Format::Float32, 2, 2, 3);
    const auto a = MPS::TemporaryImage::temporaryImage(commands, three),
               b = MPS::TemporaryImage::temporaryImage(commands, three);
    a->setReadCount(2), b->setReadCount(1);
    MPS::NNLocalCorrelation kernel(device, 1, 1, 1, 1);
    const auto y = imageOf(device, 2, 2, 9);
    kernel.encode(commands, a, b, y);
    EXPECT_EQ(a->readCount(), 1u);
    EXPECT_EQ(b->readCount(), 0u);
    a->setReadCount(0);
    finish(commands);
}

TEST(LocalCorrelationKernel, RefusalsNameKernelArgumentExpectedAndFound) {
    const auto device = MTL::copyDevice("reference");
    EXPECT_THAT(sentenceOf([&] { MPS::NNLocalCorrelation(device, 1, 1, 0, 1); }),
                HasSubstr("NNLocalCorrelation: strideInX: expected at least 1, found 0"));
    MPS::NNLocalCorrelation kernel(device, 1, 1, 1, 1);
    kernel.setLabel("flow");
    EXPECT_THAT(sentenceOf([&] { kernel.setStrideInY(0); }), HasSubstr("'flow': strideInY"));
    EXPECT_EQ(kernel.strideInY(), 1u);
    const auto commands = device->newCommandQueue()->commandBuffer();
    const auto a = imageOf(device, 3, 2, 4, Numbers(24, 1)), y = imageOf(device, 3, 2, 9);
    EXPECT_THAT(sentenceOf([&] { kernel.encode(commands, a, imageOf(device, 3, 2, 5), y); }),
                AllOf(HasSubstr("secondaryImage: expected 4 feature channels"), HasSubstr("found 5")));
    EXPECT_THAT(sentenceOf([&] { kernel.encode(commands, a, imageOf(device, 4, 2, 4), y); }),
                AllOf(HasSubstr("secondarySourceClipRect: expected 3 x 2 pixels"), HasSubstr("found 4 x 2")));
    EXPECT_THAT(sentenceOf([&] { kernel.encode(commands, a, a, imageOf(device, 3, 2, 8)); }),
                HasSubstr("destinationImage"));
    kernel.setSecondaryEdgeMode(MPS::ImageEdgeMode::Mirror);
    EXPECT_THAT(sentenceOf([&] { kernel.encode(commands, a, a, y); }), HasSubstr("secondaryEdgeMode"));
    kernel.setSecondaryEdgeMode(MPS::ImageEdgeMode::Zero);
    kernel.encode(commands, a, a, y);
    finish(commands);
    EXPECT_EQ(read(*y)[4], 4);
}

TEST(LocalCorrelationKernel, ArchivesHoldWindowsStridesAndRectangles) {
    for (const auto& device : weightedDevices()) {
        const auto kernel = std::make_shared<MPS::NNLocalCorrelation>(device, 2, 1, 3, 2);
        kernel->setPrimarySourceClipRect({{1, 0, 0}, {2, 3, 1}});
        const auto again = roundTrip(kernel);
        EXPECT_EQ(again->windowInX(), 2u);
        EXPECT_EQ(again->windowInY(), 1u);
        EXPECT_EQ(again->strideInX(), 3u);
        EXPECT_EQ(again->strideInY(), 2u);
        EXPECT_EQ(again->primarySourceClipRect().size.height, 3u);
    }
}
