// Reductions of the cpu device against the oracle: every operation over every set of axes.

#include <limits>

#include "CpuPointwise.h"

namespace pewter::test {
namespace {

using Operation = ops::ReductionOperation;

class CpuReduction : public CpuOps {};

/// Which of rows, columns and channels go.
struct Axes {
    bool rows, columns, channels;
    Shape of(const Shape& s) const { return {s.n, rows ? 1 : s.h, columns ? 1 : s.w, channels ? 1 : s.c}; }
};

Axes drawAxes(Random& random) {
    // Nothing at all is legal, too.
    switch (random.integer(0, 7)) {
        case 0:
            return {random.coin(), random.coin(), random.coin()};
        case 1:
            return {true, true, false};
        case 2:
        case 3:
            return {true, false, false};
        case 4:
        case 5:
            return {false, true, false};
        default:
            return {false, false, true};
    }
}

std::string text(const ops::Reduction& op, const OpTensor& src, const OpTensor& dst) {
    return "operation " + std::to_string(static_cast<int>(op.operation)) + " of " + describe(src) + " to " +
           describe(dst);
}

/// The shape drawn, sometimes with so few channels and so many pixels that the lanes of small pixels fill.
Shape drawReduced(Random& random) {
    if (random.integer(0, 5) == 0)
        return {random.integer(1, 2), random.integer(30, 50), random.integer(40, 70), random.integer(1, 5)};
    return drawShape(random);
}

TEST_F(CpuReduction, SumsAndMeansAgreeWithReferenceOverAnyAxes) {
    Random random(711);
    Comparison worst("Reduction, sums");
    for (int i = 0; i < 2 * kCases; ++i) {
        const Shape s = drawReduced(random);
        const Shape to = drawAxes(random).of(s);
        ops::Reduction op;
        op.operation = random.coin() ? Operation::Sum : Operation::Mean;
        op.scale = static_cast<float>(random.uniform(-2, 2));
        OpTensor src = drawTensor(random, s, -1, 1), dst = drawTensor(random, to), expected = dst;
        dst.fill(0.25);
        op.src = src, op.dst = dst;
        run(op);
        op.dst = expected;
        runReference(op);
        // The sum of the magnitudes of all terms bounds the rounding of any order.
        OpTensor sizes(ops::Type::Float64, to.n, to.h, to.w, to.c);
        OpTensor size = src.as(ops::Type::Float64);
        for (std::int64_t k = 0; k < size.count(); ++k) size.set(k, std::fabs(size.at(k)));
        ops::Reduction bound = op;
        bound.src = size, bound.dst = sizes, bound.scale = std::fabs(op.scale);
        runReference(bound);
        const auto magnitudes = sizes.values();
        const double terms = static_cast<double>(s.count()) / static_cast<double>(to.count());
        worst.check(dst, expected, text(op, src, dst), [&](std::size_t k) {
            return kEpsilon * (2 + std::sqrt(std::min(terms, 64.0))) * magnitudes[k];
        });
        if (HasFatalFailure()) return;
    }
}

TEST_F(CpuReduction, SmallIntegersAreExact) {
    Random random(712);
    for (int i = 0; i < kCases; ++i) {
        const Shape s = drawReduced(random);
        const Axes axes = drawAxes(random);
        const Shape to = axes.of(s);
        ops::Reduction op;
        op.operation = static_cast<Operation>(random.integer(0, 3));
        OpTensor src(ops::Type::Float32, s.n, s.h, s.w, s.c, drawLayout(random));
        OpTensor dst(ops::Type::Float32, to.n, to.h, to.w, to.c, drawLayout(random)), expected = dst;
        src.fillIntegers(random, -4, 4);
        op.src = src, op.dst = dst;
        run(op);
        op.dst = expected;
        runReference(op);
        ASSERT_EQ(dst.values(), expected.values()) << text(op, src, dst);
        ASSERT_TRUE(dst.guardsIntact()) << text(op, src, dst);
    }
}

TEST_F(CpuReduction, ExtremaAndTheirIndicesAreThoseOfReference) {
    Random random(713);
    const double nan = std::numeric_limits<double>::quiet_NaN();
    for (int i = 0; i < 2 * kCases; ++i) {
        const Shape s = drawReduced(random);
        ops::Reduction op;
        op.operation = static_cast<Operation>(random.integer(2, 5));
        const bool argument =
            op.operation == Operation::ArgumentMin || op.operation == Operation::ArgumentMax;
        const Shape to = (argument ? Axes{false, false, true} : drawAxes(random)).of(s);
        OpTensor src(random.coin() ? ops::Type::Float32 : ops::Type::Float16, s.n, s.h, s.w, s.c,
                     drawLayout(random));
        // Few values make many ties.
        if (random.coin())
            src.fillIntegers(random, -2, 2);
        else
            src.fillUniform(random, -1, 1);
        if (random.coin())
            for (int k = 0; k < 3; ++k) src.set(random.integer(0, s.count() - 1), nan);
        OpTensor dst(ops::Type::Float32, to.n, to.h, to.w, to.c, drawLayout(random)), expected = dst;
        op.src = src, op.dst = dst;
        run(op);
        op.dst = expected;
        runReference(op);
        const auto actual = dst.values(), wanted = expected.values();
        for (std::size_t k = 0; k < actual.size(); ++k)
            ASSERT_TRUE(actual[k] == wanted[k] || (std::isnan(actual[k]) && std::isnan(wanted[k])))
                << text(op, src, dst) << ": element " << k << " is " << actual[k] << ", expected "
                << wanted[k];
        ASSERT_TRUE(dst.guardsIntact());
    }
}

TEST_F(CpuReduction, WeightedSumsAgreeWithReference) {
    Random random(714);
    Comparison worst("Reduction, weighted");
    for (int i = 0; i < kCases; ++i) {
        const Shape s = drawReduced(random);
        ops::Reduction op;
        op.operation = random.coin() ? Operation::Sum : Operation::Mean;
        op.byNonZeroWeights = random.coin();
        op.scale = random.coin() ? 1 : 0.5f;
        OpTensor src = drawTensor(random, s, -1, 1), weights = drawTensor(random, s, -1, 1);
        for (std::int64_t k = 0; k < weights.count(); ++k)
            if (random.coin()) weights.set(k, 0);
        if (random.integer(0, 3) == 0) weights.fill(0);
        OpTensor dst = drawTensor(random, {s.n, s.h, s.w, 1}), expected = dst;
        op.src = src, op.weights = weights, op.dst = dst;
        run(op);
        op.dst = expected;
        runReference(op);
        worst.check(dst, expected, text(op, src, dst), [&](std::size_t k) {
            double size = 0;
            for (std::int64_t c = 0; c < s.c; ++c) {
                const auto at = static_cast<std::int64_t>(k) * s.c + c;
                size += std::fabs(src.at(at) * weights.at(at));
            }
            return kEpsilon * (3 + std::sqrt(static_cast<double>(std::min<std::int64_t>(s.c, 64)))) * size;
        });
        if (HasFatalFailure()) return;
    }
}

TEST_F(CpuReduction, EveryRunGivesTheSameBits) {
    Random random(715);
    for (const auto& [h, w, c] : {std::tuple{300, 41, 3}, {1, 9000, 7}, {64, 64, 33}})
        for (const Axes axes :
             {Axes{true, false, false}, {false, true, false}, {true, true, false}, {false, false, true}}) {
            OpTensor src(ops::Type::Float32, 2, h, w, c);
            src.fillUniform(random, -1, 1);
            const Shape to = axes.of({2, h, w, c});
            OpTensor first(ops::Type::Float32, to.n, to.h, to.w, to.c), second = first;
            ops::Reduction op;
            op.src = src, op.dst = first;
            run(op);
            op.dst = second;
            run(op);
            EXPECT_EQ(first.values(), second.values());
        }
}

}  // namespace
}  // namespace pewter::test
