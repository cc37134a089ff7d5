#ifdef PEWTER_HAVE_CPU

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <numeric>
#include <vector>

#include "SquareConvolution.h"
#include "backends/cpu/BlockedLayout.h"
#include "backends/cpu/Parallel.h"
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

/// check(index on the plain side, index among the blocks) for every element.
template <class Check>
void forElements(const BlockedLayout& l, Check check) {
    const std::int64_t step = l.step ? l.step : l.inner;
    for (std::int64_t outer = 0; outer < l.outer; ++outer)
        for (std::int64_t middle = 0; middle < l.middle; ++middle)
            for (std::int64_t inner = 0; inner < l.inner; ++inner)
                check((outer * l.middle + middle) * step + inner, place(l, outer, middle, inner));
}

/// Values of the plain side, those between the layout's included.
std::int64_t plainCount(const BlockedLayout& l) { return l.outer * l.middle * (l.step ? l.step : l.inner); }

const BlockedLayout kLayouts[] = {{true, 1, 1, 16},    {true, 3, 33, 16},  {true, 2, 70, 144}, {true, 2, 9, 48, true},
                                  {false, 16, 1, 16},  {false, 32, 9, 48}, {false, 48, 9, 32}, {false, 32, 9, 32, true},
                                  {false, 16, 25, 160},
                                  // Slices of more channels.
                                  {true, 2, 9, 16, true, 48}, {true, 3, 33, 32, false, 96}, {false, 32, 9, 16, true, 64}};

