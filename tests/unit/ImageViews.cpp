#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <thread>

#include "TestKernel.h"

using namespace pewter::test;
using MPS::PurgeableState;
using testing::HasSubstr;

namespace {

const MTL::Region kTwoByTwo{{0, 0, 0}, {2, 2, 1}};

std::shared_ptr<MTL::Texture> texture(MTL::PixelFormat format, std::size_t w, std::size_t h, std::size_t slices) {
    MTL::TextureDescriptor d;
    d.textureType = slices > 1 ? MTL::TextureType::Texture2DArray : MTL::TextureType::Texture2D;
    d.pixelFormat = format;
    d.width = w;
    d.height = h;
    d.arrayLength = slices;
    return testDevice()->newTexture(d);
}

}  // namespace

TEST(ImageDescriptor, ItsDefaultsAreOnePixelOfOneChannelToReadAndWrite) {
    const ImageDescriptor d;
    EXPECT_EQ(d.width * d.height * d.featureChannels * d.numberOfImages, 1u);
    EXPECT_EQ(d.channelFormat, Format::None);
    EXPECT_EQ(d.usage, MTL::TextureUsageShaderRead | MTL::TextureUsageShaderWrite);
    EXPECT_EQ(MPS::Image(testDevice(), d).featureChannelFormat(), Format::Float16);
    const auto full = ImageDescriptor::imageDescriptor(Format::Unorm8, 2, 3, 4, 5, MTL::TextureUsageShaderRead);
    EXPECT_EQ(full.numberOfImages, 5u);
    EXPECT_EQ(full.usage, MTL::TextureUsageShaderRead);
}

TEST(ImageDescriptor, ThePixelFormatFollowsFormatAndChannels) {
    const auto raw = [](Format format, std::size_t c) {
        return static_cast<int>(ImageDescriptor::imageDescriptor(format, 1, 1, c).pixelFormat());
    };
    const std::vector<std::tuple<Format, int, int, int>> rows{{Format::Unorm8, 10, 30, 70},
                                                              {Format::Unorm16, 20, 60, 110},
                                                              {Format::Float16, 25, 65, 115},
                                                              {Format::Float32, 55, 105, 125}};
    for (const auto& [format, one, two, four] : rows) {
        EXPECT_EQ(raw(format, 1), one);
        EXPECT_EQ(raw(format, 2), two);
        for (const std::size_t c : {3u, 4u, 9u}) EXPECT_EQ(raw(format, c), four);
    }
    EXPECT_EQ(raw(Format::BFloat16, 4), 0);
}

TEST(Image, ItsPropertiesFollowTheDescriptor) {
    const MPS::Image image(testDevice(), describe(7, 5, 6, 2, Format::Float16));
    EXPECT_EQ(image.width(), 7u);
    EXPECT_EQ(image.height(), 5u);
    EXPECT_EQ(image.featureChannels(), 6u);
    EXPECT_EQ(image.numberOfImages(), 2u);
    EXPECT_EQ(image.textureType(), MTL::TextureType::Texture2DArray);
    EXPECT_EQ(image.pixelFormat(), MTL::PixelFormat::RGBA16Float);
    EXPECT_EQ(image.pixelSize(), 8u);
    EXPECT_EQ(image.description(), "Image: 7 x 5 x 6, 2 images, float16");
    EXPECT_EQ(image.parent(), nullptr);
    EXPECT_EQ(MPS::Image(testDevice(), describe(1, 1, 4)).textureType(), MTL::TextureType::Texture2D);
    EXPECT_EQ(MPS::Image(testDevice(), describe(1, 1, 4, 2)).textureType(), MTL::TextureType::Texture2DArray);
}

TEST(Image, PrecisionIsTheNumberOfSignificantBits) {
    const auto precision = [](Format f) { return MPS::Image(testDevice(), describe(1, 1, 1, 1, f)).precision(); };
    EXPECT_EQ(precision(Format::Unorm8), 8u);
    EXPECT_EQ(precision(Format::Unorm16), 16u);
    EXPECT_EQ(precision(Format::Float16), 11u);
    EXPECT_EQ(precision(Format::BFloat16), 8u);
    EXPECT_EQ(precision(Format::Float32), 24u);
    EXPECT_EQ(precision(Format::Float64), 53u);
}

