#ifdef PEWTER_HAVE_CPU

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "CpuWeightedCase.h"
#include "backends/cpu/ConvolutionPrimitive.h"

// Convolutions of images in bfloat16: products in it, sums in float32.

namespace pewter::test {
namespace {

using cpu::Algorithm;
using cpu::ConvolutionTask;
using cpu::Direction;
using ops::Exactness;
using ops::Type;

constexpr Direction kDirections[] = {Direction::Forward, Direction::DataGradient, Direction::WeightsGradient};

/// A convolution with square windows; images in bfloat16, weights in float32.
struct Case {
    Case(std::int64_t n, std::int64_t h, std::int64_t w, std::int64_t inputs, std::int64_t outputs, std::int64_t taps = 3,
         std::int64_t pad = 1, std::int64_t stride = 1)
        : src(Type::BFloat16, n, h, w, inputs),
          dst(Type::BFloat16, n, (h + 2 * pad - taps) / stride + 1, (w + 2 * pad - taps) / stride + 1, outputs),
          weights(Type::Float32, outputs, taps, taps, inputs) {
        window.width = window.height = taps;
        window.padLeft = window.padTop = pad;
        window.strideX = window.strideY = stride;
    }

    void fillIntegers(Random& random) {
        src.fillIntegers(random, -3, 3), dst.fillIntegers(random, -3, 3);
        // A quarter of a weight is an integer: halves come into transformed ones twice.
        weights.fillIntegers(random, -2, 2);
        std::vector<double> values = weights.values();
        for (double& value : values) value *= 4;
        weights.setValues(values);
    }
    void fillUniform(Random& random) {
        for (OpTensor* operand : {&src, &dst, &weights}) operand->fillUniform(random, -1, 1);
    }

    OpTensor& resultOf(Direction direction) {
        return direction == Direction::Forward ? dst : direction == Direction::DataGradient ? src : weights;
    }
    /// Products that meet in one element of the result; with `tiles`, of whole tiles of 2 x 2 pixels.
    std::int64_t length(Direction direction, bool tiles = false) const {
        const ops::Tensor s = src.view(), d = dst.view();
        if (direction == Direction::Forward) return window.width * window.height * s.c;
        if (direction == Direction::DataGradient) return window.width * window.height * d.c;
        const auto whole = [&](std::int64_t extent) { return tiles ? (extent + 1) / 2 * 2 : extent; };
        return d.n * whole(d.h) * whole(d.w);
    }
    template <class Run>
    void run(Direction direction, const OpTensor& s, const OpTensor& w, const OpTensor& d, bool accumulate,
             Exactness exactness, Run run) const {
        if (direction == Direction::Forward) {
            ops::ConvolutionForward op{s, w, d, {}, window};
            op.exactness = exactness;
            run(op);
        } else if (direction == Direction::DataGradient) {
            ops::ConvolutionDataGradient op{d, w, s, window};
            op.accumulate = accumulate;
            op.exactness = exactness;
            run(op);
        } else {
            ops::ConvolutionWeightsGradient op{s, d, w, {}, window};
            op.accumulate = accumulate;
            op.exactness = exactness;
            run(op);
        }
    }
    /// In double, not rounded to the type of the result.
    std::vector<double> expected(Direction direction, bool accumulate = false, bool size = false) const {
        OpTensor s = size ? magnitudes(src) : inDouble(src), w = size ? magnitudes(weights) : inDouble(weights),
                 d = size ? magnitudes(dst) : inDouble(dst);
        run(direction, s, w, d, accumulate, Exactness::Products, [](const auto& op) { runReference(op); });
        return (direction == Direction::Forward ? d : direction == Direction::DataGradient ? s : w).values();
    }
    /// By one algorithm; false where there is none.
    bool compute(Direction direction, Algorithm algorithm, bool accumulate = false) {
        ConvolutionTask task{direction, {ops::Tensor(src), ops::Tensor(dst), window, 1}, false, accumulate};
        task.srcType = task.dstType = Type::BFloat16;
        task.bfloat16 = true;
        const auto prepared = cpu::prepare(task, algorithm);
        if (!prepared) return false;
        cpu::Scratch scratch;
        cpu::Scratch::Frame frame(scratch);
        cpu::execute(*prepared, direction,
                     {src.view().data, static_cast<float*>(weights.view().data), dst.view().data, nullptr}, frame);
        return true;
    }

