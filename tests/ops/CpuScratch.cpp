#ifdef PEWTER_HAVE_CPU

#include <gtest/gtest.h>

#include "backends/cpu/Staging.h"

namespace pewter::test {
namespace {

using cpu::Scratch;

constexpr std::size_t kMegabyte = std::size_t{1} << 20;

/// An operation that takes a piece, and another while a frame of its own lasts.
void operate(Scratch& scratch, std::size_t outer, std::size_t inner) {
    Scratch::Frame frame(scratch);
    auto* const first = static_cast<std::byte*>(frame.bytes(outer));
    first[0] = first[outer - 1] = std::byte{7};
    {
        Scratch::Frame within(frame.scratch());
        auto* const second = static_cast<std::byte*>(within.bytes(inner));
        second[0] = second[inner - 1] = std::byte{9};
    }
    EXPECT_EQ(first[0], std::byte{7});
    EXPECT_EQ(first[outer - 1], std::byte{7});
}

TEST(CpuScratch, HoldsWhatTheLargestOperationTakesAndNoMore) {
    Scratch scratch;
    for (const std::size_t inner : {1, 3, 40, 2}) operate(scratch, kMegabyte, inner * kMegabyte);
    operate(scratch, kMegabyte, kMegabyte);
    EXPECT_EQ(scratch.capacity(), 41 * kMegabyte);
}

TEST(CpuScratch, ARepeatedOperationFindsItsMemoryWhereItWas) {
    Scratch scratch;
    operate(scratch, 2 * kMegabyte, 5 * kMegabyte);
    const auto place = [&] {
        Scratch::Frame frame(scratch);
        return frame.bytes(7 * kMegabyte);
    };
    void* const first = place();
    EXPECT_EQ(place(), first);
    operate(scratch, 2 * kMegabyte, 5 * kMegabyte);
    EXPECT_EQ(place(), first);
    EXPECT_EQ(scratch.capacity(), 7 * kMegabyte);
}

TEST(CpuScratch, AnOperationThatSaysWhatItTakesHoldsNothingBesides) {
    const auto largest = [](bool says) {
        Scratch scratch;
        operate(scratch, 4 * kMegabyte, 4 * kMegabyte);
        Scratch::Frame frame(scratch);
        if (says) scratch.expect(32 * kMegabyte);
        frame.bytes(2 * kMegabyte);
        frame.bytes(30 * kMegabyte);
        return scratch.capacity();
    };
    EXPECT_EQ(largest(true), 32 * kMegabyte);
    EXPECT_EQ(largest(false), 38 * kMegabyte);
}

TEST(CpuScratch, WhatIsTakenStaysWhenMoreIsExpected) {
    Scratch scratch;
    operate(scratch, kMegabyte, kMegabyte);
    Scratch::Frame frame(scratch);
    auto* const first = static_cast<std::byte*>(frame.bytes(kMegabyte));
    first[kMegabyte - 1] = std::byte{3};
    scratch.expect(9 * kMegabyte);
    auto* const second = static_cast<std::byte*>(frame.bytes(9 * kMegabyte));
    second[0] = std::byte{4};
    EXPECT_EQ(first[kMegabyte - 1], std::byte{3});
    EXPECT_EQ(scratch.capacity(), 11 * kMegabyte);
}

}  // namespace
}  // namespace pewter::test

#endif