TEST(Image, ItsTypeTellsAShaderTheShapeOfItsTexture) {
    const auto type = [](std::size_t c, std::size_t n, Format f = Format::Float32) {
        return MPS::GetImageType(MPS::Image(testDevice(), describe(1, 1, c, n, f)));
    };
    EXPECT_EQ(type(4, 1), MPS::ImageType2d);
    EXPECT_EQ(type(5, 1), MPS::ImageType2d_array);
    EXPECT_EQ(type(4, 2), MPS::ImageTypeArray2d);
    EXPECT_EQ(type(5, 2), MPS::ImageTypeArray2d_array);
    EXPECT_EQ(type(2, 1, Format::Float16), MPS::ImageTypeNoAlpha | MPS::ImageTypeTexelFormatFloat16);
    EXPECT_EQ(type(3, 1, Format::Unorm8), MPS::ImageTypeTexelFormatUnorm8);
}

TEST(Image, ZeroExtentsReservedFormatsAndSizesBeyondTheDeviceAreRefused) {
    const auto make = [](const ImageDescriptor& d) { return errorOf([&] { MPS::Image(testDevice(), d); }); };
    EXPECT_THAT(make(describe(0, 1, 1)), HasSubstr("0 x 1 x 1"));
    EXPECT_THAT(make(describe(1, 1, 0)), HasSubstr("at least one pixel, channel and image"));
    EXPECT_THAT(make(describe(1, 1, 1, 0)), HasSubstr("0 images"));
    EXPECT_THAT(make(describe(1, 1, 1, 1, Format::_reserved0)), HasSubstr("ImageFeatureChannelFormat 5"));
    const auto huge = std::numeric_limits<std::size_t>::max() / 2;
    EXPECT_THAT(make(describe(huge, huge, 1)), HasSubstr("bytes"));
    EXPECT_THAT(errorOf([] { MPS::Image(nullptr, describe(1, 1, 1)); }), HasSubstr("device"));
}

TEST(Image, StorageComesWithTheFirstUseAndCostsNothingBefore) {
    const auto before = testDevice()->currentAllocatedSize();
    const auto count = testDevice()->systemAllocationCount();
    MPS::Image image(testDevice(), describe(1024, 1024, 16));
    EXPECT_EQ(image.resourceSize(), 1024u * 1024 * 16 * 4);
    EXPECT_EQ(image.setPurgeableState(PurgeableState::Volatile), PurgeableState::AllocationDeferred);
    EXPECT_EQ(image.textureType(), MTL::TextureType::Texture2DArray);
    EXPECT_EQ(testDevice()->currentAllocatedSize(), before);
    EXPECT_EQ(testDevice()->systemAllocationCount(), count);
    image.texture();
    EXPECT_EQ(image.setPurgeableState(PurgeableState::Volatile), PurgeableState::NonVolatile);
    EXPECT_EQ(image.setPurgeableState(PurgeableState::AllocationDeferred), PurgeableState::Volatile);
    EXPECT_EQ(image.setPurgeableState(PurgeableState::KeepCurrent), PurgeableState::Volatile);
}

TEST(Image, ResourceSizeIsRoundedToTheGranularityOfHeaps) {
    EXPECT_EQ(makeImage(1, 1, 1)->resourceSize(), 64u);
    EXPECT_EQ(makeImage(4, 4, 1)->resourceSize(), 64u);
    EXPECT_EQ(makeImage(17, 1, 1)->resourceSize(), 128u);
    const auto a = makeImage(4, 4, 1), b = makeImage(4, 4, 2);
    EXPECT_EQ(MPS::ImageBatchResourceSize({a, b, a}), 64u + 128);
}

