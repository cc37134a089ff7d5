#include <gtest/gtest.h>

#include <cmath>

#include "CpuWeightedCase.h"

namespace pewter::test {
namespace {

constexpr int kShapes = 260;

/// A convolution with its operands.
struct Case : WeightedCase {
    std::int64_t n, inputs, outputs, groups;
    DrawnAxis y, x;
    ops::Window window;
    OpTensor src, weights, dst, diffDst, diffSrc, diffWeights;
    OpArray bias, diffBias;

    Case(Random& random, int index)
        : WeightedCase(index), n(random.integer(1, 4)), y(random, 13, 5, 3), x(random, 13, 5, 3) {
        // Odd counts of channels, one, and enough of them for a whole vector.
        const std::int64_t perGroupIn[] = {1, 2, 3, 5, 8, 16, 17, 32},
                           perGroupOut[] = {1, 2, 3, 7, 16, 20, 32};
        groups = random.integer(0, 2) ? 1 : random.integer(2, 5);
        inputs = perGroupIn[random.integer(0, 7)] * groups;
        outputs = perGroupOut[random.integer(0, 6)] * groups;
        if (random.integer(0, 5) == 0) {
            groups = inputs = random.coin() ? random.integer(1, 9) : 16 * random.integer(1, 2);
            outputs = groups * random.integer(1, 2);
        }
        window = windowOf(y, x, random.coin() ? ops::Edge::Zero : ops::Edge::Clamp);
        src = image(random, n, y.source, x.source, inputs);
        dst = image(random, n, y.outputs, x.outputs, outputs);
        diffDst = image(random, n, y.outputs, x.outputs, outputs, true);
        diffSrc = image(random, n, y.source, x.source, inputs, true);
        weights = weightsOf(random, drawWeightType(random), outputs, y.taps, x.taps, inputs / groups);
        diffWeights = weightsOf(random, ops::Type::Float32, outputs, y.taps, x.taps, inputs / groups);
        if (random.coin()) {
            bias = arrayOf(random, outputs);
            diffBias = arrayOf(random, outputs);
        }
        name = describe(window, n, y, x) + " channels " + std::to_string(inputs) + " to " +
               std::to_string(outputs) + " groups " + std::to_string(groups) + " " + ops::nameOf(src.type());
    }

