// Gradients of convolutions as products of matrices, on whole numbers: nothing is rounded.

#ifdef PEWTER_HAVE_CPU

#include <gtest/gtest.h>

#include "SquareConvolution.h"

namespace pewter::test {
namespace {

using cpu::Algorithm;
using cpu::ConvolutionTask;
using cpu::Direction;

/// The same with steps of `stride` pixels.
Square strided(Square square, std::int64_t stride) {
    const ops::Tensor dst = square.dst;
    const auto outputs = [&](std::int64_t extent) { return (extent - 1) / stride + 1; };
    square.window.strideX = square.window.strideY = stride;
    square.dst = OpTensor(ops::Type::Float32, dst.n, outputs(dst.h), outputs(dst.w), dst.c);
    Random random(5);
    square.dst.fillIntegers(random, -3, 3);
    return square;
}

void expectExact(Square& square, Direction direction, const std::string& what) {
    for (const bool add : {false, true}) {
        OpTensor& result = square.resultOf(direction);
        std::vector<double> expected = square.expected(direction);
        const std::vector<double> before = result.values();
        for (std::size_t i = 0; add && i < expected.size(); ++i) expected[i] += before[i];
        ASSERT_TRUE(compute(square, direction, Algorithm::Products, add)) << what;
        EXPECT_EQ(result.values(), expected) << what << (add ? ", added" : "");
        EXPECT_TRUE(result.guardsIntact()) << what;
    }
}

TEST(CpuConvolutionProducts, WeightsGradientsAreExactOnIntegers) {
    Random random(71);
    for (const std::int64_t taps : {1, 2, 3, 5})
        for (const std::int64_t pad : {std::int64_t{0}, taps / 2})
            for (const std::int64_t stride : {1, 2, 3}) {
                Square square = strided(Square(random, 3, 23, 16, 24, pad, true, taps), stride);
                expectExact(square, Direction::WeightsGradient,
                            std::to_string(taps) + " taps, pad " + std::to_string(pad) + ", stride " +
                                std::to_string(stride));
            }
}

/// As many windows as are multiplied one after the other by every thread, whose sums are added up.
TEST(CpuConvolutionProducts, WeightsGradientsOfManyWindowsAreExactOnIntegers) {
    Random random(72);
    for (const std::int64_t taps : {1, 2}) {
        Square square(random, 2, 120, 32, 16, 0, true, taps);
        expectExact(square, Direction::WeightsGradient, std::to_string(taps) + " taps");
    }
}

/// Gradients too large for every thread to sum its own.
TEST(CpuConvolutionProducts, LargeWeightsGradientsAreExactOnIntegers) {
    Random random(73);
    Square square = strided(Square(random, 5, 21, 144, 130, 1, true, 4), 2);
    expectExact(square, Direction::WeightsGradient, "4 x 4 taps of 144 to 130 channels");
}

TEST(CpuConvolutionProducts, DataGradientsOfWindowsSideBySideAreExactOnIntegers) {
    Random random(74);
    for (const std::int64_t taps : {1, 2, 3})
        for (const std::int64_t size : {18, 19, 20})
            for (const std::int64_t pad : {std::int64_t{0}, taps / 2}) {
                Square square = strided(Square(random, 4, size, 17, 32, pad, true, taps), taps);
                expectExact(square, Direction::DataGradient,
                            std::to_string(taps) + " taps of " + std::to_string(size) + " pixels, pad " + std::to_string(pad));
            }
}

/// Results of 8 MiB and more go past the caches.
TEST(CpuConvolutionProducts, LargeDataGradientsAreExactOnIntegers) {
    Random random(75);
    Square square = strided(Square(random, 1, 365, 16, 16, 0, true, 2), 2);
    ASSERT_GE(square.src.count(), std::int64_t{2} << 20);
    expectExact(square, Direction::DataGradient, "365 x 365 pixels");
}

TEST(CpuConvolutionProducts, AreForGradientsOfOneGroupAndManyChannels) {
    Random random(76);
    Square square(random, 1, 8, 16, 16, 0, true, 2), narrow(random, 1, 8, 15, 16, 0, true, 2),
        few(random, 1, 8, 16, 15, 0, true, 2);
    const auto has = [](const ConvolutionTask& task) { return cpu::prepare(task, Algorithm::Products).has_value(); };
    EXPECT_TRUE(has({Direction::WeightsGradient, square.problem()}));
    EXPECT_FALSE(has({Direction::Forward, square.problem()}));
    EXPECT_FALSE(has({Direction::DataGradient, square.problem()})) << "windows that overlap";
    EXPECT_TRUE(has({Direction::DataGradient, strided(square, 2).problem()}));
    EXPECT_FALSE(has({Direction::WeightsGradient, narrow.problem()}));
    EXPECT_FALSE(has({Direction::WeightsGradient, few.problem()}));
    ConvolutionTask task{Direction::WeightsGradient, square.problem()};
    task.problem.groups = 2;
    EXPECT_FALSE(has(task));
    task = {Direction::WeightsGradient, square.problem()};
    task.problem.x.dilation = 2;
    EXPECT_FALSE(has(task));
    task = {Direction::WeightsGradient, square.problem()};
    task.srcType = ops::Type::BFloat16;
    EXPECT_FALSE(has(task));
}

}  // namespace
}  // namespace pewter::test

#endif
