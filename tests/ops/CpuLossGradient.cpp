// The chain rule through losses of the cpu device against the oracle: every type, reduction, weight, both
// directions.

#include <cmath>

#include "CpuPointwise.h"

namespace pewter::test {
namespace {

class CpuLossGradient : public CpuOps {};

using enum ops::LossType;

/// A drawn problem with its operands.
struct Problem {
    Problem(Random& random, int index) : shape(drawShape(random)) {
        function.type = static_cast<ops::LossType>(index % 10);
        reduction.type = static_cast<ops::ReductionType>(index / 10 % 4);
        if (function.type == CosineDistance) reduction.type = ops::ReductionType::Sum;
        reduction.acrossBatch = random.coin();
        labelGradients = random.coin();
        function.weight = static_cast<float>(random.uniform(0.5, 2));
        function.labelSmoothing = random.coin() ? 0 : static_cast<float>(random.uniform(0, 0.3));
        function.numberOfClasses = random.coin() ? 1 : shape.c;
        function.delta = static_cast<float>(random.uniform(0.3, 1.5));
        const bool probability = function.type == CategoricalCrossEntropy || function.type == Log;
        const bool logarithm = function.type == KullbackLeiblerDivergence;
        src = drawTensor(random, shape,
                         probability ? 0.1
                         : logarithm ? -4
                                     : -3,
                         probability ? 0.9
                         : logarithm ? 0
                                     : 3);
        labels = drawTensor(random, shape, logarithm ? 0.1 : 0, 1);
        if (function.type == Hinge) labels.fillIntegers(random, 0, 1);
        if (random.coin()) {
            weights = drawTensor(random, shape);
            weights.fillIntegers(random, 0, 1);
        }
        const bool reduces = reduction.type != ops::ReductionType::None;
        const Shape s = reduces ? Shape{shape.n, 1, 1, 1} : shape;
        incoming = drawTensor(random, s, -2, 2);
        dst = drawTensor(random, shape);
    }
    ops::LossGradient with(const OpTensor& to) const {
        return {function, reduction, labelGradients, src, labels, weights, incoming, to};
    }
    std::string text() const {
        return "loss " + std::to_string(static_cast<int>(function.type)) + " reduction " +
               std::to_string(static_cast<int>(reduction.type)) + (reduction.acrossBatch ? " across " : " ") +
               (labelGradients ? "labels " : "predictions ") + describe(src) + " gradient " + describe(dst);
    }

