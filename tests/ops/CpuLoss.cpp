// Losses of the cpu device against the oracle: every type, reduction and weight.

#include <cmath>

#include "CpuPointwise.h"

namespace pewter::test {
namespace {

class CpuLoss : public CpuOps {};

using enum ops::LossType;

/// A drawn loss with its operands.
struct Problem {
    Problem(Random& random, int index) : shape(drawShape(random)) {
        op.function.type = static_cast<ops::LossType>(index % 10);
        op.reduction.type = static_cast<ops::ReductionType>(index / 10 % 4);
        if (op.function.type == CosineDistance) op.reduction.type = ops::ReductionType::Sum;
        op.reduction.acrossBatch = random.coin();
        op.function.weight = static_cast<float>(random.uniform(0.5, 2));
        op.function.labelSmoothing = random.coin() ? 0 : static_cast<float>(random.uniform(0, 0.3));
        op.function.numberOfClasses = random.coin() ? 1 : shape.c;
        op.function.delta = static_cast<float>(random.uniform(0.3, 1.5));
        // The predictions each type is made for: probabilities, logarithms of them, or any numbers.
        const bool probability = op.function.type == CategoricalCrossEntropy || op.function.type == Log;
        const double low = probability ? 0.1 : op.function.type == KullbackLeiblerDivergence ? -4 : -3;
        const double high = probability ? 0.9 : op.function.type == KullbackLeiblerDivergence ? 0 : 3;
        src = drawTensor(random, shape, low, high);
        labels = drawTensor(random, shape, 0.0, 1.0);
        if (op.function.type == Hinge) labels.fillIntegers(random, 0, 1);
        if (op.function.type == KullbackLeiblerDivergence) labels.set(0, 0);
        if (random.coin()) {
            weights = drawTensor(random, shape);
            weights.fillIntegers(random, 0, 1);
        }
        gradient = drawTensor(random, shape);
        const bool reduces = op.reduction.type != ops::ReductionType::None;
        const Shape s = reduces ? Shape{shape.n, 1, 1, 1} : shape;
        loss = OpTensor(ops::Type::Float32, s.n, s.h, s.w, s.c, drawLayout(random));
    }
    ops::Loss with(const OpTensor& toGradient, const OpTensor& toLoss) const {
        ops::Loss out = op;
        out.src = src, out.labels = labels, out.weights = weights;
        out.gradient = toGradient, out.loss = toLoss;
        return out;
    }
    std::string text() const {
        return "loss " + std::to_string(static_cast<int>(op.function.type)) + " reduction " +
               std::to_string(static_cast<int>(op.reduction.type)) +
               (op.reduction.acrossBatch ? " across " : " ") + describe(src) + " labels " + describe(labels);
    }