TEST(CpuConvolutionBlocks, EveryElementLiesWhereTheLibraryReadsIt) {
    for (const BlockedLayout& layout : kLayouts) {
        const auto plain = counted(plainCount(layout));
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
            const auto count = static_cast<std::size_t>(plainCount(layout));
            std::vector<Line> blocked(values.size() / 16), lines(count / 16);
            float* const plain = lines[0].values;
            std::copy(values.begin(), values.end(), blocked[0].values);
            std::fill_n(plain, count, 1000.0f);
            cpu::fromBlocks(layout, blocked[0].values, add, plain);
            std::vector<float> expected(count, 1000.0f);
            forElements(layout, [&](std::int64_t i, std::int64_t at) {
                expected[static_cast<std::size_t>(i)] = values[static_cast<std::size_t>(at)] + (add ? 1000.0f : 0.0f);
            });
            // What lies between the channels of a slice is not touched.
            ASSERT_TRUE(std::equal(expected.begin(), expected.end(), plain)) << layout.inner << " of " << layout.step;
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
    cpu::baseline::weightsToBlocks(plain.data(), 9, 32, 32, false, other[0].values);
    EXPECT_TRUE(std::equal(one[0].values, one[0].values + plain.size(), other[0].values));
    std::vector<float> back(plain.size());
    cpu::baseline::weightsFromBlocks(other[0].values, 9, 32, 32, false, back.data());
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

/// Winograd's result in each direction, written and added, lies within its stated error of the direct sums, which other
/// tests compare with the reference. Calls isTaken for what was prepared.
template <class IsTaken>
void expectDirectSums(Random& random, Square& square, IsTaken isTaken) {
    for (const Direction direction : kDirections) {
        const auto prepared = cpu::prepare({direction, square.problem()}, Algorithm::Winograd);
        ASSERT_TRUE(prepared);
        EXPECT_TRUE(isTaken(*prepared)) << static_cast<int>(direction);
        OpTensor& result = square.resultOf(direction);
        ASSERT_TRUE(compute(square, direction, Algorithm::Direct));
        const auto expected = result.values();
        const double allowance = kWinogradError * std::numeric_limits<float>::epsilon() * square.length(direction);
        for (const bool add : {false, true}) {
            if (add && direction == Direction::Forward) continue;
            result.fillIntegers(random, 1, 1);
            ASSERT_TRUE(compute(square, direction, Algorithm::Winograd, add));
            auto sums = expected;
            for (double& sum : sums) sum += add ? 1 : 0;
            const double worst = worstShare(result.values(), sums, allowance);
            EXPECT_LE(worst, 1) << static_cast<int>(direction) << (add ? ", added" : "");
        }
        result.fillUniform(random, -1, 1);  // An operand of the other directions.
    }
}

bool hasWinograd(Square& square) {
    return cpu::prepare({Direction::Forward, square.problem()}, Algorithm::Winograd).has_value();
}

/// 16 images of 32 x 32 pixels and 64 channels, in two chunks.
class ConvolutionChunks : public testing::Test {
protected:
    Random random_{46};
    Square square_{random_, 16, 32, 64, 64, 1, false};
};

TEST_F(ConvolutionChunks, GiveWhatTheWholeGives) {
    if (!hasWinograd(square_)) GTEST_SKIP() << "this processor has no Winograd kernel";
    expectDirectSums(random_, square_,
                     [](const cpu::Prepared& p) { return p.chunk && p.chunk->src.plain.dims()[0] == 8; });
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

/// An image of 5 x 5 pixels from 1024 to 1024 channels: slices of 512 channels, those of the weights gradient of 256.
class ConvolutionSlices : public testing::Test {
protected:
    static constexpr std::int64_t kInputs = 1024, kOutputs = 1024;
    Random random_{47};
    Square square_{random_, 1, 5, kInputs, kOutputs, 1, false};

    void SetUp() override {
        if (!hasWinograd(square_)) GTEST_SKIP() << "this processor has no Winograd kernel";
    }
};

TEST_F(ConvolutionSlices, GiveWhatTheWholeGives) {
    expectDirectSums(random_, square_, [](const cpu::Prepared& p) { return p.slice && !p.chunk; });
}

TEST_F(ConvolutionSlices, AddAndSumTheBiasOfTheirChannels) {
    std::vector<float> bias(kOutputs);
    std::iota(bias.begin(), bias.end(), -500.0f);
    square_.src.fillIntegers(random_, 0, 0);
    ASSERT_TRUE(compute(square_, Direction::Forward, Algorithm::Winograd, false, bias.data()));
    const auto sums = square_.dst.values();
    for (std::size_t i = 0; i < sums.size(); ++i) ASSERT_EQ(sums[i], bias[i % kOutputs]) << i;
    // Every pixel of a channel holds its bias now.
    std::vector<float> back(kOutputs, 1000);
    ASSERT_TRUE(compute(square_, Direction::WeightsGradient, Algorithm::Winograd, false, back.data()));
    for (std::size_t o = 0; o < kOutputs; ++o) EXPECT_EQ(back[o], 25 * bias[o]) << o;
}

TEST_F(ConvolutionSlices, NeverHoldAllTransformedWeights) {
    // F(4x4, 3x3) makes 36 values of each kernel; every thread sums a weights gradient of its own, and all together one.
    const auto transformed = static_cast<std::size_t>(36 * kInputs * kOutputs) * sizeof(float);
    for (const Direction direction : kDirections) {
        cpu::Scratch scratch;
        const auto prepared = cpu::prepare({direction, square_.problem()}, Algorithm::Winograd);
        ASSERT_TRUE(prepared);
        {
            cpu::Scratch::Frame frame(scratch);
            cpu::execute(*prepared, direction, square_.operands(), frame);
        }
        const auto held = direction == Direction::WeightsGradient ? static_cast<std::size_t>(cpu::maxThreads() + 1) / 2 : 1;
        EXPECT_LT(scratch.capacity(), held * transformed) << static_cast<int>(direction);
    }
}

/// It acts on the sum of all slices.
TEST_F(ConvolutionSlices, LeaveTheNeuronToTheCaller) {
    cpu::ConvolutionTask task{Direction::Forward, square_.problem()};
    task.neuron.type = ops::NeuronType::ReLU;
    const auto prepared = cpu::prepare(task, Algorithm::Winograd);
    ASSERT_TRUE(prepared && prepared->slice);
    EXPECT_FALSE(prepared->neuronFused);
    square_.dst.fillIntegers(random_, 0, 0);
    cpu::Scratch scratch;
    cpu::Scratch::Frame frame(scratch);
    cpu::execute(*prepared, task.direction, square_.operands(), frame);
    const auto sums = square_.dst.values();
    EXPECT_LT(*std::min_element(sums.begin(), sums.end()), 0);
}

TEST_F(ConvolutionSlices, AreNotTakenWhereTheWholeIsSmall) {
    Square square(random_, 1, 5, 256, 512, 1, false);
    for (const Direction direction : kDirections) {
        const auto prepared = cpu::prepare({direction, square.problem()}, Algorithm::Winograd);
        ASSERT_TRUE(prepared);
        EXPECT_FALSE(prepared->slice) << static_cast<int>(direction);
    }
}

}  // namespace
}  // namespace pewter::test

#endif
