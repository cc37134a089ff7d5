#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <limits>
#include <numeric>

#include "TestKernel.h"

using namespace pewter::test;
using MPS::DataLayout;
using testing::HasSubstr;

namespace {

constexpr auto kHwc = DataLayout::HeightxWidthxFeatureChannels;
constexpr auto kChw = DataLayout::FeatureChannelsxHeightxWidth;

const std::vector<std::pair<Format, std::size_t>> kFormats{{Format::Unorm8, 1},   {Format::Unorm16, 2},
                                                           {Format::Float16, 2},  {Format::BFloat16, 2},
                                                           {Format::Float32, 4},  {Format::Float64, 8}};

/// Bytes 1, 2, 3 ... that differ from their neighbours.
std::vector<unsigned char> pattern(std::size_t count) {
    std::vector<unsigned char> bytes(count);
    for (std::size_t i = 0; i < count; ++i) bytes[i] = static_cast<unsigned char>(1 + i % 251);
    return bytes;
}

std::shared_ptr<MPS::Image> newImage(std::size_t w, std::size_t h, std::size_t c, std::size_t n = 1,
                                     Format format = Format::Float32) {
    return std::make_shared<MPS::Image>(testDevice(), describe(w, h, c, n, format));
}

}  // namespace

TEST(ImageCopies, WholeImagesRoundTripInBothLayoutsForEveryFormatAndOneToNineChannels) {
    for (const auto& [format, element] : kFormats)
        for (std::size_t c = 1; c <= 9; ++c)
            for (const auto layout : {kHwc, kChw}) {
                const auto image = newImage(5, 3, c, 2, format);
                const auto bytes = pattern(5 * 3 * c * element);
                image->writeBytes(bytes.data(), layout, 1);
                std::vector<unsigned char> back(bytes.size());
                image->readBytes(back.data(), layout, 1);
                EXPECT_EQ(back, bytes) << c << " channels of " << image->description();
            }
}

TEST(ImageCopies, HwcAndChwNameTheSameElements) {
    for (std::size_t c = 1; c <= 9; ++c) {
        const auto image = newImage(4, 3, c);
        const auto hwc = counting(12 * c);
        image->writeBytes(hwc.data(), kHwc, 0);
        std::vector<float> chw(hwc.size());
        image->readBytes(chw.data(), kChw, 0);
        for (std::size_t y = 0; y < 3; ++y)
            for (std::size_t x = 0; x < 4; ++x)
                for (std::size_t k = 0; k < c; ++k)
                    ASSERT_EQ(chw[(k * 3 + y) * 4 + x], hwc[(y * 4 + x) * c + k]) << c;
    }
}

TEST(ImageCopies, PaddedRowsAndImagesOfDepthTwoFollowTheAddressFormula) {
    for (const auto layout : {kHwc, kChw})
        for (const std::size_t c : {3u, 4u, 6u}) {
            const auto image = newImage(5, 4, c, 3);
            for (std::size_t n = 0; n < 3; ++n) {
                const auto all = counting(20 * c, static_cast<float>(1000 * n));
                image->writeBytes(all.data(), kHwc, n);
            }
            const MTL::Region region{{1, 2, 0}, {3, 2, 2}};
            const bool hwc = layout == kHwc;
            const std::size_t row = 4 * (hwc ? 3 * c + 5 : 3 + 5);
            const std::size_t perImage = (hwc ? 2 * row : c * 2 * row) + 12;
            std::vector<float> host(2 * perImage / 4, -1);
            image->readBytes(host.data(), layout, row, perImage, region, {0, c}, 1);
            std::size_t touched = 0;
            for (std::size_t n = 0; n < 2; ++n)
                for (std::size_t y = 0; y < 2; ++y)
                    for (std::size_t x = 0; x < 3; ++x)
                        for (std::size_t k = 0; k < c; ++k, ++touched) {
                            const std::size_t at = n * perImage + (hwc ? y * row + x * c * 4 + k * 4
                                                                       : k * 2 * row + y * row + x * 4);
                            ASSERT_EQ(host[at / 4],
                                      static_cast<float>(1000 * (n + 1) + ((y + 2) * 5 + x + 1) * c + k));
                        }
            EXPECT_EQ(static_cast<std::size_t>(std::count(host.begin(), host.end(), -1.0f)), host.size() - touched)
                << "the padding is left alone";
            // The way back.
            const auto copy = newImage(5, 4, c, 3);
            copy->writeBytes(host.data(), layout, row, perImage, region, {0, c}, 1);
            std::vector<float> again(host.size(), -1);
            copy->readBytes(again.data(), layout, row, perImage, region, {0, c}, 1);
            EXPECT_EQ(again, host);
        }
}

TEST(ImageCopies, TheRegionsOriginZAddsToTheImageIndex) {
    const auto image = newImage(2, 1, 1, 4);
    for (std::size_t n = 0; n < 4; ++n) {
        const auto v = counting(2, static_cast<float>(10 * n));
        image->writeBytes(v.data(), kHwc, n);
    }
    float two[2];
    image->readBytes(two, kHwc, 8, {{0, 0, 2}, {2, 1, 1}}, {0, 1}, 1);
    EXPECT_EQ(two[0], 30);
}

