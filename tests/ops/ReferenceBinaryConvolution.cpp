// Binary convolution on the oracle: by hand, and against PyTorch's convolutions of sign maps.

#include <gtest/gtest.h>

#include "support/BinaryWeights.h"
#include "support/Compare.h"
#include "support/Fixtures.h"
#include "support/RunReference.h"

namespace pewter::test {
namespace {

using Numbers = std::vector<double>;
using Type = ops::BinaryConvolutionType;

/// One row of one channel; `bits` are the window.
struct Row {
    OpTensor src;
    std::vector<std::uint32_t> words;
    OpTensor dst;
    ops::BinaryConvolutionForward op;

    Row(Type type, const Numbers& source, const std::vector<int>& bits, std::int64_t outputs)
        : src(ops::Type::Float64, 1, 1, static_cast<std::int64_t>(source.size()), 1, source),
          words(packedBits(bits, 1)),
          dst(ops::Type::Float64, 1, 1, outputs, 1) {
        op.type = type;
        op.src = src;
        op.dst = dst;
        op.weights = {words.data(), ops::Type::UInt32, static_cast<std::int64_t>(words.size())};
        op.window.width = static_cast<std::int64_t>(bits.size());
    }
    Numbers run() {
        runReference(op);
        return dst.values();
    }
};

TEST(ReferenceBinaryConvolution, TheThreeTypesBinariseWhatTheySay) {
    const Numbers source = {0.5, -2, 0, 3};
    EXPECT_EQ(Row(Type::BinaryWeights, source, {1, 0}, 3).run(), (Numbers{2.5, -2, -3}));
    // Signs + - + +: zero counts as positive.
    EXPECT_EQ(Row(Type::Xnor, source, {1, 0}, 3).run(), (Numbers{2, -2, 0}));
    EXPECT_EQ(Row(Type::And, source, {1, 0}, 3).run(), (Numbers{1, 0, 1}));
    EXPECT_EQ(Row(Type::And, source, {1, 1}, 3).run(), (Numbers{1, 1, 2}));
}

TEST(ReferenceBinaryConvolution, AZeroEdgeIsAZeroOfTheShiftedSource) {
    Row sums(Type::BinaryWeights, {1, 2}, {1, 1}, 3);
    OpArray bias(ops::Type::Float32, {10});
    sums.op.inputBias = bias;
    sums.op.window.padLeft = 1;
    EXPECT_EQ(sums.run(), (Numbers{11, 23, 12}));
    Row bits(Type::Xnor, {-1, -1}, {1, 1}, 3);
    bits.op.window.padLeft = 1;
    EXPECT_EQ(bits.run(), (Numbers{0, -2, 0})) << "outside is 0, which counts as 1";
    bits.op.window.edge = ops::Edge::Clamp;
    EXPECT_EQ(bits.run(), (Numbers{-2, -2, -2}));
}

TEST(ReferenceBinaryConvolution, ScalesBiasesBetaAndNeuronComeInTheirOrder) {
    Row one(Type::Xnor, {1, -3}, {1, 1}, 1);
    OpArray inputBias(ops::Type::Float32, {-2}), inputScale(ops::Type::Float32, {-1}),
        outputBias(ops::Type::Float32, {1}), outputScale(ops::Type::Float32, {-4});
    one.op.inputBias = inputBias;
    one.op.inputScale = inputScale;
    one.op.outputBias = outputBias;
    one.op.outputScale = outputScale;
    // t = 1, 5: both positive, S = 2.
    EXPECT_EQ(one.run(), (Numbers{-7}));
    one.op.betaScaling = true;  // mean of 1 and 5
    EXPECT_EQ(one.run(), (Numbers{-23}));
    one.op.neuron = {ops::NeuronType::Absolute, 0, 0, 0, nullptr};
    EXPECT_EQ(one.run(), (Numbers{23}));
}

TEST(ReferenceBinaryConvolution, AgreesWithPyTorch) {
    const Json cases = fixture("binary_convolution").at("cases");
    ASSERT_FALSE(cases.empty());
    for (const Json& one : cases) {
        const auto name = one.at("name").get<std::string>();
        const OpTensor x = tensorOf(one.at("x")), y = tensorOf(one.at("y"));
        const auto kind = one.at("type").get<std::string>();
        const auto words =
            packedBits(numbers(one.at("bits")), one.at("inputFeatureChannels").get<std::size_t>());
        const OpArray inputBias = arrayOf(one.at("inputBias")), inputScale = arrayOf(one.at("inputScale")),
                      outputBias = arrayOf(one.at("outputBias")),
                      outputScale = arrayOf(one.at("outputScale"));
        OpTensor dst = y;
        dst.fill(0);
        ops::BinaryConvolutionForward op;
        op.type = kind == "AND" ? Type::And : kind == "XNOR" ? Type::Xnor : Type::BinaryWeights;
        op.src = x;
        op.dst = dst;
        op.weights = {const_cast<std::uint32_t*>(words.data()), ops::Type::UInt32,
                      static_cast<std::int64_t>(words.size())};
        op.inputBias = inputBias;
        op.inputScale = inputScale;
        op.outputBias = outputBias;
        op.outputScale = outputScale;
        op.betaScaling = one.at("betaScaling");
        op.window = {one.at("kernelWidth"),
                     one.at("kernelHeight"),
                     one.at("strideX"),
                     one.at("strideY"),
                     one.at("dilationX"),
                     one.at("dilationY"),
                     0,
                     0,
                     ops::Edge::Zero};
        runReference(op);
        EXPECT_TRUE(allNear(dst.values(), y.values(), 1e-10)) << name;
    }
}

}  // namespace
}  // namespace pewter::test
