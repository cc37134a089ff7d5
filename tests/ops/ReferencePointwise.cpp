// Neurons, softmax, dropout, arithmetic and copies: values worked out by hand and corner cases.

#include <gtest/gtest.h>

#include <cfloat>
#include <cmath>

#include "ops/Random.h"
#include "support/Compare.h"
#include "support/OpTensors.h"
#include "support/RunReference.h"

namespace pewter::test {
namespace {

using Numbers = std::vector<double>;
constexpr auto kType = ops::Type::Float64;
constexpr double kInfinity = HUGE_VAL;

OpTensor line(const Numbers& values) {
    return {kType, 1, 1, static_cast<std::int64_t>(values.size()), 1, values};
}

Numbers f(ops::NeuronType type, const Numbers& x, float a = 0, float b = 0, float c = 0) {
    OpTensor t = line(x);
    runReference(ops::NeuronForward{t, t, {type, a, b, c, nullptr}});  // in place
    return t.values();
}

Numbers derivative(ops::NeuronType type, const Numbers& x, float a = 0, float b = 0, float c = 0) {
    const OpTensor t = line(x);
    OpTensor diff = line(Numbers(x.size(), 1));
    runReference(ops::NeuronGradient{t, diff, diff, {type, a, b, c, nullptr}});
    return diff.values();
}

using enum ops::NeuronType;

TEST(ReferenceNeuron, ExactValues) {
    EXPECT_EQ(f(ReLU, {-2, 0, 3}), (Numbers{0, 0, 3}));
    EXPECT_EQ(f(ReLU, {-2, 0, 3}, 0.5f), (Numbers{-1, 0, 3}));
    EXPECT_EQ(f(Linear, {-2, 3}, 2, 1), (Numbers{-3, 7}));
    EXPECT_EQ(f(HardSigmoid, {-9, 0, 1, 9}, 0.25f, 0.5f), (Numbers{0, 0.5, 0.75, 1}));
    EXPECT_EQ(f(Absolute, {-2, 3}), (Numbers{2, 3}));
    EXPECT_EQ(f(SoftSign, {-1, 0, 3}), (Numbers{-0.5, 0, 0.75}));
    EXPECT_EQ(f(ReLUN, {-2, 3, 9}, 0.5f, 6), (Numbers{-1, 3, 6}));
    EXPECT_EQ(f(Power, {1, 2}, 2, 1, 2), (Numbers{9, 25}));
    EXPECT_EQ(f(Exponential, {0, 2}, 1, 1, 2), (Numbers{2, 8}));
    EXPECT_EQ(f(Exponential, {0}, 1, 0, -1), (Numbers{1}));
    EXPECT_EQ(f(Logarithm, {1, 4}, 2, 0, 2), (Numbers{1, 3}));
    EXPECT_EQ(f(Sigmoid, {0}), (Numbers{0.5}));
    EXPECT_EQ(f(GeLU, {0}), (Numbers{0}));
    EXPECT_EQ(f(SoftPlus, {0}, 2, 1), (Numbers{2 * std::log(2.0)}));
    EXPECT_EQ(f(ELU, {-kInfinity, 2}, 3), (Numbers{-3, 2}));
}

TEST(ReferenceNeuron, LargeArgumentsDoNotOverflow) {
    EXPECT_EQ(f(Sigmoid, {-800, 800}), (Numbers{0, 1}));
    EXPECT_EQ(f(SoftPlus, {-800, 800}, 1, 1), (Numbers{0, 800}));
    EXPECT_EQ(derivative(SoftPlus, {-800, 800}, 1, 1), (Numbers{0, 1}));
    EXPECT_EQ(f(ReLU, {-kInfinity, kInfinity}), (Numbers{0, kInfinity}));
}

TEST(ReferenceNeuron, AtAKinkTheBranchOfTheNonNegativeSideCounts) {
    EXPECT_EQ(derivative(ReLU, {-1, 0, 1}, 0.25f), (Numbers{0.25, 1, 1}));
    EXPECT_EQ(derivative(ELU, {0}, 0.25f), (Numbers{1}));
    EXPECT_EQ(derivative(Absolute, {-1, 0, 1}), (Numbers{-1, 0, 1}));
    EXPECT_EQ(derivative(ReLUN, {-1, 0, 5, 6, 7}, 0.5f, 6), (Numbers{0.5, 1, 1, 0, 0}));
    EXPECT_EQ(derivative(HardSigmoid, {-2.5, -2, 0, 2, 2.5}, 0.25f, 0.5f), (Numbers{0, 0.25, 0.25, 0.25, 0}));
}

TEST(ReferenceNeuron, NaNStaysNaN) {
    for (const auto type : {None, ReLU, Linear, Sigmoid, HardSigmoid, TanH, Absolute, SoftPlus, SoftSign, ELU,
                            ReLUN, Power, Exponential, Logarithm, GeLU})
        EXPECT_TRUE(std::isnan(f(type, {std::nan("")}, 1, 1, 2)[0])) << static_cast<int>(type);
    EXPECT_TRUE(std::isnan(f(Logarithm, {-1}, 1, 0, -1)[0]));
    EXPECT_EQ(f(Logarithm, {0}, 1, 0, -1), (Numbers{-kInfinity}));
}

TEST(ReferenceSoftMax, LargeScoresKeepTheirRatio) {
    OpTensor x(kType, 1, 1, 2, 2, {1000, 1000 + std::log(3.0), -5000, -5000});
    OpTensor y(kType, 1, 1, 2, 2);
    runReference(ops::SoftMaxForward{x, y, false});
    EXPECT_TRUE(allNear(y.values(), {0.25, 0.75, 0.5, 0.5}, 1e-12));
    runReference(ops::SoftMaxForward{x, x, true});  // in place
    EXPECT_TRUE(allNear(x.values(), {std::log(0.25), std::log(0.75), std::log(0.5), std::log(0.5)}, 1e-12));
}

TEST(ReferenceDropout, TheMaskIsTheStreamOfSeedSequenceImageAndElement) {
    OpTensor src(kType, 2, 3, 4, 5), dst = src, mask(ops::Type::UInt8, 2, 3, 4, 5);
    src.fill(3);
    runReference(ops::DropoutForward{src, dst, mask, 0.75f, 42, 9});
    std::int64_t kept = 0;
    for (std::int64_t i = 0; i < src.count(); ++i) {
        const bool keep = ops::uniform(42, 9, static_cast<std::uint32_t>(i / 60),
                                       static_cast<std::uint64_t>(i % 60)) < 0.75f;
        EXPECT_EQ(mask.at(i), keep ? 1 : 0);
        EXPECT_EQ(dst.at(i), keep ? 4 : 0);
        kept += keep;
    }
    EXPECT_GT(kept, 0);
    EXPECT_LT(kept, src.count());
}

TEST(ReferenceDropout, AMaskOfOneChannelIsSharedByAllChannels) {
    OpTensor src(kType, 1, 2, 3, 4), dst = src, mask(ops::Type::UInt8, 1, 2, 3, 1);
    src.fill(1);
    runReference(ops::DropoutForward{src, dst, mask, 0.5f, 1, 0});
    for (std::int64_t i = 0; i < src.count(); ++i) EXPECT_EQ(dst.at(i), 2 * mask.at(i / 4));
}

TEST(ReferenceDropout, OffsetsShiftTheMaskAndOutsideItNothingPasses) {
    const OpTensor mask(ops::Type::UInt8, 1, 2, 2, 1, {1, 0, 1, 1});
    const OpTensor diffDst(kType, 1, 2, 2, 1, {1, 2, 3, 4});
    OpTensor diffSrc(kType, 1, 2, 2, 1);
    runReference(ops::DropoutGradient{diffDst, mask, diffSrc, 0.5f, 1, 0});
    EXPECT_EQ(diffSrc.values(), (Numbers{0, 0, 6, 0}));
    runReference(ops::DropoutGradient{diffDst, mask, diffSrc, 0.5f, 0, -1});
    EXPECT_EQ(diffSrc.values(), (Numbers{0, 0, 6, 0}));
    runReference(ops::DropoutGradient{diffDst, mask, diffSrc, 0.5f, 0, 1});
    EXPECT_EQ(diffSrc.values(), (Numbers{2, 4, 0, 0}));
}

ops::Arithmetic arithmetic(ops::ArithmeticType type, const ops::Tensor& x, const ops::Tensor& y,
                           const ops::Tensor& r) {
    ops::Arithmetic op;
    op.type = type;
    op.primary = x;
    op.secondary = y;
    op.dst = r;
    op.primaryScale = 2;
    op.secondaryScale = 4;
    op.bias = 1;
    return op;
}

TEST(ReferenceArithmetic, ScalesOperationAndBiasComeInThisOrder) {
    const OpTensor x = line({3, -1}), y = line({1, 2});
    OpTensor r = line({0, 0});
    using enum ops::ArithmeticType;
    runReference(arithmetic(Add, x, y, r));
    EXPECT_EQ(r.values(), (Numbers{11, 7}));
    runReference(arithmetic(Subtract, x, y, r));
    EXPECT_EQ(r.values(), (Numbers{3, -9}));
    runReference(arithmetic(Multiply, x, y, r));
    EXPECT_EQ(r.values(), (Numbers{25, -15}));
    runReference(arithmetic(Divide, x, y, r));
    EXPECT_EQ(r.values(), (Numbers{2.5, 0.75}));
}

TEST(ReferenceArithmetic, ClampKeepsNaNAndMarksWhatLiesStrictlyInside) {
    OpTensor x = line({-9, -2, 0, 2, 9, std::nan("")}), zero = line({0, 0, 0, 0, 0, 0}),
             mask(ops::Type::UInt8, 1, 1, 6, 1);
    ops::Arithmetic op;
    op.primary = op.dst = x;  // in place
    op.secondary = zero;
    op.mask = mask;
    op.minimum = -2;
    op.maximum = 2;
    runReference(op);
    const Numbers r = x.values();
    EXPECT_EQ(Numbers(r.begin(), r.begin() + 5), (Numbers{-2, -2, 0, 2, 2}));
    EXPECT_TRUE(std::isnan(r[5]));
    EXPECT_EQ(mask.values(), (Numbers{0, 0, 1, 0, 0, 0}));
}

TEST(ReferenceArithmetic, DefaultBoundsTurnInfinitiesIntoTheLargestFloats) {
    OpTensor x = line({kInfinity, -kInfinity}), zero = line({0, 0});
    ops::Arithmetic op;
    op.primary = op.dst = x;
    op.secondary = zero;
    runReference(op);
    EXPECT_EQ(x.values(), (Numbers{FLT_MAX, -FLT_MAX}));
}

TEST(ReferenceArithmetic, GradientSumsOverEveryAxisThatWasBroadcast) {
    OpTensor diff(kType, 2, 1, 2, 3, {1, 2, 3, 4, 5, 6, 10, 20, 30, 40, 50, 60});
    OpTensor perChannel(kType, 1, 1, 1, 3), scalar(kType, 1, 1, 1, 1), perImage(kType, 2, 1, 1, 1);
    runReference(ops::ArithmeticGradient{ops::ArithmeticType::Add, diff, {}, {}, perChannel, 2, 1});
    EXPECT_EQ(perChannel.values(), (Numbers{110, 154, 198}));
    runReference(ops::ArithmeticGradient{ops::ArithmeticType::Add, diff, {}, {}, scalar, 1, 1});
    EXPECT_EQ(scalar.values(), (Numbers{231}));
    runReference(ops::ArithmeticGradient{ops::ArithmeticType::Add, diff, {}, {}, perImage, 1, 1});
    EXPECT_EQ(perImage.values(), (Numbers{21, 210}));
}

TEST(ReferenceCopy, ReadsFromTheOffsetAndConverts) {
    const OpTensor src(ops::Type::Float32, 1, 2, 3, 1, {1, 2, 3, 4, 5, 6});
    OpTensor zero(ops::Type::Float16, 1, 2, 3, 1), clamp = zero;
    runReference(ops::Copy{src, zero, 1, -1, ops::Edge::Zero});
    EXPECT_EQ(zero.values(), (Numbers{0, 0, 0, 2, 3, 0}));
    runReference(ops::Copy{src, clamp, 1, -1, ops::Edge::Clamp});
    EXPECT_EQ(clamp.values(), (Numbers{2, 3, 3, 2, 3, 3}));
}

TEST(ReferenceCopy, GradientAddsWhatWasReadTwice) {
    const OpTensor diff(ops::Type::Float32, 1, 1, 3, 1, {1, 10, 100});
    OpTensor zero(ops::Type::Float32, 1, 1, 2, 1, {9, 9}), clamp = zero;
    runReference(ops::CopyGradient{diff, zero, 1, 0, ops::Edge::Zero});
    EXPECT_EQ(zero.values(), (Numbers{0, 1}));
    runReference(ops::CopyGradient{diff, clamp, 1, 0, ops::Edge::Clamp});
    EXPECT_EQ(clamp.values(), (Numbers{0, 111}));
}

TEST(ReferenceCopy, FillAndArrayCopyConvert) {
    OpTensor t(ops::Type::BFloat16, 1, 2, 2, 3, Layout::scattered());
    runReference(ops::Fill{t, 1.5f});
    EXPECT_EQ(t.values(), Numbers(12, 1.5));
    EXPECT_TRUE(t.guardsIntact());
    const OpArray from(ops::Type::Float16, {1, 2, 3});
    OpArray to(ops::Type::Float32, 3);
    runReference(ops::ArrayCopy{from, to});
    EXPECT_EQ(to.values(), (Numbers{1, 2, 3}));
}

}  // namespace
}  // namespace pewter::test