TEST(ImageCopies, AChannelWindowTouchesNothingElse) {
    const auto image = newImage(2, 2, 9);
    const std::vector<float> ones(36, 1);
    image->writeBytes(ones.data(), kHwc, 0);
    const auto window = counting(2 * 2 * 4, 100);
    image->writeBytes(window.data(), kHwc, 2 * 4 * 4, {{0, 0, 0}, {2, 2, 1}}, {4, 4}, 0);
    const auto all = readFloats(*image);
    for (std::size_t p = 0; p < 4; ++p)
        for (std::size_t k = 0; k < 9; ++k)
            EXPECT_EQ(all[p * 9 + k], k >= 4 && k < 8 ? window[p * 4 + k - 4] : 1);
    std::vector<float> back(16);
    image->readBytes(back.data(), kHwc, 2 * 4 * 4, {{0, 0, 0}, {2, 2, 1}}, {4, 4}, 0);
    EXPECT_EQ(back, window);
}

TEST(ImageCopies, AWindowThatEndsInThePaddingLanesReadsZerosAndIgnoresWrites) {
    const auto image = newImage(2, 1, 9);
    const std::vector<float> ones(18, 1);
    image->writeBytes(ones.data(), kHwc, 0);
    for (const auto layout : {kHwc, kChw}) {
        const std::size_t row = layout == kHwc ? 2 * 4 * 4 : 2 * 4;
        const std::vector<float> sevens(8, 7);
        image->writeBytes(sevens.data(), layout, row, {{0, 0, 0}, {2, 1, 1}}, {8, 4}, 0);
        std::vector<float> back(8, -1);
        image->readBytes(back.data(), layout, row, {{0, 0, 0}, {2, 1, 1}}, {8, 4}, 0);
        EXPECT_EQ(back, layout == kHwc ? (std::vector<float>{7, 0, 0, 0, 7, 0, 0, 0})
                                       : (std::vector<float>{7, 7, 0, 0, 0, 0, 0, 0}));
    }
    auto all = readFloats(*image);
    EXPECT_EQ(std::accumulate(all.begin(), all.end(), 0.0f), 2 * (8 + 7));
}

TEST(ImageCopies, AColumnStrideSpreadsTheUsersPixels) {
    const auto image = newImage(3, 1, 2);
    const std::vector<float> host{1, 2, -1, 3, 4, -1, 5, 6, -1};
    image->writeBytes(host.data(), kHwc, 12, 36, 36, {{0, 0, 0}, {3, 1, 1}}, {0, 2}, 0);
    EXPECT_EQ(readFloats(*image), counting(6, 1));
    const std::vector<float> planes{1, -1, 2, -1, 3, -1, 4, -1, 5, -1, 6, -1};
    image->writeBytes(planes.data(), kChw, 8, 24, 48, {{0, 0, 0}, {3, 1, 1}}, {0, 2}, 0);
    EXPECT_EQ(readFloats(*image), (std::vector<float>{1, 4, 2, 5, 3, 6}));
}

TEST(ImageCopies, WrongWindowsRegionsAndIndicesAreRefusedByName) {
    const auto image = newImage(4, 4, 6, 2);
    std::vector<float> host(256);
    const MTL::Region all{{0, 0, 0}, {4, 4, 1}};
    const auto read = [&](const MTL::Region& region, MPS::ImageReadWriteParams channels, std::size_t index) {
        return errorOf([&] { image->readBytes(host.data(), kHwc, 96, 384, region, channels, index); });
    };
    EXPECT_EQ(read(all, {0, 6}, 0), "");
    EXPECT_THAT(read(all, {2, 4}, 0), HasSubstr("4 channels from 2"));
    EXPECT_THAT(read(all, {0, 0}, 0), HasSubstr("featureChannelInfo"));
    EXPECT_THAT(read(all, {4, 2}, 0), HasSubstr("2 channels from 4"));
    EXPECT_THAT(read(all, {4, 8}, 0), HasSubstr("inside 8 lanes"));
    EXPECT_THAT(read({{1, 0, 0}, {4, 4, 1}}, {0, 6}, 0), HasSubstr("region: expected inside 4 x 4"));
    EXPECT_THAT(read({{1, 0, 0}, {std::numeric_limits<std::uint64_t>::max(), 4, 1}}, {0, 6}, 0), HasSubstr("region"));
    EXPECT_THAT(read({{0, 0, 0}, {0, 4, 1}}, {0, 6}, 0), HasSubstr("region"));
    EXPECT_THAT(read(all, {0, 6}, 2), HasSubstr("inside 2 images"));
    EXPECT_THAT(read({{0, 0, 1}, {4, 4, 2}}, {0, 6}, 0), HasSubstr("2 from 1"));
    EXPECT_THAT(read({{0, 0, 0}, {4, 4, 0}}, {0, 6}, 0), HasSubstr("0 from 0"));
    EXPECT_THAT(read({{0, 0, 0}, {4, 4, std::numeric_limits<std::uint64_t>::max()}}, {0, 6}, 1), HasSubstr("images"));
    EXPECT_THAT(errorOf([&] { image->readBytes(nullptr, kHwc, 0); }), HasSubstr("bytes: expected a pointer"));
    EXPECT_THAT(errorOf([&] { image->readBytes(host.data(), kHwc, 96, {{0, 0, 0}, {4, 4, 2}}, {0, 6}, 0); }),
                HasSubstr("depth 1 without bytesPerImage"));
    EXPECT_THAT(errorOf([&] { image->writeBytes(host.data(), kHwc, 96, {{0, 0, 0}, {4, 4, 2}}, {0, 6}, 0); }),
                HasSubstr("depth 1 without bytesPerImage"));
}
