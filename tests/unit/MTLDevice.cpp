#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <MPS/Kernel.hpp>
#include <MTL/MTL.hpp>
#include <cstdlib>
#include <cstring>
#include <set>

#include "TestKernel.h"

using namespace pewter::test;
using testing::HasSubstr;

TEST(MTLDevice, TheReferenceIsAlwaysListedAndIsFoundByName) {
    const auto device = MTL::copyDevice("reference");
    EXPECT_EQ(device->name(), "reference");
    const auto all = MTL::copyAllDevices();
    EXPECT_NE(std::find(all.begin(), all.end(), device), all.end());
}

TEST(MTLDevice, TheDefaultDeviceIsTheFirstOfTheList) {
    EXPECT_EQ(MTL::createSystemDefaultDevice(), MTL::copyAllDevices().front());
}

TEST(MTLDevice, EveryDeviceIsFoundUnderItsOwnNameAndHasItsOwnRegistryID) {
    std::set<std::uint64_t> ids;
    for (const auto& device : MTL::copyAllDevices()) {
        EXPECT_EQ(MTL::copyDevice(device->name()), device);
        EXPECT_TRUE(ids.insert(device->registryID()).second);
        EXPECT_FALSE(device->description().empty());
        EXPECT_TRUE(MPS::SupportsMTLDevice(device));
    }
    EXPECT_FALSE(MPS::SupportsMTLDevice(nullptr));
}

TEST(MTLDevice, AnUnknownNameIsRefusedWithTheNamesThereAre) {
    const auto sentence = errorOf([] { MTL::copyDevice("quantum"); });
    EXPECT_THAT(sentence, HasSubstr("\"quantum\""));
    EXPECT_THAT(sentence, HasSubstr("reference"));
}

TEST(MTLDevice, ADeviceThatTheBuildLeavesOutIsRefusedWithTheReason) {
    bool any = false;
    for (const auto& entry : pewter::ops::backends()) {
        if (entry.backend) continue;
        any = true;
        EXPECT_GT(entry.reason.size(), 20u) << entry.reason;
        EXPECT_THAT(errorOf([&] { MTL::copyDevice(entry.name); }),
                    HasSubstr("found \"" + entry.name + "\", which is not available: " + entry.reason));
    }
    if (!any) GTEST_SKIP() << "this build has every device";
}

TEST(MTLDevice, ThePreferredDeviceFollowsEitherSpellingOfTheVariable) {
    const auto last = MTL::copyAllDevices().size() - 1;
    for (const char* variable : {"MPS_PREFERRED_DEVICE", "MPS_PREFERED_DEVICE"}) {
        ::setenv(variable, std::to_string(last).c_str(), 1);
        EXPECT_EQ(MPS::GetPreferredDevice(), MTL::copyAllDevices()[last]);
        ::setenv(variable, "nine", 1);
        EXPECT_THAT(errorOf([] { MPS::GetPreferredDevice(); }), HasSubstr("\"nine\""));
        ::unsetenv(variable);
    }
    EXPECT_EQ(MPS::GetPreferredDevice(), MTL::createSystemDefaultDevice());
}

TEST(MTLDevice, DeviceCapsOfNoDeviceAreNone) {
    EXPECT_EQ(MPS::GetDeviceCaps(nullptr), MPS::DeviceCapsNull);
    EXPECT_NE(MPS::GetDeviceCaps(testDevice()), MPS::DeviceCapsNull);
}

TEST(MTLBuffer, ANewBufferIsZeroFilledAndKeepsItsLength) {
    const auto buffer = testDevice()->newBuffer(100);
    ASSERT_EQ(buffer->length(), 100u);
    EXPECT_GE(buffer->allocatedSize(), 100u);
    const auto* bytes = static_cast<const unsigned char*>(buffer->contents());
    for (std::size_t i = 0; i < 100; ++i) EXPECT_EQ(bytes[i], 0);
    EXPECT_EQ(buffer->device(), testDevice());
    EXPECT_EQ(buffer->storageMode(), MTL::StorageMode::Shared);
}

