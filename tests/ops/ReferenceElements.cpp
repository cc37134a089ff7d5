// Conversions between element types, and the tensors with guards that the tests of all backends use.

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "support/OpTensors.h"
#include "support/RunReference.h"

namespace pewter::test {
namespace {

using reference::fromBFloat16;
using reference::fromFloat16;
using reference::toBFloat16;
using reference::toFloat16;

struct Format {
    const char* name;
    std::uint16_t (*encode)(double);
    double (*decode)(std::uint16_t);
    std::uint32_t infinity;
    std::uint32_t quiet;
};

const Format kFormats[] = {{"float16", toFloat16, fromFloat16, 0x7C00, 0x0200},
                           {"bfloat16", toBFloat16, fromBFloat16, 0x7F80, 0x0040}};

class ReferenceSmallFloat : public testing::TestWithParam<Format> {};

TEST_P(ReferenceSmallFloat, AllBitPatternsRoundTrip) {
    const Format& f = GetParam();
    for (std::uint32_t bits = 0; bits < 0x10000; ++bits) {
        const double value = f.decode(static_cast<std::uint16_t>(bits));
        if ((bits & 0x7FFF) > f.infinity) {
            ASSERT_TRUE(std::isnan(value)) << bits;
            const std::uint32_t back = f.encode(value);
            ASSERT_GT(back & 0x7FFF, f.infinity) << bits;
            ASSERT_EQ(back & 0x8000, bits & 0x8000) << bits;
            ASSERT_NE(back & f.quiet, 0u) << bits;
        } else {
            ASSERT_EQ(f.encode(value), bits);
        }
    }
}

TEST_P(ReferenceSmallFloat, EveryMidpointRoundsToEvenAndItsNeighboursToTheNearest) {
    const Format& f = GetParam();
    for (std::uint32_t low = 0; low + 1 < f.infinity; ++low) {
        const double a = f.decode(static_cast<std::uint16_t>(low)),
                     b = f.decode(static_cast<std::uint16_t>(low + 1));
        const double middle = (a + b) / 2;
        const std::uint32_t even = low % 2 == 0 ? low : low + 1;
        ASSERT_LT(a, b);
        ASSERT_EQ(f.encode(middle), even) << low;
        ASSERT_EQ(f.encode(-middle), even | 0x8000) << low;
        ASSERT_EQ(f.encode(std::nextafter(middle, a)), low);
        ASSERT_EQ(f.encode(std::nextafter(middle, b)), low + 1);
    }
}

TEST_P(ReferenceSmallFloat, WhatIsBeyondTheLargestByHalfAStepBecomesInfinity) {
    const Format& f = GetParam();
    const std::uint32_t largest = f.infinity - 1;
    const double a = f.decode(static_cast<std::uint16_t>(largest));
    const double step = a - f.decode(static_cast<std::uint16_t>(largest - 1));
    EXPECT_EQ(f.encode(std::nextafter(a + step / 2, 0)), largest);
    EXPECT_EQ(f.encode(a + step / 2), f.infinity);
    EXPECT_EQ(f.encode(-HUGE_VAL), f.infinity | 0x8000);
    EXPECT_EQ(f.encode(1e300), f.infinity);
    EXPECT_EQ(f.encode(1e-300), 0u);
    EXPECT_EQ(f.encode(-0.0), 0x8000u);
}

INSTANTIATE_TEST_SUITE_P(Formats, ReferenceSmallFloat, testing::ValuesIn(kFormats),
                         [](const auto& info) { return std::string(info.param.name); });

TEST(ReferenceElements, KnownFloat16BitPatterns) {
    EXPECT_EQ(toFloat16(1), 0x3C00);
    EXPECT_EQ(toFloat16(-2), 0xC000);
    EXPECT_EQ(toFloat16(65504), 0x7BFF);
    EXPECT_EQ(toFloat16(0x1p-24), 0x0001);
    EXPECT_EQ(toFloat16(1.0 / 3), 0x3555);
    EXPECT_EQ(toBFloat16(1), 0x3F80);
    EXPECT_EQ(toBFloat16(3.140625), 0x4049);
}

TEST(ReferenceElements, UnormTypesSaturateAndRoundToNearest) {
    const double nan = std::nan("");
    const std::vector<double> values = {-1,          0,   0.5 / 255 - 1e-9, 0.5 / 255 + 1e-9, 127.6 / 255, 1,
                                        255.7 / 255, nan, HUGE_VAL};
    OpTensor small(ops::Type::Unorm8, 1, 1, 1, 9, values), large(ops::Type::Unorm16, 1, 1, 1, 9, values);
    const auto* bytes = static_cast<const std::uint8_t*>(small.view().data);
    const std::vector<int> expected = {0, 0, 0, 1, 128, 255, 255, 0, 255};
    for (std::size_t i = 0; i < expected.size(); ++i) EXPECT_EQ(bytes[i], expected[i]) << values[i];
    EXPECT_EQ(small.at(4), 128.0 / 255);
    EXPECT_EQ(static_cast<const std::uint16_t*>(large.view().data)[6], 65535);
    EXPECT_EQ(large.at(1), 0);
}

TEST(ReferenceElements, EveryUnorm8AndUnorm16ValueRoundTrips) {
    OpArray small(ops::Type::Unorm8, 256), large(ops::Type::Unorm16, 65536);
    for (int i = 0; i < 256; ++i) small.set(i, i / 255.0);
    for (int i = 0; i < 65536; ++i) large.set(i, i / 65535.0);
    for (int i = 0; i < 256; ++i) ASSERT_EQ(static_cast<std::uint8_t*>(small.view().data)[i], i);
    for (int i = 0; i < 65536; ++i) ASSERT_EQ(static_cast<std::uint16_t*>(large.view().data)[i], i);
}

TEST(ReferenceElements, GuardsNoticeAWriteBetweenPixelsAndBehindTheEnd) {
    OpTensor tensor(ops::Type::Float32, 1, 2, 2, 3, Layout::gaps());
    tensor.fill(7);
    EXPECT_TRUE(tensor.guardsIntact());
    auto* data = static_cast<float*>(tensor.view().data);
    data[3] = 0;  // the element behind the first pixel's channels
    EXPECT_FALSE(tensor.guardsIntact());
    OpArray array(ops::Type::Float16, 3);
    static_cast<std::uint16_t*>(array.view().data)[3] = 0;
    EXPECT_FALSE(array.guardsIntact());
}

TEST(ReferenceBackend, ListsItsTypesAndGivesAlignedMemory) {
    ops::Backend& backend = referenceBackend();
    EXPECT_EQ(backend.name(), "reference");
    EXPECT_EQ(backend.threads(), 1);
    for (const auto type : {ops::Type::Float32, ops::Type::Float16, ops::Type::BFloat16, ops::Type::Unorm8,
                            ops::Type::Unorm16, ops::Type::Float64})
        EXPECT_TRUE(backend.supports(type)) << nameOf(type);
    EXPECT_FALSE(backend.supports(ops::Type::UInt8));
    for (const std::size_t bytes : {std::size_t{1}, std::size_t{100}, std::size_t{1} << 20}) {
        void* memory = backend.allocate(bytes);
        EXPECT_EQ(reinterpret_cast<std::uintptr_t>(memory) % 64, 0u);
        backend.deallocate(memory, bytes);
    }
}

}  // namespace
}  // namespace pewter::test