    Shape shape;
    ops::Loss op;
    OpTensor src, labels, weights, gradient, loss;
};

/// Sizes of the terms that the loss and the gradient of one element add up: what their roundings are relative
/// to.
struct Sizes {
    double loss, gradient;
};

Sizes sizesOf(const ops::Loss& op, double y, double t, double logProbability) {
    const double a = std::fabs(y), b = std::fabs(t), d = a + b, e = op.function.epsilon;
    // Unorm and half inputs are read exactly or within half an ulp: d carries it.
    switch (op.function.type) {
        case MeanAbsoluteError:
            return {d, 1};
        case MeanSquaredError:
            return {2 * d * std::fabs(y - t) + d * d * kEpsilon, 2 * d};
        case SoftMaxCrossEntropy: {
            const double l = std::fabs(logProbability), p = std::exp(logProbability);
            return {(b + 1) * (2 * l + 2 * a + 4), p * (l + 2 * a + 6) + b + 1};
        }
        case SigmoidCrossEntropy:
            return {a * (b + 2) + 1, b + 2};
        case CategoricalCrossEntropy:
            return {b * (std::fabs(std::log(y)) + 1), b / a};
        case Hinge:
            return {1 + (2 * b + 1) * a, 2 * b + 1};
        case Huber:
            return {(op.function.delta + d) * d, op.function.delta + d};
        case CosineDistance:
            return {a * b, b};
        case Log: {
            const double below = y * (1 - y) + e * (1 + e);
            return {b * (std::fabs(std::log(y + e)) + 1) +
                        (1 + b) * (std::fabs(std::log(1 - y + e)) + 2 / (1 - y)),
                    d / below * (1 + 1 / below)};
        }
        case KullbackLeiblerDivergence:
            return {b * ((b > 0 ? std::fabs(std::log(b)) : 0) + a + 1), b};
    }
    return {0, 0};
}

TEST_F(CpuLoss, LossAndGradientAgreeWithReference) {
    Random random(801);
    Comparison losses("Loss, values"), gradients("Loss, gradients");
    for (int i = 0; i < 2 * kCases; ++i) {
        const Problem p(random, i);
        OpTensor gradient = p.gradient, loss = p.loss, gradient2 = gradient, loss2 = loss;
        loss.fill(7);
        run(p.with(gradient, loss));
        runReference(p.with(gradient2, loss2));

        const Shape s = p.shape;
        OpTensor logarithms(ops::Type::Float64, s.n, s.h, s.w, s.c);
        runReference(ops::SoftMaxForward{p.src, logarithms, true});
        const std::int64_t size = s.count() / s.n;
        std::vector<double> lossSizes, gradientSizes, sums(static_cast<std::size_t>(s.n), 0.0),
            counts(static_cast<std::size_t>(s.n), 0.0);
        for (std::int64_t k = 0; k < s.count(); ++k) {
            const double w = p.weights.count() ? p.weights.at(k) : 1;
            const Sizes at = sizesOf(p.op, p.src.at(k), p.labels.at(k), logarithms.at(k));
            lossSizes.push_back(p.op.function.weight * w * at.loss);
            gradientSizes.push_back(p.op.function.weight * w * at.gradient);
            sums[static_cast<std::size_t>(k / size)] += lossSizes.back();
            counts[static_cast<std::size_t>(k / size)] += w != 0;
        }
        gradients.check(gradient, gradient2, p.text(),
                        [&](std::size_t k) { return 3 * kEpsilon * gradientSizes[k]; });
        if (p.op.reduction.type == ops::ReductionType::None) {
            losses.check(loss, loss2, p.text(), [&](std::size_t k) { return 3 * kEpsilon * lossSizes[k]; });
        } else {
            double divisor = 1;
            const double lanes = std::sqrt(std::min(64.0, static_cast<double>(size) / 32 + 1));
            if (p.op.reduction.type == ops::ReductionType::Mean)
                divisor = static_cast<double>(p.op.function.type == SoftMaxCrossEntropy ? s.h * s.w : size);
            if (p.op.reduction.acrossBatch) {
                for (std::size_t n = 1; n < sums.size(); ++n) {
                    sums[0] += sums[n], counts[0] += counts[n];
                    sums[n] = 0;
                }
                if (p.op.reduction.type == ops::ReductionType::Mean) divisor *= static_cast<double>(s.n);
            }
            losses.check(loss, loss2, p.text(), [&](std::size_t n) {
                const double by =
                    p.op.reduction.type == ops::ReductionType::SumByNonZeroWeights ? counts[n] : divisor;
                return by == 0 ? 0 : (3 + lanes) * kEpsilon * (sums[n] + 1) / by;
            });
        }
        if (HasFatalFailure()) return;

        // Either result may be left out, and the other stays the same.
        OpTensor alone = p.gradient, aloneLoss = p.loss;
        run(p.with(alone, OpTensor()));
        run(p.with(OpTensor(), aloneLoss));
        ASSERT_EQ(alone.values(), gradient.values()) << p.text();
        ASSERT_EQ(aloneLoss.values(), loss.values()) << p.text();
    }
}

TEST_F(CpuLoss, SmallIntegersAreExact) {
    Random random(802);
    for (int i = 0; i < 120; ++i) {
        constexpr ops::LossType kExact[] = {MeanAbsoluteError, MeanSquaredError, Hinge, CosineDistance,
                                            Huber};
        Problem p(random, i);
        p.op.function.type = kExact[i % 5];
        p.op.reduction.type = i % 2 ? ops::ReductionType::Sum : ops::ReductionType::None;
        if (p.op.function.type == CosineDistance) p.op.reduction.type = ops::ReductionType::Sum;
        p.op.function.weight = 2, p.op.function.delta = 1, p.op.function.labelSmoothing = 0;
        const Shape s = p.shape, l = p.op.reduction.type == ops::ReductionType::Sum ? Shape{s.n, 1, 1, 1} : s;
        p.src = OpTensor(ops::Type::Float32, s.n, s.h, s.w, s.c, drawLayout(random));
        p.labels = p.src;
        p.src.fillIntegers(random, -4, 4);
        p.labels.fillIntegers(random, 0, 1);
        OpTensor gradient(ops::Type::Float32, s.n, s.h, s.w, s.c),
            loss(ops::Type::Float32, l.n, l.h, l.w, l.c);
        OpTensor gradient2 = gradient, loss2 = loss;
        run(p.with(gradient, loss));
        runReference(p.with(gradient2, loss2));
        ASSERT_EQ(gradient.values(), gradient2.values()) << p.text();
        ASSERT_EQ(loss.values(), loss2.values()) << p.text();
    }
}

TEST_F(CpuLoss, NoWeightLeftGivesZeroNotNaN) {
    OpTensor y(ops::Type::Float32, 2, 2, 2, 3), t = y, w = y, loss(ops::Type::Float32, 2, 1, 1, 1);
    y.fill(3);
    loss.fill(5);
    ops::Loss op;
    op.reduction.type = ops::ReductionType::SumByNonZeroWeights;
    op.src = y, op.labels = t, op.weights = w, op.loss = loss;
    run(op);
    EXPECT_EQ(loss.values(), (std::vector<double>{0, 0}));
}

}  // namespace
}  // namespace pewter::test