    Shape shape;
    ops::LossFunction function;
    ops::LossReduction reduction;
    bool labelGradients = false;
    OpTensor src, labels, weights, incoming, dst;
};

/// Size of the terms that one derivative adds up: what their roundings are relative to.
double sizeOf(const Problem& p, double y, double t, double logProbability) {
    const double a = std::fabs(y), b = std::fabs(t), e = p.function.epsilon;
    const bool labels = p.labelGradients;
    switch (p.function.type) {
        case MeanAbsoluteError:
            return 1;
        case MeanSquaredError:
            return 2 * (a + b);
        case SoftMaxCrossEntropy: {
            const double l = std::fabs(logProbability);
            return labels ? 2 * l + 2 * a + 4 : std::exp(logProbability) * (l + 2 * a + 6) + b + 1;
        }
        case SigmoidCrossEntropy:
            return labels ? a : b + 2;
        case CategoricalCrossEntropy:
            return labels ? std::fabs(std::log(y)) + 1 : b / a;
        case Hinge:
            return labels ? 2 * a : 2 * b + 1;
        case Huber:
            return p.function.delta + a + b;
        case CosineDistance:
            return labels ? a : b;
        case Log: {
            const double below = y * (1 - y) + e * (1 + e);
            return labels ? std::fabs(std::log(y + e)) + std::fabs(std::log(1 - y + e)) + 2 / (1 - y)
                          : (a + b) / below * (1 + 1 / below);
        }
        case KullbackLeiblerDivergence:
            return labels ? std::fabs(std::log(b)) + a + 2 : b;
    }
    return 0;
}

TEST_F(CpuLossGradient, AgreesWithReference) {
    Random random(811);
    Comparison gradients("LossGradient");
    for (int i = 0; i < 2 * kCases; ++i) {
        const Problem p(random, i);
        const Shape s = p.shape;
        OpTensor dst = p.dst, expected = dst.as(ops::Type::Float64);
        run(p.with(dst));
        runReference(p.with(expected));
        OpTensor logarithms(ops::Type::Float64, s.n, s.h, s.w, s.c);
        runReference(ops::SoftMaxForward{p.src, logarithms, true});
        const std::int64_t size = s.count() / s.n;
        const bool reduces = p.reduction.type != ops::ReductionType::None;
        std::vector<double> goal = expected.values();
        for (double& value : goal) value = inRange(dst.type(), value);
        std::vector<double> counts(static_cast<std::size_t>(s.n), 0.0);
        double all = 0;
        for (std::int64_t k = 0; k < s.count(); ++k) {
            const bool counted = p.weights.count() == 0 || p.weights.at(k) != 0;
            counts[static_cast<std::size_t>(k / size)] += counted, all += counted;
        }
        gradients.check(dst.values(), goal, dst.type(), p.text(), [&](std::size_t k) {
            const auto at = static_cast<std::int64_t>(k), n = at / size;
            const bool across = p.reduction.acrossBatch;
            const double u = p.incoming.at(!reduces ? at : across ? 0 : n);
            double divisor = 1;
            if (p.reduction.type == ops::ReductionType::Mean)
                divisor = static_cast<double>((p.function.type == SoftMaxCrossEntropy ? s.h * s.w : size) *
                                              (across ? s.n : 1));
            if (p.reduction.type == ops::ReductionType::SumByNonZeroWeights)
                divisor = std::max(1.0, across ? all : counts[static_cast<std::size_t>(n)]);
            return 4 * kEpsilon * std::fabs(u) / divisor * p.function.weight *
                   sizeOf(p, p.src.at(at), p.labels.at(at), logarithms.at(at));
        });
        if (HasFatalFailure()) return;
        ASSERT_TRUE(dst.guardsIntact()) << p.text();
    }
}

TEST_F(CpuLossGradient, SmallIntegersAreExact) {
    Random random(812);
    for (int i = 0; i < 120; ++i) {
        constexpr ops::LossType kExact[] = {MeanAbsoluteError, MeanSquaredError, Hinge, CosineDistance,
                                            Huber};
        Problem p(random, i);
        p.function = {.type = kExact[i % 5], .weight = 2, .delta = 1};
        const bool reduces = i % 2 == 1 || p.function.type == CosineDistance;
        p.reduction.type = reduces ? ops::ReductionType::Sum : ops::ReductionType::None;
        const Shape s = p.shape, l = reduces ? Shape{s.n, 1, 1, 1} : s;
        p.src = OpTensor(ops::Type::Float32, s.n, s.h, s.w, s.c, drawLayout(random));
        p.labels = p.src, p.incoming = OpTensor(ops::Type::Float32, l.n, l.h, l.w, l.c);
        p.src.fillIntegers(random, -4, 4);
        p.labels.fillIntegers(random, 0, 1);
        p.incoming.fillIntegers(random, -3, 3);
        OpTensor dst(ops::Type::Float32, s.n, s.h, s.w, s.c), expected = dst;
        run(p.with(dst));
        runReference(p.with(expected));
        ASSERT_EQ(dst.values(), expected.values()) << p.text();
    }
}

TEST_F(CpuLossGradient, NoWeightLeftGivesZeroNotNaN) {
    OpTensor y(ops::Type::Float32, 2, 2, 2, 3), t = y, w = y, dst = y, u(ops::Type::Float32, 2, 1, 1, 1);
    y.fill(3), u.fill(1), dst.fill(5);
    run(ops::LossGradient{{}, {ops::ReductionType::SumByNonZeroWeights}, false, y, t, w, u, dst});
    EXPECT_EQ(dst.values(), std::vector<double>(24, 0.0));
}

/// The gradient may take the place of the predictions.
TEST_F(CpuLossGradient, InPlaceGivesTheSameBits) {
    Random random(813);
    OpTensor y(ops::Type::Float32, 3, 4, 5, 7), t = y, u(ops::Type::Float32, 3, 1, 1, 1), dst = y;
    y.fillUniform(random, -2, 2), t.fillUniform(random, 0, 1), u.fillUniform(random, -1, 1);
    ops::LossGradient op{{.type = SoftMaxCrossEntropy}, {ops::ReductionType::Mean}, false, y, t, {}, u, dst};
    run(op);
    op.dst = y;
    run(op);
    EXPECT_EQ(y.values(), dst.values());
}

}  // namespace
}  // namespace pewter::test