    std::int64_t taps() const { return window.width * window.height; }
    std::int64_t pixels() const { return n * y.outputs * x.outputs; }
    /// Most products that meet in one element of diffSrc: under Clamp an edge pixel may collect every tap of
    /// every window.
    std::int64_t reads() const {
        return (window.edge == ops::Edge::Clamp ? taps() * y.outputs * x.outputs : taps()) * outputs / groups;
    }
};

TEST(CpuConvolution, ForwardAgreesWithTheOracle) {
    PEWTER_NEEDS_CPU();
    Agreement agreement("convolution forward");
    Random random(101);
    for (int i = 0; i < kShapes; ++i) {
        Case c(random, i);
        OpTensor expected = inDouble(c.dst), bound = expected;
        runReference(ops::ConvolutionForward{c.src, c.weights, expected, c.bias, c.window, c.groups, {}});
        runReference(ops::ConvolutionForward{
            magnitudes(c.src), magnitudes(c.weights), bound, magnitudes(c.bias), c.window, c.groups, {}});
        runCpu(ops::ConvolutionForward{c.src, c.weights, c.dst, c.bias, c.window, c.groups, {}});
        check(agreement, c, c.dst.values(), expected.values(), bound.values(),
              c.taps() * c.inputs / c.groups + 1, c.dst.type());
        EXPECT_TRUE(c.dst.guardsIntact()) << c.name;
    }
}

TEST(CpuConvolution, DataGradientAgreesWithTheOracle) {
    PEWTER_NEEDS_CPU();
    Agreement agreement("convolution data gradient");
    Random random(102);
    for (int i = 0; i < kShapes; ++i) {
        Case c(random, i);
        OpTensor expected = inDouble(c.diffSrc), bound = magnitudes(c.diffSrc);
        const bool accumulate = i / 3 % 2 == 1;
        const auto run = [&](auto device, OpTensor& gradient, OpTensor& weights, OpTensor& sum) {
            ops::ConvolutionDataGradient op{gradient, weights, sum, c.window, c.groups};
            op.accumulate = accumulate;
            device(op);
        };
        OpTensor gradients = magnitudes(c.diffDst), weights = magnitudes(c.weights);
        const auto reference = [](const auto& op) { runReference(op); };
        run(reference, c.diffDst, c.weights, expected);
        run(reference, gradients, weights, bound);
        run([](const auto& op) { runCpu(op); }, c.diffDst, c.weights, c.diffSrc);
        check(agreement, c, c.diffSrc.values(), expected.values(), bound.values(), c.reads() + 1,
              c.diffSrc.type());
        EXPECT_TRUE(c.diffSrc.guardsIntact()) << c.name;
    }
}

TEST(CpuConvolution, TransposedForwardAgreesWithTheOracle) {
    PEWTER_NEEDS_CPU();
    Agreement agreement("transposed convolution forward");
    Random random(106);
    for (int i = 0; i < kShapes; ++i) {
        Case c(random, i);
        const OpArray bias = c.arrayOf(random, c.inputs);
        // A slope of 0.5 keeps integers exact.
        const ops::Neuron neuron{random.coin() ? ops::NeuronType::ReLU : ops::NeuronType::None, 0.5f, 0, 0,
                                 nullptr};
        OpTensor expected = inDouble(c.diffSrc), bound = expected;
        runReference(
            ops::ConvolutionDataGradient{c.diffDst, c.weights, expected, c.window, c.groups, bias, neuron});
        runReference(ops::ConvolutionDataGradient{magnitudes(c.diffDst), magnitudes(c.weights), bound,
                                                  c.window, c.groups, magnitudes(bias)});
        runCpu(
            ops::ConvolutionDataGradient{c.diffDst, c.weights, c.diffSrc, c.window, c.groups, bias, neuron});
        check(agreement, c, c.diffSrc.values(), expected.values(), bound.values(), c.reads() + 1,
              c.diffSrc.type());
        EXPECT_TRUE(c.diffSrc.guardsIntact()) << c.name;
    }
}

TEST(CpuConvolution, SumsOfTheIncomingGradientAloneAgreeWithTheOracle) {
    PEWTER_NEEDS_CPU();
    Agreement agreement("bias gradient alone");
    Random random(107);
    for (int i = 0; i < kShapes; ++i) {
        Case c(random, i);
        const bool accumulate = random.coin();
        OpArray sums = c.arrayOf(random, c.outputs), expected = inDouble(sums), bound = magnitudes(sums);
        runReference(ops::ConvolutionWeightsGradient{{}, c.diffDst, {}, expected, {}, 1, accumulate});
        runReference(
            ops::ConvolutionWeightsGradient{{}, magnitudes(c.diffDst), {}, bound, {}, 1, accumulate});
        runCpu(ops::ConvolutionWeightsGradient{{}, c.diffDst, {}, sums, {}, 1, accumulate});
        check(agreement, c, sums.values(), expected.values(), bound.values(), c.pixels() + 1,
              ops::Type::Float32);
        EXPECT_TRUE(sums.guardsIntact()) << c.name;
    }
}

TEST(CpuConvolution, WeightsGradientAgreesWithTheOracle) {
    PEWTER_NEEDS_CPU();
    Agreement agreement("convolution weights gradient"), biases("convolution bias gradient");
    Random random(103);
    for (int i = 0; i < kShapes; ++i) {
        Case c(random, i);
        const bool accumulate = random.coin();
        OpTensor expected = inDouble(c.diffWeights), bound = magnitudes(c.diffWeights);
        OpArray expectedBias = inDouble(c.diffBias), boundBias = magnitudes(c.diffBias);
        runReference(ops::ConvolutionWeightsGradient{c.src, c.diffDst, expected, expectedBias, c.window,
                                                     c.groups, accumulate});
        runReference(ops::ConvolutionWeightsGradient{magnitudes(c.src), magnitudes(c.diffDst), bound,
                                                     boundBias, c.window, c.groups, accumulate});
        runCpu(ops::ConvolutionWeightsGradient{c.src, c.diffDst, c.diffWeights, c.diffBias, c.window,
                                               c.groups, accumulate});
        check(agreement, c, c.diffWeights.values(), expected.values(), bound.values(), c.pixels() + 1,
              ops::Type::Float32);
        if (c.bias.size() > 0)
            check(biases, c, c.diffBias.values(), expectedBias.values(), boundBias.values(), c.pixels() + 1,
                  ops::Type::Float32);
        EXPECT_TRUE(c.diffWeights.guardsIntact()) << c.name;
    }
}

TEST(CpuConvolution, EveryNeuronIsAppliedAfterTheBias) {
    PEWTER_NEEDS_CPU();
    Agreement agreement("convolution with neuron");
    Random random(104);
    const std::vector<float> slopes = {0.1f, 0.2f, 0.3f, 0.4f, 0.5f, 0.6f, 0.7f, 0.8f};
    for (int type = 0; type <= static_cast<int>(ops::NeuronType::GeLU); ++type) {
        for (int repeat = 0; repeat < 4; ++repeat) {
            ops::Neuron neuron{static_cast<ops::NeuronType>(type), 0.75f, 0.5f, 2.0f, slopes.data()};
            if (repeat == 1 && neuron.type == ops::NeuronType::ReLU) neuron.a = 0;
            if (repeat == 1 && neuron.type == ops::NeuronType::TanH) neuron.a = neuron.b = 1;
            // A logarithm of what stays above zero.
            const double low = neuron.type == ops::NeuronType::Logarithm ? 0.1 : -1;
            const std::int64_t size = 3 + 2 * repeat, inputs = 1 + 3 * repeat, outputs = 8;
            OpTensor src(repeat == 3 ? ops::Type::Float16 : ops::Type::Float32, 2, size, size, inputs);
            OpTensor weights(ops::Type::Float32, outputs, 3, 3, inputs),
                dst(src.type(), 2, size, size, outputs);
            OpArray bias(ops::Type::Float32, outputs);
            src.fillUniform(random, low, 1), weights.fillUniform(random, low, 1),
                bias.fillUniform(random, low, 1);
            const ops::Window window{3, 3, 1, 1, 1, 1, 1, 1, ops::Edge::Zero};
            OpTensor expected = inDouble(dst), bound = expected;
            runReference(ops::ConvolutionForward{src, weights, expected, bias, window, 1, neuron});
            runReference(ops::ConvolutionForward{
                magnitudes(src), magnitudes(weights), bound, magnitudes(bias), window, 1, {}});
            runCpu(ops::ConvolutionForward{src, weights, dst, bias, window, 1, neuron});
            // Exponential and Power grow with the sum; the rest has a slope of at most 2 and an error of a
            // few units of 1 besides.
            std::vector<double> bounds = bound.values();
            const std::vector<double> values = expected.values();
            for (std::size_t i = 0; i < bounds.size(); ++i)
                bounds[i] = (bounds[i] + 1) * std::max(1.0, std::fabs(values[i])) * 2;
            double slope = 2;
            if (neuron.type == ops::NeuronType::Logarithm) slope = 20;
            agreement.compare(dst.values(), values, bounds, 9 * inputs + 1, dst.type(),
                              "neuron " + std::to_string(type) + " size " + std::to_string(size), slope);
        }
    }
}

TEST(CpuConvolution, SameThreadsGiveTheSameBits) {
    PEWTER_NEEDS_CPU();
    Random random(105);
    OpTensor src(ops::Type::Float32, 4, 17, 19, 24), weights(ops::Type::Float32, 40, 3, 3, 24);
    OpTensor diffDst(ops::Type::Float32, 4, 17, 19, 40);
    src.fillUniform(random, -1, 1), weights.fillUniform(random, -1, 1), diffDst.fillUniform(random, -1, 1);
    const ops::Window window{3, 3, 1, 1, 1, 1, 1, 1, ops::Edge::Zero};
    std::vector<std::vector<double>> first;
    for (int repeat = 0; repeat < 5; ++repeat) {
        OpTensor dst(ops::Type::Float32, 4, 17, 19, 40), diffSrc(ops::Type::Float32, 4, 17, 19, 24);
        OpTensor diffWeights(ops::Type::Float32, 40, 3, 3, 24);
        OpArray diffBias(ops::Type::Float32, 40);
        runCpu(ops::ConvolutionForward{src, weights, dst, {}, window, 1, {}});
        runCpu(ops::ConvolutionDataGradient{diffDst, weights, diffSrc, window, 1});
        runCpu(ops::ConvolutionWeightsGradient{src, diffDst, diffWeights, diffBias, window, 1, false});
        const std::vector<std::vector<double>> now = {dst.values(), diffSrc.values(), diffWeights.values(),
                                                      diffBias.values()};
        if (repeat == 0) first = now;
        EXPECT_EQ(now, first);
    }
}

}  // namespace
}  // namespace pewter::test
