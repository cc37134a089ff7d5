#include <gtest/gtest.h>

#include "BinaryWeights.h"
#include "CpuWeightedCase.h"

namespace pewter::test {
namespace {

using Type = ops::BinaryConvolutionType;

/// A binary convolution with its operands. Sources are odd multiples of 1/8, shifts multiples of 1/4 and
/// scales powers of two, so that no value that decides a bit is rounded.
struct Case : WeightedCase {
    std::int64_t n, inputs, outputs;
    DrawnAxis y, x;
    Type type;
    bool beta;
    OpTensor src, dst;
    std::vector<std::uint32_t> words;
    OpArray inputBias, inputScale, outputBias, outputScale;
    ops::Window window;
    ops::Neuron neuron;

    Case(Random& random, int index)
        : WeightedCase(index), n(random.integer(1, 3)), y(random, 9, 4, 2), x(random, 9, 4, 2) {
        const std::int64_t counts[] = {1, 3, 15, 16, 31, 32, 40, 64, 65, 100, 128, 150};
        inputs = counts[random.integer(0, 11)];
        outputs = random.integer(1, 20);
        type = static_cast<Type>(random.integer(0, 2));
        beta = !exact && random.coin();
        window = windowOf(y, x, random.coin() ? ops::Edge::Zero : ops::Edge::Clamp);
        src = image(random, n, y.source, x.source, inputs);
        dst = image(random, n, y.outputs, x.outputs, outputs);
        const bool unorm = src.type() == ops::Type::Unorm8 || src.type() == ops::Type::Unorm16;
        std::vector<double> values(static_cast<std::size_t>(n * y.source * x.source * inputs));
        for (double& value : values)
            value = unorm ? random.uniform(0, 1) : (2 * static_cast<double>(random.integer(-12, 12)) + 1) / 8;
        src.setValues(values);
        std::vector<int> bits(static_cast<std::size_t>(outputs * window.width * window.height * inputs));
        for (int& bit : bits) bit = random.coin() ? 1 : 0;
        words = packedBits(bits, static_cast<std::size_t>(inputs));
        if (random.coin()) {
            inputBias = OpArray(ops::Type::Float32, inputs);
            inputScale = OpArray(ops::Type::Float32, inputs);
            for (std::int64_t c = 0; c < inputs; ++c) {
                // Unorm values round to anything: only their own zero is far from a kink.
                inputBias.set(c, unorm ? 0.0 : static_cast<double>(random.integer(-6, 6)) / 4);
                inputScale.set(c, random.coin() ? 0.5 : -2.0);
            }
        }
        if (random.coin()) outputBias = arrayOf(random, outputs);
        if (random.coin()) outputScale = arrayOf(random, outputs);
        if (random.integer(0, 3) == 0) neuron = {ops::NeuronType::ReLU, 0.5f, 0, 0, nullptr};
        name = describe(window, n, y, x) + " channels " + std::to_string(inputs) + " to " +
               std::to_string(outputs) + " type " + std::to_string(static_cast<int>(type)) +
               (beta ? " beta " : " ") + ops::nameOf(src.type());
    }

    ops::BinaryConvolutionForward op(ops::Tensor source, ops::Tensor result) {
        ops::BinaryConvolutionForward op;
        op.type = type;
        op.src = source;
        op.dst = result;
        op.weights = {words.data(), ops::Type::UInt32, static_cast<std::int64_t>(words.size())};
        op.inputBias = inputBias;
        op.inputScale = inputScale;
        op.outputBias = outputBias;
        op.outputScale = outputScale;
        op.window = window;
        op.betaScaling = beta;
        op.neuron = neuron;
        return op;
    }
    /// Bound of |S * scale * beta| + |bias|: what the sum of magnitudes cannot exceed.
    double magnitude() const {
        double largest = 0, scale = 1, bias = 0;
        for (const double value : src.values()) largest = std::max(largest, std::fabs(value));
        for (const double value : outputScale.values()) scale = std::max(scale, std::fabs(value));
        for (const double value : outputBias.values()) bias = std::max(bias, std::fabs(value));
        const double t = (largest + 1.5) * 2;
        const double products = static_cast<double>(window.width * window.height * inputs);
        return products * (type == Type::BinaryWeights ? t : 1) * scale * (beta ? t : 1) + bias;
    }
};

TEST(CpuBinaryConvolution, AgreesWithTheOracle) {
    PEWTER_NEEDS_CPU();
    Agreement agreement("binary convolution");
    Random random(121);
    for (int i = 0; i < 300; ++i) {
        Case c(random, i);
        OpTensor expected = inDouble(c.dst);
        runReference(c.op(c.src, expected));
        runCpu(c.op(c.src, c.dst));
        const std::vector<double> bounds(static_cast<std::size_t>(c.dst.count()), c.magnitude());
        // Sums of whole numbers are exact; what remains are beta's sum and a few products.
        const std::int64_t length =
            c.type == Type::BinaryWeights || c.beta ? c.window.width * c.window.height * c.inputs : 1;
        if (c.exact && c.type != Type::BinaryWeights)
            agreement.compareExactly(c.dst.values(), expected.values(), c.name);
        else
            agreement.compare(c.dst.values(), expected.values(), bounds, length, c.dst.type(), c.name);
        EXPECT_TRUE(c.dst.guardsIntact()) << c.name;
    }
}

TEST(CpuBinaryConvolution, NotANumberCountsAsOneOnEveryPath) {
    PEWTER_NEEDS_CPU();
    // 64 channels are counted in words, 3 are not.
    for (const std::int64_t inputs : {64, 3}) {
        OpTensor src(ops::Type::Float32, 1, 1, 1, inputs), dst(ops::Type::Float32, 1, 1, 1, 1),
            expected = dst;
        src.fill(-1);
        src.set(0, 0, 0, 1, std::nan(""));
        auto words = packedBits(std::vector<int>(static_cast<std::size_t>(inputs), 1),
                                static_cast<std::size_t>(inputs));
        ops::BinaryConvolutionForward op;
        op.type = Type::Xnor;
        op.src = src;
        op.weights = {words.data(), ops::Type::UInt32, static_cast<std::int64_t>(words.size())};
        op.dst = dst;
        runCpu(op);
        op.dst = expected;
        runReference(op);
        EXPECT_EQ(dst.values(), expected.values());
        EXPECT_EQ(dst.at(0), 2.0 - static_cast<double>(inputs));
    }
}

}  // namespace
}  // namespace pewter::test
