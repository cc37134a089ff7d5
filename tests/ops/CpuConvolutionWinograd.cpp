#ifdef PEWTER_HAVE_CPU

#include <gtest/gtest.h>

#include <limits>

#include "SquareConvolution.h"

// F(4x4, 5x5), the kernels of vector/Winograd.cpp.

namespace pewter::test {
namespace {

using cpu::Algorithm;
using cpu::ConvolutionTask;
using cpu::Direction;

constexpr double kEpsilon = std::numeric_limits<float>::epsilon();

Square drawSquare(Random& random) {
    return {random,
            random.integer(1, 4),
            random.integer(5, 21),
            16 * random.integer(1, 4),
            16 * random.integer(1, 4),
            random.integer(0, 4),
            false,
            5};
}

/// The error that docs/ops/convolution.md states: sums over pixels count whole tiles of 4 x 4.
double allowanceOf(Square& square, Direction direction) {
    const ops::Tensor& dst = square.dst.view();
    const auto whole = [](std::int64_t extent) { return (extent + 3) / 4 * 4; };
    const double length = direction == Direction::WeightsGradient
                              ? static_cast<double>(dst.n * whole(dst.h) * whole(dst.w))
                              : square.length(direction);
    return kWinogradError * kEpsilon * length;
}

TEST(CpuConvolutionWinograd5, StaysInsideItsStatedError) {
    Random random(46);
    double worst = 0;
    for (int i = 0; i < 60; ++i)
        for (const Direction direction : kDirections) {
            Square square = drawSquare(random);
            const auto expected = square.expected(direction);
            ASSERT_TRUE(compute(square, direction, Algorithm::Winograd5));
            const auto actual = square.resultOf(direction).values();
            worst = std::max(worst, worstShare(actual, expected, allowanceOf(square, direction)));
        }
    std::printf("[    worst ] winograd5: %.3f of its allowance\n", worst);
    EXPECT_LE(worst, 1);
    EXPECT_GT(worst, 0) << "a product algorithm would not be compared";
}

TEST(CpuConvolutionWinograd5, GradientsAddToWhatIsThere) {
    Random random(47);
    for (const Direction direction : {Direction::DataGradient, Direction::WeightsGradient})
        for (int i = 0; i < 8; ++i) {
            Square square = drawSquare(random);
            auto expected = square.expected(direction);
            const auto before = square.resultOf(direction).values();
            for (std::size_t k = 0; k < expected.size(); ++k) expected[k] += before[k];
            ASSERT_TRUE(compute(square, direction, Algorithm::Winograd5, true));
            EXPECT_LE(worstShare(square.resultOf(direction).values(), expected, allowanceOf(square, direction)), 1);
        }
}

TEST(CpuConvolutionWinograd5, AddsTheBiasForwardAndSumsItsGradient) {
    Random random(48);
    for (int i = 0; i < 8; ++i) {
        Square forward = drawSquare(random), back = drawSquare(random);
        std::vector<float> bias(static_cast<std::size_t>(forward.dst.view().c));
        for (float& value : bias) value = static_cast<float>(random.uniform(-1, 1));
        auto results = forward.expected(Direction::Forward);
        for (std::size_t k = 0; k < results.size(); ++k) results[k] += bias[k % bias.size()];
        ASSERT_TRUE(compute(forward, Direction::Forward, Algorithm::Winograd5, false, bias.data()));
        EXPECT_LE(worstShare(forward.dst.values(), results, allowanceOf(forward, Direction::Forward)), 1);

        const auto gradient = back.dst.values();
        // Overwritten: what stood there before must not count.
        std::vector<float> sums(static_cast<std::size_t>(back.dst.view().c), 1e6f);
        ASSERT_TRUE(compute(back, Direction::WeightsGradient, Algorithm::Winograd5, false, sums.data()));
        std::vector<double> expected(sums.size());
        for (std::size_t k = 0; k < gradient.size(); ++k) expected[k % sums.size()] += gradient[k];
        const double pixels = back.length(Direction::WeightsGradient);
        EXPECT_LE(worstShare({sums.begin(), sums.end()}, expected, kEpsilon * pixels), 1);
    }
}

TEST(CpuConvolutionWinograd5, IsForWindowsOfFiveAndWholeRegistersOfChannels) {
    Random random(49);
    Square square(random, 1, 9, 16, 32, 2, false, 5), three(random, 1, 9, 16, 32, 1, false, 3);
    Square narrow(random, 1, 9, 8, 32, 2, false, 5), wide(random, 1, 9, 16, 24, 2, false, 5);
    for (const Direction direction : kDirections) {
        EXPECT_TRUE(cpu::prepare({direction, square.problem()}, Algorithm::Winograd5));
        for (Square* other : {&three, &narrow, &wide})
            EXPECT_FALSE(cpu::prepare({direction, other->problem()}, Algorithm::Winograd5));
        ConvolutionTask task{direction, square.problem()};
        task.problem.x.stride = 2;
        EXPECT_FALSE(cpu::prepare(task, Algorithm::Winograd5));
        task = {direction, square.problem()};
        task.problem.y.dilation = 2;
        EXPECT_FALSE(cpu::prepare(task, Algorithm::Winograd5));
        task = {direction, square.problem()};
        task.problem.groups = 2;
        EXPECT_FALSE(cpu::prepare(task, Algorithm::Winograd5));
    }
}

}  // namespace
}  // namespace pewter::test

#endif