TEST(Image, TwoThreadsMayTouchItFirst) {
    for (int i = 0; i < 50; ++i) {
        const auto image = std::make_shared<MPS::Image>(testDevice(), describe(8, 8, 1));
        std::shared_ptr<MTL::Texture> a, b;
        std::thread other([&] { a = image->texture(); });
        b = image->texture();
        other.join();
        const auto values = counting(64);
        a->replaceRegion({{0, 0, 0}, {8, 8, 1}}, 0, 0, values.data(), 32, 0);
        std::vector<float> back(64);
        b->getBytes(back.data(), 32, 0, {{0, 0, 0}, {8, 8, 1}}, 0, 0);
        ASSERT_EQ(back, values);
    }
}

TEST(Image, BatchFunctionsVisitDistinctImagesInOrder) {
    const auto a = makeImage(1, 1, 1), b = makeImage(1, 1, 1);
    constexpr auto goOn = std::numeric_limits<std::int64_t>::min();
    std::vector<std::size_t> seen;
    EXPECT_EQ(MPS::ImageBatchIterate({a, b, a, b}, [&](const ImagePtr&, std::size_t i) {
                  seen.push_back(i);
                  return goOn;
              }),
              goOn);
    EXPECT_EQ(seen, (std::vector<std::size_t>{0, 1}));
    EXPECT_EQ(MPS::ImageBatchIterate({a, b}, [](const ImagePtr&, std::size_t) { return 42; }), 42);
    EXPECT_EQ(MPS::ImageBatchIterate({}, [](const ImagePtr&, std::size_t) { return 1; }), goOn);
    EXPECT_THAT(errorOf([&] { MPS::ImageBatchResourceSize({a, nullptr}); }), HasSubstr("null at index 1"));
}

TEST(Image, SynchronizingKeepsItAliveAndNeedsACommandBuffer) {
    auto image = makeImage(2, 2, 1);
    const std::weak_ptr<MPS::Image> weak = image;
    EXPECT_THAT(errorOf([&] { image->synchronize(nullptr); }), HasSubstr("commandBuffer"));
    const auto commands = testQueue()->commandBuffer();
    MPS::ImageBatchSynchronize({image}, commands);
    image.reset();
    EXPECT_FALSE(weak.expired());
    run(commands);
    EXPECT_TRUE(weak.expired());
}

TEST(ImageViews, ASubImageSharesTexelsBothWays) {
    const auto parent = makeImage(2, 2, 10);
    const auto view = parent->subImage({4, 4});
    EXPECT_EQ(view->featureChannels(), 4u);
    EXPECT_EQ(view->parent(), parent);
    EXPECT_EQ(view->resourceSize(), 0u);
    EXPECT_EQ(readFloats(*view), (std::vector<float>{4, 5, 6, 7, 14, 15, 16, 17, 24, 25, 26, 27, 34, 35, 36, 37}));
    writeFloats(*view, std::vector<float>(16, -1));
    const auto all = readFloats(*parent);
    for (std::size_t i = 0; i < 40; ++i) EXPECT_EQ(all[i], i % 10 >= 4 && i % 10 < 8 ? -1 : static_cast<float>(i));
    writeFloats(*parent, std::vector<float>(40, 2));
    EXPECT_EQ(readFloats(*view), std::vector<float>(16, 2));
}

TEST(ImageViews, ALengthBeyondTheEndIsCutToWhatThereIs) {
    const auto parent = makeImage(1, 1, 10);
    EXPECT_EQ(parent->subImage({8, 4})->featureChannels(), 2u);
    EXPECT_EQ(parent->subImage({4, 400})->featureChannels(), 6u);
    EXPECT_EQ(readFloats(*parent->subImage({4, 400})->subImage({4, 4})), (std::vector<float>{8, 9}));
}

TEST(ImageViews, RangesThatAreNoMultiplesOfFourOrOutsideAreRefused) {
    const auto parent = makeImage(1, 1, 10);
    for (const auto range : {MPS::Range{2, 4}, {4, 3}, {12, 4}, {0, 0}})
        EXPECT_THAT(errorOf([&] { parent->subImage(range); }), HasSubstr("featureChannelRange"));
    EXPECT_THAT(errorOf([] { makeImage(1, 1, 8, 0, 2)->subImage({0, 4}); }), HasSubstr("numberOfImages"));
    const auto several = makeImage(1, 1, 1, 0, 3);
    EXPECT_THAT(errorOf([&] { several->batchRepresentation({1, 3}); }), HasSubstr("3 from 1"));
    EXPECT_THAT(errorOf([&] { several->batchRepresentation({1, 0}); }), HasSubstr("subRange"));
}

