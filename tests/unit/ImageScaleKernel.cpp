#include <MPS/ImageScale.hpp>
#include <limits>

#include "ArchiveRoundTrip.h"
#include "TestKernel.h"
#include "UnaryKernels.h"

using namespace pewter::test;
using pewter::test::finish;
using pewter::test::Format;
using pewter::test::ImagePtr;

namespace {

std::vector<std::shared_ptr<MPS::ImageScale>> kernelsOf(const DevicePtr& device) {
    return {std::make_shared<MPS::ImageBilinearScale>(device),
            std::make_shared<MPS::ImageLanczosScale>(device)};
}

/// One encode to a given size.
Numbers scaled(MPS::ImageScale& kernel, const ImagePtr& source, std::size_t width, std::size_t height,
               double untouched = 0) {
    const auto result = imageOf(kernel.device(), width, height, source->featureChannels(),
                                Numbers(width * height * source->featureChannels(), untouched));
    const auto commands = kernel.device()->newCommandQueue()->commandBuffer();
    kernel.encode(commands, source, result);
    finish(commands);
    return read(*result);
}

std::string messageOf(const std::function<void()>& call) {
    try {
        call();
    } catch (const MPS::Error& error) {
        return error.what();
    }
    return "no error";
}

}  // namespace

TEST(ImageScaleKernel, WithoutATransformTheSourceIsStretchedOverTheDestination) {
    for (const auto& device : weightedDevices()) {
        MPS::ImageBilinearScale bilinear(device);
        EXPECT_FALSE(bilinear.scaleTransform());
        // Centres of the doubled row lie at -1/4, 1/4, 3/4, 5/4 ...
        EXPECT_EQ(scaled(bilinear, imageOf(device, 3, 1, 1, {0, 4, 8}), 6, 1), (Numbers{0, 1, 3, 5, 7, 8}))
            << device->name();
        // Halved: between the pixels of each pair, in both axes.
        EXPECT_EQ(scaled(bilinear, imageOf(device, 2, 2, 2, {1, 10, 3, 30, 5, 50, 7, 70}), 1, 1),
                  (Numbers{4, 40}))
            << device->name();
        for (const auto& kernel : kernelsOf(device)) {
            const Numbers same{1, 2, 3, 4, 5, 6};
            EXPECT_EQ(scaled(*kernel, imageOf(device, 3, 1, 2, same), 3, 1), same) << device->name();
            EXPECT_TRUE(allNear(scaled(*kernel, imageOf(device, 4, 3, 1, Numbers(12, 5)), 7, 2),
                                Numbers(14, 5), 4 * std::numeric_limits<float>::epsilon()))
                << device->name();
        }
    }
}

TEST(ImageScaleKernel, LanczosGivesTheWeightsOfItsWindow) {
    // From 13 pixels to 26, an impulse in the middle; L at quarters, normalised.
    const double pi = std::acos(-1.0);
    const auto window = [&](double t) {
        return 3 * std::sin(pi * t) * std::sin(pi * t / 3) / (pi * pi * t * t);
    };
    double sum = 0;
    for (int j = -3; j < 3; ++j) sum += window(j + 0.25);
    Numbers row(13, 0), expected(26, 0);
    row[6] = 1;
    for (int k = 0; k < 3; ++k) {
        expected[static_cast<std::size_t>(12 - 2 * k)] = expected[static_cast<std::size_t>(13 + 2 * k)] =
            window(k + 0.25) / sum;
        expected[static_cast<std::size_t>(11 - 2 * k)] = expected[static_cast<std::size_t>(14 + 2 * k)] =
            window(k + 0.75) / sum;
    }
    for (const auto& device : weightedDevices()) {
        MPS::ImageLanczosScale kernel(device);
        EXPECT_TRUE(allNear(scaled(kernel, imageOf(device, 13, 1, 1, row), 26, 1), expected, 1e-6))
            << device->name();
    }
}

TEST(ImageScaleKernel, ATransformPlacesTheSourceInTheDestination) {
    for (const auto& device : weightedDevices())
        for (const auto& kernel : kernelsOf(device)) {
            const auto source = imageOf(device, 4, 2, 1, {1, 2, 3, 4, 5, 6, 7, 8});
            // Moved by whole pixels, the edge goes on; what leaves the destination is gone.
            kernel->setScaleTransform(MPS::ScaleTransform{1, 1, 1, -1});
            EXPECT_EQ(kernel->scaleTransform()->translateX, 1);
            EXPECT_EQ(scaled(*kernel, source, 3, 2), (Numbers{5, 5, 6, 5, 5, 6})) << device->name();
            // Mirrored: x' = 4 - x.
            kernel->setScaleTransform(MPS::ScaleTransform{-1, 1, 4, 0});
            EXPECT_EQ(scaled(*kernel, source, 4, 1), (Numbers{4, 3, 2, 1})) << device->name();
            // The transform that stretches is the one that is there without.
            kernel->setScaleTransform(MPS::ScaleTransform{2, 0.5, 0, 0});
            const auto by = scaled(*kernel, source, 8, 1);
            kernel->setScaleTransform(std::nullopt);
            EXPECT_TRUE(allNear(by, scaled(*kernel, source, 8, 1), 1e-6)) << device->name();
        }
}

