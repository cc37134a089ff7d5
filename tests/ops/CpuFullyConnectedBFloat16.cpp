#include <gtest/gtest.h>

#include "CpuWeightedCase.h"

// Small batches in bfloat16: products in it, sums in float32.

namespace pewter::test {
namespace {

using ops::Type;

struct Batch {
    Batch(std::int64_t n, std::int64_t inner, std::int64_t outputs)
        : src(Type::BFloat16, n, 1, 1, inner),
          diffSrc(src),
          dst(Type::BFloat16, n, 1, 1, outputs),
          weights(Type::Float32, outputs, 1, 1, inner),
          bias(Type::Float32, outputs),
          name(std::to_string(n) + " of " + std::to_string(inner) + " to " + std::to_string(outputs)) {}

    OpTensor src, diffSrc, dst, weights;
    OpArray bias;
    std::string name;
};

/// What the operation makes of the operands in double.
template <class Make>
std::vector<double> oracle(const OpTensor& result, Make make) {
    OpTensor wide = inDouble(result);
    runReference(make(wide));
    return wide.values();
}

std::vector<double> rounded(const std::vector<double>& values) {
    return OpTensor(Type::BFloat16, 1, 1, 1, static_cast<std::int64_t>(values.size()), values).values();
}

template <class Fill, class Compare>
void runAll(Fill fill, Compare compare) {
    Random random(71);
    // Odd batches, ends of blocks, and shapes that these kernels leave to others.
    const std::int64_t shapes[][3] = {{40, 784, 112}, {9, 3136, 48}, {8, 400, 176}, {47, 1040, 80}, {40, 770, 100}, {7, 784, 112}};
    for (const auto& shape : shapes) {
        Batch b(shape[0], shape[1], shape[2]);
        fill(random, b);
        compare(b, b.dst, oracle(b.dst, [&](auto& to) { return ops::FullyConnectedForward{b.src, b.weights, to, b.bias, {}}; }),
                ops::FullyConnectedForward{b.src, b.weights, b.dst, b.bias, {}}, shape[1] + 1);
        fill(random, b);
        compare(b, b.diffSrc, oracle(b.diffSrc, [&](auto& to) { return ops::FullyConnectedDataGradient{b.dst, b.weights, to}; }),
                ops::FullyConnectedDataGradient{b.dst, b.weights, b.diffSrc}, shape[2]);
        for (const bool accumulate : {false, true}) {
            fill(random, b);
            const auto gradient = [&](auto& to) {
                return ops::FullyConnectedWeightsGradient{b.src, b.dst, to, {}, accumulate};
            };
            const auto expected = oracle(b.weights, gradient);
            compare(b, b.weights, expected, gradient(b.weights), shape[0] + 1);
        }
    }
}

TEST(CpuFullyConnectedBFloat16, IsExactOnIntegersAndRoundsItsSumsOnce) {
    PEWTER_NEEDS_CPU();
    runAll(
        [](Random& random, Batch& b) {
            for (OpTensor* t : {&b.src, &b.dst, &b.weights}) t->fillIntegers(random, -3, 3);
            b.bias.fillIntegers(random, -3, 3);
        },
        [](Batch& b, OpTensor& result, const std::vector<double>& expected, const auto& op, std::int64_t) {
            runCpu(op);
            EXPECT_EQ(result.values(), result.type() == Type::BFloat16 ? rounded(expected) : expected) << b.name;
            EXPECT_TRUE(result.guardsIntact()) << b.name;
        });
}

// Weights that bfloat16 holds lose nothing, so that the bound is that of sums in float32.
TEST(CpuFullyConnectedBFloat16, AgreesWithTheOracle) {
    PEWTER_NEEDS_CPU();
    Agreement agreement("fully connected in bfloat16");
    runAll(
        [](Random& random, Batch& b) {
            for (OpTensor* t : {&b.src, &b.dst, &b.weights}) t->fillUniform(random, -1, 1);
            b.weights.setValues(rounded(b.weights.values()));
            b.bias.fillUniform(random, -1, 1);
        },
        [&](Batch& b, OpTensor& result, const std::vector<double>& expected, const auto& op, std::int64_t length) {
            runCpu(op);
            // Every product and what was there is at most 1.
            const std::vector<double> bounds(expected.size(), static_cast<double>(length));
            agreement.compare(result.values(), expected, bounds, length, result.type(), b.name);
        });
}

}  // namespace
}  // namespace pewter::test