TEST(ImageViews, ABatchViewShowsEachImage) {
    const auto parent = makeImage(2, 1, 5, 0, 3);
    const auto batch = parent->batchRepresentation();
    ASSERT_EQ(batch.size(), 3u);
    for (std::size_t n = 0; n < 3; ++n) {
        EXPECT_EQ(batch[n]->numberOfImages(), 1u);
        EXPECT_EQ(readFloats(*batch[n]), counting(10, static_cast<float>(10 * n)));
    }
    EXPECT_EQ(readFloats(*parent->batchRepresentation({2, 1}).front()), counting(10, 20));
    writeFloats(*batch[1], std::vector<float>(10, -1));
    EXPECT_EQ(readFloats(*parent)[10], -1);
    EXPECT_EQ(readFloats(*parent)[20], 20);
}

TEST(ImageViews, AViewKeepsItsParentAlive) {
    ImagePtr view;
    { view = makeImage(2, 2, 8)->subImage({4, 4}); }
    EXPECT_EQ(readFloats(*view)[0], 4);
}

TEST(ImageViews, TheViewsOfOneCallTogetherHoldOneReadOfATemporary) {
    const auto commands = testQueue()->commandBuffer();
    CopyKernel kernel;
    const auto parent = MPS::TemporaryImage::temporaryImage(commands, describe(2, 2, 1, 3));
    parent->setReadCount(2);
    kernel.encode(commands, makeImage(2, 2, 1, 0, 3), parent);
    const auto views = parent->batchRepresentation();
    EXPECT_EQ(parent->readCount(), 2u);
    const MPS::ImageBatch results{makeImage(2, 2, 1), makeImage(2, 2, 1), makeImage(2, 2, 1)};
    EXPECT_EQ(temporary(views[0]).readCount(), 1u);
    kernel.encode(commands, views[0], results[0]);
    kernel.encode(commands, views[2], results[2]);
    EXPECT_EQ(parent->readCount(), 2u);
    kernel.encode(commands, views[1], results[1]);
    EXPECT_EQ(parent->readCount(), 1u);
    const auto whole = makeImage(2, 2, 1, 0, 3);
    kernel.encode(commands, parent, whole);
    EXPECT_EQ(Recorded(commands).liveBytes, 0u);
    EXPECT_THAT(errorOf([&] { parent->batchRepresentation(); }), HasSubstr("at least 1 for a view"));
    run(commands);
    EXPECT_EQ(readFloats(*results[2]), counting(4, 8));
    EXPECT_EQ(readFloats(*whole), counting(12));
}

TEST(ImageViews, AViewOfASpentTemporaryIsRefusedByEncodes) {
    const auto commands = testQueue()->commandBuffer();
    CopyKernel kernel;
    const auto parent = makeTemporary(commands, 2, 2, 8);
    kernel.encode(commands, makeImage(2, 2, 8), parent);
    const auto view = parent->subImage({0, 4});
    parent->setReadCount(0);
    EXPECT_THAT(errorOf([&] { kernel.encode(commands, view, makeImage(2, 2, 4)); }), HasSubstr("read count"));
    EXPECT_THAT(errorOf([&] { kernel.encode(commands, makeImage(2, 2, 4), view); }), HasSubstr("read count"));
    temporary(view).setReadCount(0);
}

