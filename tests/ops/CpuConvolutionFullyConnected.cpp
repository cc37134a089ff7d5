#include <gtest/gtest.h>

#include "CpuWeightedCase.h"

namespace pewter::test {
namespace {

constexpr int kShapes = 220;

/// A fully connected layer with its operands.
struct Case : WeightedCase {
    std::int64_t n, h, w, inputs, outputs;
    OpTensor src, weights, dst, diffDst, diffSrc, diffWeights;
    OpArray bias, diffBias;

    Case(Random& random, int index)
        : WeightedCase(index),
          n(random.integer(1, 9)),
          h(random.integer(1, 5)),
          w(random.integer(1, 5)),
          inputs(random.integer(1, 40)),
          outputs(random.integer(1, 70)) {
        // Batches and weights that have kernels of their own, and their neighbours.
        if (index % 11 == 0)
            n = random.integer(6, 50), h = 2, w = random.integer(2, 3), inputs = random.integer(60, 100),
            outputs = random.integer(280, 400);
        // As many weights in short rows.
        if (index == 7) n = 9, h = 1, w = 1, inputs = 5, outputs = 14'000;
        src = image(random, n, h, w, inputs);
        dst = image(random, n, 1, 1, outputs);
        diffDst = image(random, n, 1, 1, outputs, true);
        diffSrc = image(random, n, h, w, inputs, true);
        weights = weightsOf(random, drawWeightType(random), outputs, h, w, inputs);
        diffWeights = weightsOf(random, ops::Type::Float32, outputs, h, w, inputs);
        if (random.coin()) {
            bias = arrayOf(random, outputs);
            diffBias = arrayOf(random, outputs);
        }
        name = std::string("n").append(std::to_string(n)) + " " + std::to_string(h) + "x" +
               std::to_string(w) + "x" + std::to_string(inputs) + " to " + std::to_string(outputs) + " " +
               ops::nameOf(src.type());
    }
};

TEST(CpuFullyConnected, ForwardAgreesWithTheOracle) {
    PEWTER_NEEDS_CPU();
    Agreement agreement("fully connected forward");
    Random random(111);
    for (int i = 0; i < kShapes; ++i) {
        Case c(random, i);
        const ops::Neuron neuron{random.coin() ? ops::NeuronType::ReLU : ops::NeuronType::None, 0.5f, 0, 0,
                                 nullptr};
        OpTensor expected = inDouble(c.dst), bound = expected;
        runReference(ops::FullyConnectedForward{c.src, c.weights, expected, c.bias, neuron});
        runReference(ops::FullyConnectedForward{
            magnitudes(c.src), magnitudes(c.weights), bound, magnitudes(c.bias), {}});
        runCpu(ops::FullyConnectedForward{c.src, c.weights, c.dst, c.bias, neuron});
        check(agreement, c, c.dst.values(), expected.values(), bound.values(), c.h * c.w * c.inputs + 1,
              c.dst.type());
        EXPECT_TRUE(c.dst.guardsIntact()) << c.name;
    }
}

TEST(CpuFullyConnected, DataGradientAgreesWithTheOracle) {
    PEWTER_NEEDS_CPU();
    Agreement agreement("fully connected data gradient");
    Random random(112);
    for (int i = 0; i < kShapes; ++i) {
        Case c(random, i);
        OpTensor expected = inDouble(c.diffSrc), bound = expected;
        runReference(ops::FullyConnectedDataGradient{c.diffDst, c.weights, expected});
        runReference(ops::FullyConnectedDataGradient{magnitudes(c.diffDst), magnitudes(c.weights), bound});
        runCpu(ops::FullyConnectedDataGradient{c.diffDst, c.weights, c.diffSrc});
        check(agreement, c, c.diffSrc.values(), expected.values(), bound.values(), c.outputs,
              c.diffSrc.type());
        EXPECT_TRUE(c.diffSrc.guardsIntact()) << c.name;
    }
}

TEST(CpuFullyConnected, WeightsGradientAgreesWithTheOracle) {
    PEWTER_NEEDS_CPU();
    Agreement agreement("fully connected weights gradient"), biases("fully connected bias gradient");
    Random random(113);
    for (int i = 0; i < kShapes; ++i) {
        Case c(random, i);
        const bool accumulate = random.coin();
        OpTensor expected = inDouble(c.diffWeights), bound = magnitudes(c.diffWeights);
        OpArray expectedBias = inDouble(c.diffBias), boundBias = magnitudes(c.diffBias);
        runReference(
            ops::FullyConnectedWeightsGradient{c.src, c.diffDst, expected, expectedBias, accumulate});
        runReference(ops::FullyConnectedWeightsGradient{magnitudes(c.src), magnitudes(c.diffDst), bound,
                                                        boundBias, accumulate});
        runCpu(ops::FullyConnectedWeightsGradient{c.src, c.diffDst, c.diffWeights, c.diffBias, accumulate});
        check(agreement, c, c.diffWeights.values(), expected.values(), bound.values(), c.n + 1,
              ops::Type::Float32);
        if (c.bias.size() > 0)
            check(biases, c, c.diffBias.values(), expectedBias.values(), boundBias.values(), c.n + 1,
                  ops::Type::Float32);
        EXPECT_TRUE(c.diffWeights.guardsIntact()) << c.name;
    }
}

}  // namespace
}  // namespace pewter::test
