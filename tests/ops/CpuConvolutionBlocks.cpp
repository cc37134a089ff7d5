#ifdef PEWTER_HAVE_CPU

#include <gtest/gtest.h>

#include <limits>
#include <numeric>
#include <vector>

#include "SquareConvolution.h"
#include "backends/cpu/BlockedLayout.h"
#include "backends/cpu/vector/BlockedLayout.h"

namespace pewter::test {
namespace {

using cpu::Algorithm;
using cpu::BlockedLayout;
using cpu::Direction;
using dnnl::memory;

/// 64-byte aligned, as toBlocks() wants its destination.
struct alignas(64) Line {
    float values[16];
};

std::vector<float> counted(std::int64_t count) {
    std::vector<float> values(static_cast<std::size_t>(count));
    std::iota(values.begin(), values.end(), 1.0f);
    return values;
}

/// Where element (outer, middle, inner) of the layout lies among the blocks.
std::int64_t place(const BlockedLayout& l, std::int64_t outer, std::int64_t middle, std::int64_t inner) {
    if (l.isImage) return ((outer * (l.inner / 16) + inner / 16) * l.middle + middle) * 16 + inner % 16;
    return (((outer / 16 * (l.inner / 16) + inner / 16) * l.middle + middle) * 16 + inner % 16) * 16 + outer % 16;
}

template <class Check>
void forElements(const BlockedLayout& l, Check check) {
    std::int64_t i = 0;
    for (std::int64_t outer = 0; outer < l.outer; ++outer)
        for (std::int64_t middle = 0; middle < l.middle; ++middle)
            for (std::int64_t inner = 0; inner < l.inner; ++inner) check(i++, place(l, outer, middle, inner));
}

const BlockedLayout kLayouts[] = {{true, 1, 1, 16},    {true, 3, 33, 16},  {true, 2, 70, 144}, {true, 2, 9, 48, true},
                                  {false, 16, 1, 16},  {false, 32, 9, 48}, {false, 48, 9, 32}, {false, 32, 9, 32, true},
                                  {false, 16, 25, 160}};

TEST(CpuConvolutionBlocks, EveryElementLiesWhereTheLibraryReadsIt) {
    for (const BlockedLayout& layout : kLayouts) {
        const auto plain = counted(layout.outer * layout.middle * layout.inner);
        std::vector<Line> lines(plain.size() / 16);
        float* const blocked = lines[0].values;
        cpu::toBlocks(layout, plain.data(), blocked);
        forElements(layout, [&](std::int64_t i, std::int64_t at) {
            ASSERT_EQ(blocked[at], plain[static_cast<std::size_t>(i)]) << i << (layout.isImage ? " image" : " weights");
        });
    }
}

TEST(CpuConvolutionBlocks, TheWayBackOverwritesOrAdds) {
    for (const BlockedLayout& layout : kLayouts)
        for (const bool add : {false, true}) {
            const auto values = counted(layout.outer * layout.middle * layout.inner);
            std::vector<Line> blocked(values.size() / 16), lines(values.size() / 16);
            float* const plain = lines[0].values;
            std::copy(values.begin(), values.end(), blocked[0].values);
            std::fill_n(plain, values.size(), 1000.0f);
            cpu::fromBlocks(layout, blocked[0].values, add, plain);
            forElements(layout, [&](std::int64_t i, std::int64_t at) {
                ASSERT_EQ(plain[i], values[static_cast<std::size_t>(at)] + (add ? 1000.0f : 0.0f)) << i;
            });
        }
}

/// Images of a user need not begin with a line of the cache.
TEST(CpuConvolutionBlocks, ResultsThatGoPastTheCachesMayLieAnywhere) {
    const BlockedLayout layout{true, 2, 5, 32, true};
    const auto values = counted(320);
    std::vector<Line> blocked(20), lines(21);
    std::copy(values.begin(), values.end(), blocked[0].values);
    float* const plain = lines[0].values + 3;
    cpu::fromBlocks(layout, blocked[0].values, false, plain);
    forElements(layout, [&](std::int64_t i, std::int64_t at) {
        ASSERT_EQ(plain[i], values[static_cast<std::size_t>(at)]) << i;
    });
}

TEST(CpuConvolutionBlocks, InstructionSetsMoveTheSame) {
    const BlockedLayout layout{false, 16, 9, 32};
    const auto plain = counted(16 * 9 * 32);
    std::vector<Line> one(plain.size() / 16), other(plain.size() / 16);
    cpu::toBlocks(layout, plain.data(), one[0].values);
    cpu::baseline::weightsToBlocks(plain.data(), 9, 32, false, other[0].values);
    EXPECT_TRUE(std::equal(one[0].values, one[0].values + plain.size(), other[0].values));
    std::vector<float> back(plain.size());
    cpu::baseline::weightsFromBlocks(other[0].values, 9, 32, false, back.data());
    EXPECT_EQ(back, plain);
}

TEST(CpuConvolutionBlocks, OtherLayoutsAreLeftToTheLibrary) {
    const auto f32 = memory::data_type::f32;
    const auto image = [&](std::int64_t c, memory::format_tag tag, memory::data_type type) {
        return memory::desc({2, c, 5, 7}, type, tag);
    };
    using Tag = memory::format_tag;
    const auto found = cpu::blockedLayout(image(32, Tag::nhwc, f32), image(32, Tag::nChw16c, f32));
    ASSERT_TRUE(found);
    EXPECT_TRUE(found->isImage);
    EXPECT_EQ(found->outer, 2);
    EXPECT_EQ(found->middle, 35);
    EXPECT_EQ(found->inner, 32);
    EXPECT_FALSE(cpu::blockedLayout(image(20, Tag::nhwc, f32), image(20, Tag::nChw16c, f32)));
    EXPECT_FALSE(cpu::blockedLayout(image(32, Tag::nchw, f32), image(32, Tag::nChw16c, f32)));
    EXPECT_FALSE(cpu::blockedLayout(image(32, Tag::nhwc, f32), image(32, Tag::nChw8c, f32)));
    EXPECT_FALSE(cpu::blockedLayout(image(32, Tag::nhwc, memory::data_type::bf16), image(32, Tag::nChw16c, f32)));
}

/// 16 images of 32 x 32 pixels and 64 channels, in two chunks.
class ConvolutionChunks : public testing::Test {
protected:
    Random random_{46};
    Square square_{random_, 16, 32, 64, 64, 1, false};
};

TEST_F(ConvolutionChunks, GiveWhatTheWholeGives) {
    for (const Direction direction : kDirections) {
        Square square(random_, 16, 32, 64, 64, 1, false);
        const auto prepared = cpu::prepare({direction, square.problem()}, Algorithm::Winograd);
        if (!prepared) GTEST_SKIP() << "this processor has no Winograd kernel";
        ASSERT_TRUE(prepared->chunk);
        EXPECT_EQ(prepared->chunk->src.plain.dims()[0], 8);
        OpTensor& result = square.resultOf(direction);
        // The direct sums, which other tests compare with the reference, are closer to the truth than Winograd's.
        ASSERT_TRUE(compute(square, direction, Algorithm::Direct));
        const auto expected = result.values();
        const double allowance = kWinogradError * std::numeric_limits<float>::epsilon() * square.length(direction);
        for (const bool add : {false, true}) {
            if (add && direction == Direction::Forward) continue;
            result.fillIntegers(random_, 1, 1);
            ASSERT_TRUE(compute(square, direction, Algorithm::Winograd, add));
            auto sums = expected;
            for (double& sum : sums) sum += add ? 1 : 0;
            const double worst = worstShare(result.values(), sums, allowance);
            EXPECT_LE(worst, 1) << static_cast<int>(direction) << (add ? ", added" : "");
        }
    }
}

TEST_F(ConvolutionChunks, SumTheBiasOverAllImages) {
    const cpu::ConvolutionTask task{Direction::WeightsGradient, square_.problem(), true};
    const auto prepared = cpu::prepare(task, Algorithm::Winograd);
    if (!prepared) GTEST_SKIP() << "this processor has no Winograd kernel";
    ASSERT_TRUE(prepared->chunk);
    square_.dst.fillIntegers(random_, -2, 3);
    std::vector<double> expected(64);
    const auto values = square_.dst.values();
    for (std::size_t i = 0; i < values.size(); ++i) expected[i % 64] += values[i];
    std::vector<float> bias(64, 1000);
    ASSERT_TRUE(compute(square_, Direction::WeightsGradient, Algorithm::Winograd, false, bias.data()));
    for (std::size_t o = 0; o < 64; ++o) EXPECT_EQ(bias[o], static_cast<float>(expected[o])) << o;
}

TEST_F(ConvolutionChunks, AreNotTakenWhereTheWeightsAreTheWork) {
    Square square(random_, 32, 16, 128, 128, 1, false);
    const auto prepared = cpu::prepare({Direction::Forward, square.problem()}, Algorithm::Winograd);
    if (!prepared) GTEST_SKIP() << "this processor has no Winograd kernel";
    EXPECT_FALSE(prepared->chunk);
}

}  // namespace
}  // namespace pewter::test

#endif