TEST(ImageTexture, AFaceShowsTheImageFourChannelsASlice) {
    const auto image = makeImage(2, 2, 6, 0, 2);
    const auto face = image->texture();
    EXPECT_EQ(face->arrayLength(), 4u);
    EXPECT_EQ(face->pixelFormat(), MTL::PixelFormat::RGBA32Float);
    std::vector<float> slice(16, -1);
    face->getBytes(slice.data(), 32, 0, kTwoByTwo, 0, 3);
    EXPECT_EQ(slice, (std::vector<float>{28, 29, 0, 0, 34, 35, 0, 0, 40, 41, 0, 0, 46, 47, 0, 0}));
    const std::vector<float> nines(16, 9);
    face->replaceRegion(kTwoByTwo, 0, 3, nines.data(), 32, 0);
    const auto all = readFloats(*image);
    EXPECT_EQ(all[24 + 4], 9);
    EXPECT_EQ(all[24 + 6], 30) << "the lanes beyond the channels belong to nobody";
    EXPECT_THAT(errorOf([] { MPS::Image(testDevice(), describe(1, 1, 1, 1, Format::BFloat16)).texture(); }),
                HasSubstr("bfloat16"));
}

TEST(ImageTexture, AnImageAroundATextureSharesItsMemory) {
    const auto t = texture(MTL::PixelFormat::RGBA32Float, 2, 2, 4);
    for (std::size_t s = 0; s < 4; ++s) {
        const auto v = counting(16, static_cast<float>(100 * s));
        t->replaceRegion(kTwoByTwo, 0, s, v.data(), 32, 0);
    }
    MPS::Image whole(t, 16), pair(t, 8), three(t, 7);
    EXPECT_EQ(whole.numberOfImages(), 1u);
    EXPECT_EQ(whole.resourceSize(), 0u);
    EXPECT_EQ(pair.numberOfImages(), 2u);
    EXPECT_EQ(readFloats(whole)[16 + 4], 104);
    EXPECT_EQ(readFloats(pair)[4 * 8 + 8 + 1], 205);
    EXPECT_EQ(readFloats(three)[4 * 7 + 7 + 6], 306);
    std::vector<float> back(16);
    writeFloats(pair, counting(64));
    t->getBytes(back.data(), 32, 0, kTwoByTwo, 0, 3);
    EXPECT_EQ(back[4], 32 + 8 + 4);
}

TEST(ImageTexture, AnArrayOfOneChannelSlicesHoldsImagesOfOneChannel) {
    const auto t = texture(MTL::PixelFormat::R32Float, 2, 2, 3);
    for (std::size_t s = 0; s < 3; ++s) {
        const auto v = counting(4, static_cast<float>(10 * s));
        t->replaceRegion(kTwoByTwo, 0, s, v.data(), 8, 0);
    }
    MPS::Image image(t, 1);
    EXPECT_EQ(image.numberOfImages(), 3u);
    EXPECT_EQ(readFloats(image), (std::vector<float>{0, 1, 2, 3, 10, 11, 12, 13, 20, 21, 22, 23}));
}

TEST(ImageTexture, TheFaceOfAnImageThatHoldsSeveralIsWrappedAgain) {
    const auto image = makeImage(2, 2, 6, 0, 2);
    MPS::Image again(image->texture(), 6);
    EXPECT_EQ(again.numberOfImages(), 2u);
    EXPECT_EQ(readFloats(again), readFloats(*image));
}

TEST(ImageTexture, ChannelsThatTheTextureDoesNotHaveAreRefused) {
    EXPECT_THAT(errorOf([] { MPS::Image(texture(MTL::PixelFormat::RGBA8Unorm, 2, 2, 1), 5); }),
                HasSubstr("at most 4 for a 2D texture"));
    EXPECT_THAT(errorOf([] { MPS::Image(texture(MTL::PixelFormat::RG8Unorm, 2, 2, 1), 3); }), HasSubstr("at most 2"));
    EXPECT_THAT(errorOf([] { MPS::Image(texture(MTL::PixelFormat::RGBA8Unorm, 2, 2, 3), 8); }),
                HasSubstr("divide the array length 3"));
    EXPECT_THAT(errorOf([] { MPS::Image(texture(MTL::PixelFormat::R8Unorm, 2, 2, 4), 4); }),
                HasSubstr("channels that the texture has"));
    EXPECT_THAT(errorOf([] { MPS::Image(makeImage(2, 2, 5)->texture(), 8); }), HasSubstr("5 channels in 2 slices"));
    EXPECT_THAT(errorOf([] { MPS::Image(makeImage(2, 2, 3)->texture(), 4); }), HasSubstr("3 channels in 1 slices"));
    EXPECT_THAT(errorOf([] { MPS::Image(makeImage(2, 2, 8, 0, 2)->texture(), 4); }), HasSubstr("2 images of 8"));
    EXPECT_THAT(errorOf([] { MPS::Image(texture(MTL::PixelFormat::R8Unorm, 2, 2, 1), 0); }), HasSubstr("at least 1"));
    EXPECT_THAT(errorOf([] { MPS::Image(std::shared_ptr<MTL::Texture>(), 1); }), HasSubstr("null"));
}

