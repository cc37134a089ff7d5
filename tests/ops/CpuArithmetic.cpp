// Element-wise arithmetic of the cpu device and its gradients against the oracle.

#include <cmath>

#include "CpuPointwise.h"

namespace pewter::test {
namespace {

class CpuArithmetic : public CpuOps {};

/// The shape with some axes cut to 1.
Shape drawBroadcast(Random& random, const Shape& s) {
    const auto some = [&](std::int64_t extent) { return random.integer(0, 2) ? extent : 1; };
    return {some(s.n), some(s.h), some(s.w), some(s.c)};
}

TEST_F(CpuArithmetic, ForwardAgreesWithReferenceUnderBroadcasting) {
    Random random(601);
    Comparison worst("Arithmetic");
    for (int i = 0; i < 2 * kCases; ++i) {
        const Shape s = drawShape(random);
        const bool exact = random.coin();
        ops::Arithmetic op;
        op.type = static_cast<ops::ArithmeticType>(random.integer(0, 3));
        const Shape a = random.coin() ? s : drawBroadcast(random, s),
                    b = random.coin() ? s : drawBroadcast(random, s);
        OpTensor x = drawTensor(random, a), y = drawTensor(random, b);
        if (exact) {
            // Sums and products of small integers: no rounding, so the clamp and its mask are exact as well.
            if (op.type == ops::ArithmeticType::Divide) op.type = ops::ArithmeticType::Subtract;
            x = OpTensor(ops::Type::Float32, a.n, a.h, a.w, a.c, drawLayout(random));
            y = OpTensor(ops::Type::Float32, b.n, b.h, b.w, b.c, drawLayout(random));
            x.fillIntegers(random, -9, 9);
            y.fillIntegers(random, -9, 9);
            op.primaryScale = static_cast<float>(random.integer(-2, 2));
            op.secondaryScale = static_cast<float>(random.integer(-2, 2));
            op.bias = static_cast<float>(random.integer(-3, 3));
        } else {
            x.fillUniform(random, -2, 2);
            y.fillUniform(random, 0.5, 2);
            op.primaryScale = static_cast<float>(random.uniform(-2, 2));
            op.secondaryScale = static_cast<float>(random.uniform(0.5, 2));
            op.bias = static_cast<float>(random.uniform(-1, 1));
        }
        if (exact || random.coin()) op.minimum = -4, op.maximum = 7;
        OpTensor dst = exact ? OpTensor(ops::Type::Float32, s.n, s.h, s.w, s.c, drawLayout(random))
                             : drawTensor(random, s);
        OpTensor mask, expected = dst;
        if (exact && random.coin()) mask = OpTensor(ops::Type::UInt8, s.n, s.h, s.w, s.c);
        OpTensor expectedMask = mask;
        op.primary = broadcast(x, s.n, s.h, s.w, s.c);
        op.secondary = broadcast(y, s.n, s.h, s.w, s.c);
        op.dst = dst, op.mask = mask;
        run(op);
        op.dst = expected, op.mask = expectedMask;
        runReference(op);
        const std::string what = "type " + std::to_string(static_cast<int>(op.type)) + " " + describe(x) +
                                 " with " + describe(y) + " to " + describe(dst);
        if (exact) {
            ASSERT_EQ(dst.values(), expected.values()) << what;
            ASSERT_EQ(mask.values(), expectedMask.values()) << what;
            ASSERT_TRUE(dst.guardsIntact() && mask.guardsIntact()) << what;
            continue;
        }
        const OpTensor wideX(ops::Type::Float64, s.n, s.h, s.w, s.c), wideY = wideX;
        runReference(ops::Copy{op.primary, wideX});
        runReference(ops::Copy{op.secondary, wideY});
        worst.check(dst, expected, what, [&](std::size_t k) {
            const auto j = static_cast<std::int64_t>(k);
            const double p = std::fabs(op.primaryScale * wideX.at(j)),
                         q = std::fabs(op.secondaryScale * wideY.at(j));
            double size = p + q;
            if (op.type == ops::ArithmeticType::Multiply) size = p * q;
            if (op.type == ops::ArithmeticType::Divide) size = p / q;
            return kEpsilon * (2 * size + std::fabs(op.bias));
        });
        if (HasFatalFailure()) return;
    }
}

TEST_F(CpuArithmetic, GradientSumsOverBroadcastAxesLikeReference) {
    Random random(602);
    Comparison worst("ArithmeticGradient");
    for (int i = 0; i < 2 * kCases; ++i) {
        const Shape s = drawShape(random);
        const Shape to = i % 8 == 0 ? s : drawBroadcast(random, s);
        const bool exact = random.coin();
        ops::ArithmeticGradient op;
        op.type = static_cast<ops::ArithmeticType>(random.integer(0, 2));
        op.primaryScale = exact ? 2 : static_cast<float>(random.uniform(-2, 2));
        op.secondaryScale = exact ? -1 : static_cast<float>(random.uniform(-2, 2));
        const auto make = [&](const Shape& shape) {
            return exact
                       ? OpTensor(ops::Type::Float32, shape.n, shape.h, shape.w, shape.c, drawLayout(random))
                       : drawTensor(random, shape);
        };
        OpTensor diffDst = make(s), mask, other;
        const Shape otherShape = random.coin() ? s : drawBroadcast(random, s);
        if (op.type == ops::ArithmeticType::Multiply) other = make(otherShape);
        if (random.coin()) mask = OpTensor(ops::Type::UInt8, s.n, s.h, s.w, s.c);
        mask.fillIntegers(random, 0, 1);
        for (OpTensor* t : {&diffDst, &other}) {
            if (exact)
                t->fillIntegers(random, -4, 4);
            else
                t->fillUniform(random, -2, 2);
        }
        OpTensor diffSrc = make(to), expected = diffSrc;
        diffSrc.fill(1);
        op.diffDst = diffDst;
        if (other.count() > 0) op.other = broadcast(other, s.n, s.h, s.w, s.c);
        op.mask = mask;
        op.diffSrc = diffSrc;
        run(op);
        op.diffSrc = expected;
        runReference(op);
        const std::string what = describe(diffDst) + " to " + describe(diffSrc);
        if (exact) {
            ASSERT_EQ(diffSrc.values(), expected.values()) << what;
            ASSERT_TRUE(diffSrc.guardsIntact()) << what;
            continue;
        }
        // The sum of the sizes of all terms, from the oracle, bounds the rounding of terms and lanes.
        OpTensor sizes(ops::Type::Float64, to.n, to.h, to.w, to.c),
            size(ops::Type::Float64, s.n, s.h, s.w, s.c);
        OpTensor otherSize;
        for (std::int64_t k = 0; k < size.count(); ++k) size.set(k, std::fabs(diffDst.at(k)));
        ops::ArithmeticGradient bound = op;
        bound.primaryScale = std::fabs(op.primaryScale);
        bound.secondaryScale = std::fabs(op.secondaryScale);
        if (other.count() > 0) {
            otherSize = other.as(ops::Type::Float64);
            for (std::int64_t k = 0; k < other.count(); ++k) otherSize.set(k, std::fabs(other.at(k)));
            bound.other = broadcast(otherSize, s.n, s.h, s.w, s.c);
        }
        bound.diffDst = size;
        bound.diffSrc = sizes;
        runReference(bound);
        const std::vector<double> sum = sizes.values();
        const double terms = static_cast<double>(s.count()) / static_cast<double>(to.count());
        worst.check(diffSrc, expected, what, [&](std::size_t k) {
            return kEpsilon * (2 + std::sqrt(std::min(terms, 64.0))) * sum[k];
        });
        if (HasFatalFailure()) return;
    }
}

TEST_F(CpuArithmetic, WorksInPlace) {
    Random random(603);
    for (int i = 0; i < 60; ++i) {
        const Shape s = drawShape(random);
        OpTensor x = drawTensor(random, s, -2, 2), y = x, apart = x, diff = x, diffApart = x;
        ops::Arithmetic op;
        op.type = static_cast<ops::ArithmeticType>(random.integer(0, 2));
        op.primary = x, op.secondary = y, op.dst = apart;
        run(op);
        op.dst = x;
        run(op);
        ASSERT_EQ(x.values(), apart.values());
        ops::ArithmeticGradient gradient;
        gradient.type = ops::ArithmeticType::Multiply;
        gradient.diffDst = diff, gradient.other = y, gradient.diffSrc = diffApart;
        run(gradient);
        gradient.diffSrc = diff;
        run(gradient);
        ASSERT_EQ(diff.values(), diffApart.values());
    }
}

TEST_F(CpuArithmetic, TheClampKeepsNaNAndCutsInfinity) {
    const OpTensor x(ops::Type::Float32, 1, 1, 3, 1, {1, 0, -1}),
        y(ops::Type::Float32, 1, 1, 3, 1, {0, 0, 0});
    OpTensor dst(ops::Type::Float32, 1, 1, 3, 1), mask(ops::Type::UInt8, 1, 1, 3, 1);
    ops::Arithmetic op;
    op.type = ops::ArithmeticType::Divide;
    op.primary = x, op.secondary = y, op.dst = dst, op.mask = mask;
    run(op);
    EXPECT_EQ(dst.at(0), static_cast<double>(std::numeric_limits<float>::max()));
    EXPECT_TRUE(std::isnan(dst.at(1)));
    EXPECT_EQ(dst.at(2), static_cast<double>(-std::numeric_limits<float>::max()));
    EXPECT_EQ(mask.values(), (std::vector<double>{0, 0, 0}));
}

}  // namespace
}  // namespace pewter::test