TEST(MTLBuffer, AReusedBlockIsZeroFilledAgain) {
    { std::memset(testDevice()->newBuffer(4096)->contents(), 0xFF, 4096); }
    const auto again = testDevice()->newBuffer(4096);
    const auto* bytes = static_cast<const unsigned char*>(again->contents());
    EXPECT_EQ(std::count(bytes, bytes + 4096, 0), 4096);
}

TEST(MTLBuffer, ABufferWithBytesIsACopy) {
    std::vector<int> values{1, 2, 3};
    const auto buffer = testDevice()->newBuffer(values.data(), 12, MTL::ResourceStorageModeManaged);
    values[0] = 9;
    EXPECT_EQ(static_cast<int*>(buffer->contents())[0], 1);
    EXPECT_EQ(buffer->storageMode(), MTL::StorageMode::Managed);
}

TEST(MTLBuffer, ABufferWithoutCopyIsTheCallersMemoryAndGivesItBackOnce) {
    int memory[4] = {5, 6, 7, 8};
    std::vector<std::pair<void*, std::size_t>> given;
    auto buffer = testDevice()->newBuffer(memory, sizeof memory, MTL::ResourceStorageModeShared,
                                          [&](void* at, std::size_t length) { given.emplace_back(at, length); });
    EXPECT_EQ(buffer->contents(), memory);
    EXPECT_TRUE(given.empty());
    buffer.reset();
    ASSERT_EQ(given.size(), 1u);
    EXPECT_EQ(given[0], std::make_pair(static_cast<void*>(memory), sizeof memory));
}

TEST(MTLBuffer, ABufferWithoutCopyLivesUntilTheCommandsThatUseItHaveRun) {
    std::vector<unsigned char> memory(64, 7);
    bool given = false;
    auto buffer = testDevice()->newBuffer(memory.data(), 64, MTL::ResourceStorageModeShared,
                                          [&](void*, std::size_t) { given = true; });
    const auto to = testDevice()->newBuffer(64);
    const auto commands = testQueue()->commandBuffer();
    const auto blit = commands->blitCommandEncoder();
    blit->copy(buffer, 0, to, 0, 64);
    blit->endEncoding();
    buffer.reset();
    EXPECT_FALSE(given);
    run(commands);
    EXPECT_TRUE(given);
    EXPECT_EQ(static_cast<unsigned char*>(to->contents())[63], 7);
}

TEST(MTLBuffer, PrivateStorageHasNoContents) {
    EXPECT_EQ(testDevice()->newBuffer(16, MTL::ResourceStorageModePrivate)->contents(), nullptr);
}

TEST(MTLBuffer, LengthsOfZeroAndBeyondTheDeviceAreRefused) {
    const auto device = testDevice();
    EXPECT_THAT(errorOf([&] { device->newBuffer(0); }), HasSubstr("buffer length: expected 1 to"));
    EXPECT_THAT(errorOf([&] { device->newBuffer(device->maxBufferLength() + 1); }), HasSubstr("buffer length"));
    EXPECT_THAT(errorOf([&] { device->newBuffer(static_cast<const void*>(nullptr), 4); }), HasSubstr("null"));
}

TEST(MTLBuffer, AnnouncedRangesMustLieInside) {
    const auto buffer = testDevice()->newBuffer(16, MTL::ResourceStorageModeManaged);
    buffer->didModifyRange(4, 12);
    EXPECT_THAT(errorOf([&] { buffer->didModifyRange(4, 13); }), HasSubstr("13 bytes at 4"));
}

TEST(MTLBuffer, PurgeableStateReturnsTheOneBefore) {
    const auto buffer = testDevice()->newBuffer(16);
    EXPECT_EQ(buffer->setPurgeableState(MTL::PurgeableState::Volatile), MTL::PurgeableState::NonVolatile);
    EXPECT_EQ(buffer->setPurgeableState(MTL::PurgeableState::KeepCurrent), MTL::PurgeableState::Volatile);
}

