// Central differences for neurons, softmax, dropout, arithmetic and copies.

#include <gtest/gtest.h>

#include <cmath>
#include <string>

#include "support/GradientCheck.h"

namespace pewter::test {
namespace {

constexpr auto kType = ops::Type::Float64;
using enum ops::NeuronType;

const float kSlopes[] = {0.25f, -0.5f, 1.5f};

struct NeuronCase {
    const char* name;
    ops::Neuron neuron;
    /// Where the function has a kink.
    std::vector<double> kinks = {};
};

const NeuronCase kNeurons[] = {
    {"None", {None, 0, 0, 0, nullptr}},
    {"ReLU", {ReLU, 0, 0, 0, nullptr}, {0}},
    {"LeakyReLU", {ReLU, 0.125f, 0, 0, nullptr}, {0}},
    {"Linear", {Linear, -1.5f, 0.75f, 0, nullptr}},
    {"Sigmoid", {Sigmoid, 0, 0, 0, nullptr}},
    {"HardSigmoid", {HardSigmoid, 0.25f, 0.5f, 0, nullptr}, {-2, 2}},
    {"TanH", {TanH, 1.75f, 0.625f, 0, nullptr}},
    {"Absolute", {Absolute, 0, 0, 0, nullptr}, {0}},
    {"SoftPlus", {SoftPlus, 1.5f, 0.5f, 0, nullptr}},
    {"SoftSign", {SoftSign, 0, 0, 0, nullptr}, {0}},
    {"ELU", {ELU, 0.75f, 0, 0, nullptr}, {0}},
    {"PReLU", {PReLU, 0, 0, 0, kSlopes}, {0}},
    {"ReLUN", {ReLUN, 0.5f, 1.25f, 0, nullptr}, {0, 1.25}},
    {"ReLUNCapOnTheLeft", {ReLUN, -0.5f, 1, 0, nullptr}, {0, 1, -2}},
    {"PowerWholeExponent", {Power, -0.5f, 0.25f, 3, nullptr}},
    {"PowerRoot", {Power, 0.5f, 3, 0.5f, nullptr}},
    {"Exponential", {Exponential, 0.5f, 0.25f, -1, nullptr}},
    {"ExponentialBase2", {Exponential, -0.5f, 1, 2, nullptr}},
    {"Logarithm", {Logarithm, 0.5f, 3, -1, nullptr}},
    {"LogarithmBase10", {Logarithm, 0.5f, 3, 10, nullptr}},
    {"GeLU", {GeLU, 0, 0, 0, nullptr}},
};

class GradientNeuron : public testing::TestWithParam<NeuronCase> {};

TEST_P(GradientNeuron, DataGradientIsTheDerivative) {
    const NeuronCase& p = GetParam();
    Random random(31);
    OpTensor src(kType, 2, 3, 4, 3), diffSrc = src, dst = src, diffDst = src;
    for (std::int64_t i = 0; i < src.count(); ++i) {
        double x = 0, distance = 0;
        while (distance < kKinkMargin) {
            x = random.uniform(-4, 4);
            distance = 1;
            for (double kink : p.kinks) distance = std::min(distance, std::fabs(x - kink));
        }
        src.set(i, x);
    }
    diffDst.fillUniform(random, -1, 1);
    runReference(ops::NeuronGradient{src, diffDst, diffSrc, p.neuron});
    EXPECT_TRUE(isGradient(diffSrc.values(), src, [&] {
        runReference(ops::NeuronForward{src, dst, p.neuron});
        return dot(dst, diffDst);
    }));
}

INSTANTIATE_TEST_SUITE_P(Types, GradientNeuron, testing::ValuesIn(kNeurons),
                         [](const auto& info) { return std::string(info.param.name); });

TEST(GradientSoftMax, DataGradientIsTheDerivativeForBothForms) {
    for (const bool logarithm : {false, true}) {
        Random random(32);
        OpTensor src(kType, 2, 2, 3, 5), dst = src, diffDst = src, diffSrc = src;
        src.fillUniform(random, -2, 2);
        diffDst.fillUniform(random, -1, 1);
        runReference(ops::SoftMaxForward{src, dst, logarithm});
        runReference(ops::SoftMaxGradient{dst, diffDst, diffSrc, logarithm});
        EXPECT_TRUE(isGradient(diffSrc.values(), src,
                               [&] {
                                   runReference(ops::SoftMaxForward{src, dst, logarithm});
                                   return dot(dst, diffDst);
                               }))
            << "logarithm " << logarithm;
    }
}

TEST(GradientDropout, DataGradientIsTheDerivativeForEveryMaskShape) {
    for (int shape = 0; shape < 8; ++shape) {
        Random random(33);
        OpTensor src(kType, 2, 3, 4, 5), dst = src, diffDst = src, diffSrc = src;
        OpTensor mask(ops::Type::UInt8, 2, shape & 1 ? 3 : 1, shape & 2 ? 4 : 1, shape & 4 ? 5 : 1);
        src.fillUniform(random, -1, 1);
        diffDst.fillUniform(random, -1, 1);
        const ops::DropoutForward forward{src, dst, mask, 0.625f, 7, static_cast<std::uint64_t>(shape)};
        runReference(forward);
        runReference(ops::DropoutGradient{diffDst, mask, diffSrc, 0.625f, 0, 0});
        EXPECT_TRUE(isGradient(diffSrc.values(), src,
                               [&] {
                                   runReference(forward);  // the same numbers draw the same mask
                                   return dot(dst, diffDst);
                               }))
            << "mask shape " << shape;
    }
}

struct ArithmeticCase {
    const char* name;
    /// Extents of the operands; 1 where they are broadcast to 2, 3, 4, 3.
    std::int64_t primary[4], secondary[4];
};

const ArithmeticCase kBroadcasts[] = {
    {"SameShape", {2, 3, 4, 3}, {2, 3, 4, 3}},
    {"SecondaryChannelVector", {2, 3, 4, 3}, {2, 1, 1, 3}},
    {"SecondaryOneChannel", {2, 3, 4, 3}, {2, 3, 4, 1}},
    {"SecondaryScalar", {2, 3, 4, 3}, {1, 1, 1, 1}},
    {"RowAgainstColumn", {2, 1, 4, 3}, {2, 3, 1, 1}},
};

class GradientArithmetic : public testing::TestWithParam<ArithmeticCase> {};

TEST_P(GradientArithmetic, BothOperandGradientsAreTheDerivativesThroughTheClampMask) {
    const ArithmeticCase& p = GetParam();
    using enum ops::ArithmeticType;
    for (const auto type : {Add, Subtract, Multiply}) {
        Random random(34);
        auto make = [](const std::int64_t(&e)[4]) { return OpTensor(kType, e[0], e[1], e[2], e[3]); };
        OpTensor x = make(p.primary), y = make(p.secondary), dx = x, dy = y;
        OpTensor dst(kType, 2, 3, 4, 3), diffDst = dst, mask(ops::Type::UInt8, 2, 3, 4, 3);
        diffDst.fillUniform(random, -1, 1);
        ops::Arithmetic op{
            type, broadcast(x, 2, 3, 4, 3), broadcast(y, 2, 3, 4, 3), dst, mask, 1.5f, -0.75f, 0.25f, -0.5f,
            0.75f};
        // Draw again until no result lies near a bound.
        bool near = true;
        while (near) {
            x.fillUniform(random, -1, 1);
            y.fillUniform(random, -1, 1);
            ops::Arithmetic unbounded = op;
            unbounded.minimum = -100;
            unbounded.maximum = 100;
            runReference(unbounded);
            near = false;
            for (double r : dst.values())
                near |= std::fabs(r - op.minimum) < kKinkMargin || std::fabs(r - op.maximum) < kKinkMargin;
        }
        runReference(op);
        ops::ArithmeticGradient toX{type, diffDst, {}, mask, dx, op.primaryScale, 1};
        ops::ArithmeticGradient toY{type, diffDst, {}, mask, dy, op.secondaryScale, 1};
        if (type == Subtract) toY.primaryScale = -toY.primaryScale;
        if (type == Multiply) {
            toX.other = op.secondary;
            toX.secondaryScale = op.secondaryScale;
            toY.other = op.primary;
            toY.secondaryScale = op.primaryScale;
        }
        runReference(toX);
        runReference(toY);
        auto objective = [&] {
            runReference(op);
            return dot(dst, diffDst);
        };
        EXPECT_TRUE(isGradient(dx.values(), x, objective)) << "type " << static_cast<int>(type);
        EXPECT_TRUE(isGradient(dy.values(), y, objective)) << "type " << static_cast<int>(type);
    }
}

INSTANTIATE_TEST_SUITE_P(Broadcasts, GradientArithmetic, testing::ValuesIn(kBroadcasts),
                         [](const auto& info) { return std::string(info.param.name); });

TEST(GradientCopy, CopyGradientIsTheDerivativeForEveryOffsetAndEdge) {
    for (const auto edge : {ops::Edge::Zero, ops::Edge::Clamp})
        for (const std::int64_t offset : {-4, -1, 0, 2, 6}) {
            Random random(35);
            OpTensor src(kType, 2, 4, 5, 2), diffSrc = src, dst(kType, 2, 3, 4, 2), diffDst = dst;
            src.fillUniform(random, -1, 1);
            diffDst.fillUniform(random, -1, 1);
            diffSrc.fill(99);
            runReference(ops::CopyGradient{diffDst, diffSrc, offset, -offset, edge});
            EXPECT_TRUE(isGradient(diffSrc.values(), src,
                                   [&] {
                                       runReference(ops::Copy{src, dst, offset, -offset, edge});
                                       return dot(dst, diffDst);
                                   }))
                << "offset " << offset;
        }
}

}  // namespace
}  // namespace pewter::test