    OpTensor src, dst, weights;
    ops::Window window;
};

std::vector<double> roundedTo(Type type, std::vector<double> values) {
    const auto count = static_cast<std::int64_t>(values.size());
    return OpTensor(type, 1, 1, 1, count, values).values();
}

#define PEWTER_NEEDS_BFLOAT16() \
    if (!cpu::multipliesBFloat16()) GTEST_SKIP() << "the processor multiplies no bfloat16"

TEST(CpuConvolutionBFloat16, EveryAlgorithmIsExactOnIntegersAndRoundsItsSumsOnce) {
    PEWTER_NEEDS_BFLOAT16();
    Random random(61);
    for (const Algorithm algorithm : cpu::kAlgorithms)
        for (const Direction direction : kDirections)
            for (const bool accumulate : {false, true}) {
                if (accumulate && direction == Direction::Forward) continue;
                // Winograd with float32 and tiles of 4 x 4 is not exact on integers.
                if (algorithm == Algorithm::Winograd || algorithm == Algorithm::Winograd5) continue;
                const std::int64_t outputs = algorithm == Algorithm::Columns ? 3 : 48;
                Case c(2, 6, 8, 32, outputs);
                c.fillIntegers(random);
                const Type type = direction == Direction::WeightsGradient ? Type::Float32 : Type::BFloat16;
                const auto expected = roundedTo(type, c.expected(direction, accumulate));
                if (!c.compute(direction, algorithm, accumulate)) {
                    // Products are of float32.
                    EXPECT_TRUE(algorithm == Algorithm::Products ||
                                (algorithm == Algorithm::Columns && direction == Direction::DataGradient))
                        << cpu::nameOf(algorithm);
                    continue;
                }
                EXPECT_EQ(c.resultOf(direction).values(), expected)
                    << cpu::nameOf(algorithm) << ", direction " << static_cast<int>(direction) << ", " << accumulate;
            }
}

TEST(CpuConvolutionBFloat16, Winograd2IsExactOnIntegersForEveryShapeOfTilesAndChannels) {
    PEWTER_NEEDS_BFLOAT16();
    Random random(62);
    for (int i = 0; i < 40; ++i) {
        const std::int64_t pad = random.integer(0, 2);
        Case c(random.integer(1, 5), random.integer(3, 13), random.integer(3, 13), 16 * random.integer(1, 9),
               16 * random.integer(1, 9), 3, pad);
        for (const Direction direction : kDirections) {
            c.fillIntegers(random);
            const bool accumulate = direction != Direction::Forward && random.coin();
            const Type type = direction == Direction::WeightsGradient ? Type::Float32 : Type::BFloat16;
            const auto expected = roundedTo(type, c.expected(direction, accumulate));
            ASSERT_TRUE(c.compute(direction, Algorithm::Winograd2, accumulate));
            EXPECT_EQ(c.resultOf(direction).values(), expected) << "case " << i << ", " << static_cast<int>(direction);
            EXPECT_TRUE(c.resultOf(direction).guardsIntact());
        }
    }
}

// docs/ops/convolution.md: 5 eps L M with the eps of bfloat16.
TEST(CpuConvolutionBFloat16, Winograd2StaysInItsStatedBound) {
    PEWTER_NEEDS_BFLOAT16();
    Random random(63);
    double worst = 0;
    for (int i = 0; i < 20; ++i) {
        Case c(random.integer(1, 3), random.integer(3, 12), random.integer(3, 12), 16 * random.integer(1, 4),
               16 * random.integer(1, 4));
        for (const Direction direction : kDirections) {
            c.fillUniform(random);
            const auto expected = c.expected(direction);
            ASSERT_TRUE(c.compute(direction, Algorithm::Winograd2));
            const auto actual = c.resultOf(direction).values();
            const double allowance = 5 * 0x1p-7 * static_cast<double>(c.length(direction, true));
            for (std::size_t k = 0; k < actual.size(); ++k) {
                const double rounding = storageError(c.resultOf(direction).type(), std::fabs(actual[k]));
                worst = std::max(worst, (std::fabs(actual[k] - expected[k]) - rounding) / allowance);
            }
        }
    }
    std::printf("[    worst ] winograd2: %.3f of its allowance\n", worst);
    EXPECT_LE(worst, 1);
}

// Weights that bfloat16 holds lose nothing, so that the bound is that of sums in float32.
TEST(CpuConvolutionBFloat16, AgreesWithTheOracleWhateverTheShape) {
    PEWTER_NEEDS_CPU();
    Agreement agreement("convolution in bfloat16");
    Random random(64);
    for (int i = 0; i < 120; ++i) {
        const std::int64_t taps = random.integer(1, 5), stride = random.integer(1, 2);
        Case c(random.integer(1, 3), random.integer(5, 9), random.integer(5, 9), random.integer(1, 33),
               random.integer(1, 33), taps, random.integer(0, taps), stride);
        // Three by three goes through a transformation, with another bound.
        const bool transformed = taps == 3 && stride == 1;
        if (random.coin()) c.window.edge = ops::Edge::Clamp;
        for (const Direction direction : kDirections) {
            c.fillUniform(random);
            c.weights.setValues(roundedTo(Type::BFloat16, c.weights.values()));
            const bool accumulate = direction != Direction::Forward && random.coin();
            const auto expected = c.expected(direction, accumulate), bound = c.expected(direction, accumulate, true);
            c.run(direction, c.src, c.weights, c.dst, accumulate,
                  transformed ? Exactness::Products : Exactness::Transformed, [](const auto& op) { runCpu(op); });
            const std::int64_t most = c.window.edge == ops::Edge::Clamp ? 81 : 1;
            agreement.compare(c.resultOf(direction).values(), expected, bound, most * c.length(direction) + 1,
                              c.resultOf(direction).type(),
                              std::to_string(taps) + " taps, stride " + std::to_string(stride) + ", direction " +
                                  std::to_string(static_cast<int>(direction)));
        }
    }
}

TEST(CpuConvolutionBFloat16, WeightsKeepTheirDigitsWhereSumsOfProductsAreAskedFor) {
    PEWTER_NEEDS_CPU();
    Case c(1, 8, 8, 32, 32);
    Random random(65);
    c.fillUniform(random);
    // 1 + 2^-10 is none of bfloat16's numbers; the difference of two sums shows it.
    c.src.fill(1);
    c.weights.fill(1 + 0x1p-10);
    std::vector<double> values = c.weights.values();
    for (std::size_t i = 1; i < values.size(); i += 2) values[i] = -1;
    c.weights.setValues(values);
    const auto expected = roundedTo(Type::BFloat16, c.expected(Direction::Forward));
    c.run(Direction::Forward, c.src, c.weights, c.dst, false, Exactness::Products, [](const auto& op) { runCpu(op); });
    EXPECT_EQ(c.dst.values(), expected);
    EXPECT_GT(*std::max_element(expected.begin(), expected.end()), 0.1);
}

TEST(CpuConvolutionBFloat16, MixedImagesAreMultipliedInFloat32) {
    PEWTER_NEEDS_CPU();
    Agreement agreement("convolution of float32 to bfloat16");
    Random random(66);
    for (const Type type : {Type::Float32, Type::Float16}) {
        Case c(2, 7, 7, 17, 20, 5, 2);
        c.src = OpTensor(type, 2, 7, 7, 17);
        c.fillUniform(random);
        const auto expected = c.expected(Direction::Forward), bound = c.expected(Direction::Forward, false, true);
        c.run(Direction::Forward, c.src, c.weights, c.dst, false, Exactness::Transformed,
              [](const auto& op) { runCpu(op); });
        agreement.compare(c.dst.values(), expected, bound, c.length(Direction::Forward), Type::BFloat16, ops::nameOf(type));
    }
}

}  // namespace
}  // namespace pewter::test

#endif