TEST(ImageScaleKernel, AClipRectangleMasksAStretchAndIsTheOriginOfATransform) {
    for (const auto& device : weightedDevices())
        for (const auto& kernel : kernelsOf(device)) {
            const auto source = imageOf(device, 4, 1, 1, {1, 2, 3, 4});
            kernel->setClipRect({{1, 0, 0}, {2, 1, 1}});
            EXPECT_EQ(scaled(*kernel, source, 4, 1, -1), (Numbers{-1, 2, 3, -1})) << device->name();
            kernel->setScaleTransform(MPS::ScaleTransform{1, 1, 0, 0});
            EXPECT_EQ(scaled(*kernel, source, 4, 1, -1), (Numbers{-1, 1, 2, -1})) << device->name();
        }
}

TEST(ImageScaleKernel, BatchesAndReturnedImagesGiveTheSameBits) {
    Random random(151);
    const Extents e{3, 5, 4, 3};
    const auto values = uniform(random, e.count());
    for (const auto& device : weightedDevices())
        for (const auto& kernel : kernelsOf(device)) {
            kernel->setDestinationImageAllocator(MPS::Image::defaultAllocator());
            const auto commands = device->newCommandQueue()->commandBuffer();
            const auto together = imagesOf(device, e, values);
            const auto loose = imagesOf(device, e, values, Format::Float32, Memory::Loose);
            const auto first = batchOf(device, 3, 7, 2, 3, Numbers(3 * 42)),
                       second = batchOf(device, 3, 7, 2, 3, Numbers(3 * 42));
            kernel->encodeBatch(commands, together, first);
            kernel->encodeBatch(commands, loose, second);
            const auto same = kernel->encodeBatch(commands, together);
            finish(commands);
            EXPECT_EQ(read(first), read(second)) << device->name();
            EXPECT_EQ(read(same), read(together)) << device->name();
            EXPECT_EQ(scaled(*kernel, loose[1], 7, 2), read(*first[1])) << device->name();
            MPS::StateBatch states{nullptr};
            kernel->encodeBatch(device->newCommandQueue()->commandBuffer(), together, &states, false);
            EXPECT_TRUE(states.empty());
        }
}

TEST(ImageScaleKernel, TypesAreConvertedAndTemporariesLoseARead) {
    for (const auto& device : weightedDevices())
        for (const auto& kernel : kernelsOf(device)) {
            const auto commands = device->newCommandQueue()->commandBuffer();
            const auto source = MPS::TemporaryImage::temporaryImage(
                commands, MPS::ImageDescriptor::imageDescriptor(Format::Float16, 2, 1, 1));
            const auto result = imageOf(device, 2, 1, 1, {0, 0}, Format::Float32);
            MPS::ImageBilinearScale(device).encode(commands, imageOf(device, 2, 1, 1, {1, 3}), source);
            EXPECT_EQ(source->readCount(), 1u);
            kernel->encode(commands, source, result);
            EXPECT_EQ(source->readCount(), 0u);
            finish(commands);
            EXPECT_EQ(read(*result), (Numbers{1, 3})) << device->name();
        }
}

TEST(ImageScaleKernel, CopiesKeepTheTransformAndMayMove) {
    const auto reference = MTL::copyDevice("reference");
    for (const auto& device : weightedDevices())
        for (const auto& kernel : kernelsOf(reference)) {
            kernel->setScaleTransform(MPS::ScaleTransform{2, 2, -2, 0});
            const auto copy = std::dynamic_pointer_cast<MPS::ImageScale>(kernel->copy(device));
            ASSERT_NE(copy, nullptr);
            EXPECT_STREQ(copy->className(), kernel->className());
            EXPECT_EQ(copy->device(), device);
            const Numbers values{1, 2, 3, 4};
            EXPECT_TRUE(allNear(scaled(*copy, imageOf(device, 4, 1, 1, values), 4, 1),
                                scaled(*kernel, imageOf(reference, 4, 1, 1, values), 4, 1), 1e-6));
        }
}

TEST(ImageScaleKernel, ArchivesKeepTheTransformOrThatThereIsNone) {
    const auto device = MTL::copyDevice("reference");
    const auto lanczos = std::make_shared<MPS::ImageLanczosScale>(device);
    EXPECT_FALSE(roundTrip(lanczos)->scaleTransform());
    lanczos->setScaleTransform(MPS::ScaleTransform{2, -0.5, 3, 0.25});
    const auto again = roundTrip(lanczos);
    ASSERT_TRUE(again->scaleTransform());
    EXPECT_EQ(again->scaleTransform()->scaleX, 2);
    EXPECT_EQ(again->scaleTransform()->scaleY, -0.5);
    EXPECT_EQ(again->scaleTransform()->translateX, 3);
    EXPECT_EQ(again->scaleTransform()->translateY, 0.25);
    EXPECT_FALSE(roundTrip(std::make_shared<MPS::ImageBilinearScale>(device))->scaleTransform());
}

TEST(ImageScaleKernel, TransformsThatPlaceNothingAreRefusedByName) {
    const auto device = MTL::copyDevice("reference");
    MPS::ImageLanczosScale kernel(device);
    kernel.setLabel("thumbnail");
    const double nan = std::numeric_limits<double>::quiet_NaN(), infinity = HUGE_VAL;
    for (const double scale : {0.0, 1e-6, -1e-6, 1e9, nan, infinity})
        EXPECT_THAT(messageOf([&] {
                        kernel.setScaleTransform(MPS::ScaleTransform{1, scale, 0, 0});
                    }),
                    testing::AllOf(HasSubstr("thumbnail"), HasSubstr("scaleTransform"), HasSubstr("2^-16")));
    for (const double translation : {nan, infinity})
        EXPECT_THAT(messageOf([&] {
                        kernel.setScaleTransform(MPS::ScaleTransform{1, 1, translation, 0});
                    }),
                    HasSubstr("finite translations"));
    EXPECT_FALSE(kernel.scaleTransform());
}