TEST(ImageTexture, TemporariesFromTextureDescriptorsInferTheirChannels) {
    const auto commands = testQueue()->commandBuffer();
    MTL::TextureDescriptor d;
    d.textureType = MTL::TextureType::Texture2DArray;
    d.pixelFormat = MTL::PixelFormat::RGBA16Float;
    d.width = 3;
    d.height = 2;
    d.arrayLength = 4;
    d.storageMode = MTL::StorageMode::Private;
    const auto inferred = MPS::TemporaryImage::temporaryImage(commands, d);
    EXPECT_EQ(inferred->featureChannels(), 4u);
    EXPECT_EQ(inferred->numberOfImages(), 4u);
    EXPECT_EQ(inferred->featureChannelFormat(), Format::Float16);
    EXPECT_EQ(inferred->readCount(), 1u);
    const auto given = MPS::TemporaryImage::temporaryImage(commands, d, 7);
    EXPECT_EQ(given->numberOfImages(), 2u);
    inferred->setReadCount(0);
    given->setReadCount(0);
    const auto refuse = [&](const MTL::TextureDescriptor& wrong, std::size_t channels) {
        return errorOf([&] { MPS::TemporaryImage::temporaryImage(commands, wrong, channels); });
    };
    EXPECT_THAT(refuse(d, 12), HasSubstr("divide the array length 4"));
    auto wrong = d;
    wrong.storageMode = MTL::StorageMode::Shared;
    EXPECT_THAT(refuse(wrong, 4), HasSubstr("private storage and depth 1"));
    wrong = d;
    wrong.depth = 2;
    EXPECT_THAT(refuse(wrong, 4), HasSubstr("depth 2"));
    wrong = d;
    wrong.usage = MTL::TextureUsageRenderTarget;
    EXPECT_THAT(refuse(wrong, 4), HasSubstr("ShaderRead or ShaderWrite"));
    EXPECT_THAT(errorOf([&] { MPS::TemporaryImage::temporaryImage(nullptr, describe(1, 1, 1)); }), HasSubstr("null"));
}

TEST(ImageAllocator, TheDefaultsMakePlainAndTemporaryImages) {
    const auto commands = testQueue()->commandBuffer();
    EXPECT_EQ(MPS::Image::defaultAllocator(), MPS::Image::defaultAllocator());
    const auto plain = MPS::Image::defaultAllocator()->image(commands, describe(2, 2, 1), nullptr);
    EXPECT_FALSE(plain->isTemporary());
    const auto batch = MPS::TemporaryImage::defaultAllocator()->imageBatch(commands, describe(2, 2, 1), nullptr, 3);
    ASSERT_EQ(batch.size(), 3u);
    EXPECT_NE(batch[0], batch[1]);
    for (const auto& image : batch) EXPECT_EQ(temporary(image).readCount(), 1u);
    MPS::ImageBatchIncrementReadCount(batch, -1);
}

TEST(ImageAllocator, APlainImageLivesUntilTheCompletedHandlersHaveRun) {
    const auto commands = testQueue()->commandBuffer();
    std::weak_ptr<MPS::Image> weak = MPS::Image::defaultAllocator()->image(commands, describe(2, 2, 1), nullptr);
    bool alive = false;
    commands->addCompletedHandler([&](const BufferPtr&) { alive = !weak.expired(); });
    EXPECT_FALSE(weak.expired());
    run(commands);
    EXPECT_TRUE(alive);
    EXPECT_TRUE(weak.expired());
}