TEST(MTLBuffer, OnlyAHeapsResourceCanBeMadeAliasable) {
    EXPECT_THAT(errorOf([] { testDevice()->newBuffer(16)->makeAliasable(); }), HasSubstr("a resource of a heap"));
}

TEST(MTLTexture, BytesWrittenToARegionOfASliceAreReadBack) {
    MTL::TextureDescriptor d;
    d.textureType = MTL::TextureType::Texture2DArray;
    d.pixelFormat = MTL::PixelFormat::RGBA32Float;
    d.width = 4;
    d.height = 3;
    d.arrayLength = 2;
    const auto texture = testDevice()->newTexture(d);
    EXPECT_EQ(texture->arrayLength(), 2u);
    EXPECT_EQ(texture->textureType(), MTL::TextureType::Texture2DArray);
    const auto values = counting(2 * 2 * 4, 1);
    const MTL::Region region{{1, 1, 0}, {2, 2, 1}};
    texture->replaceRegion(region, 0, 1, values.data(), 2 * 16, 0);
    std::vector<float> all(4 * 3 * 4, -1);
    texture->getBytes(all.data(), 4 * 16, 0, {{0, 0, 0}, {4, 3, 1}}, 0, 1);
    EXPECT_EQ(all[0], 0);
    EXPECT_EQ(all[(1 * 4 + 1) * 4], 1);
    EXPECT_EQ(all[(2 * 4 + 2) * 4 + 3], 16);
    texture->getBytes(all.data(), 4 * 16, 0, {{0, 0, 0}, {4, 3, 1}}, 0, 0);
    EXPECT_EQ(all, std::vector<float>(48, 0));
}

TEST(MTLTexture, RegionsOutsideAndWrongSlicesAreRefused) {
    MTL::TextureDescriptor d;
    d.pixelFormat = MTL::PixelFormat::R8Unorm;
    d.width = d.height = 4;
    const auto texture = testDevice()->newTexture(d);
    unsigned char bytes[64];
    EXPECT_THAT(errorOf([&] { texture->getBytes(bytes, 4, 0, {{1, 0, 0}, {4, 4, 1}}, 0, 0); }), HasSubstr("region"));
    EXPECT_THAT(errorOf([&] { texture->getBytes(bytes, 4, 0, {{0, 0, 0}, {4, 4, 1}}, 0, 1); }), HasSubstr("slice 1"));
    EXPECT_THAT(errorOf([&] { texture->getBytes(bytes, 4, 0, {{0, 0, 0}, {4, 4, 1}}, 1, 0); }), HasSubstr("level 1"));
    // An origin and an extent whose sum wraps around.
    EXPECT_THAT(errorOf([&] {
                    texture->getBytes(bytes, 4, 0, {{1, 0, 0}, {std::numeric_limits<std::uint64_t>::max(), 1, 1}}, 0,
                                      0);
                }),
                HasSubstr("region"));
}

TEST(MTLTexture, PrivateTexturesAndForeignDescriptorsAreRefused) {
    MTL::TextureDescriptor d;
    d.width = d.height = 2;
    d.storageMode = MTL::StorageMode::Private;
    const auto texture = testDevice()->newTexture(d);
    unsigned char bytes[16];
    EXPECT_THAT(errorOf([&] { texture->getBytes(bytes, 8, 0, {{0, 0, 0}, {2, 2, 1}}, 0, 0); }), HasSubstr("private"));
    d.mipmapLevelCount = 2;
    EXPECT_THAT(errorOf([&] { testDevice()->newTexture(d); }), HasSubstr("2 levels"));
    d.mipmapLevelCount = 1;
    d.pixelFormat = MTL::PixelFormat::BGRA8Unorm_sRGB;
    EXPECT_THAT(errorOf([&] { testDevice()->newTexture(d); }), HasSubstr("MTLPixelFormat 81"));
}
