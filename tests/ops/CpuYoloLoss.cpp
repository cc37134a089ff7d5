// The detector's loss of the cpu device against the oracle.

#include <cmath>

#include "CpuPointwise.h"
#include "YoloProblem.h"

namespace pewter::test {
namespace {

class CpuYoloLoss : public CpuOps {};

using enum ops::LossType;

YoloProblem drawn(Random& random, int index) {
    YoloProblem p{random.integer(1, 3), random.integer(1, 7),  random.integer(1, 7),
                  random.integer(1, 5), random.integer(1, 12), {}};
    if (index % 10 == 0) p.h = p.w = 13, p.anchorCount = 5, p.classes = 20;
    const auto typeOf = [&] { return random.coin() ? ops::Type::Float32 : ops::Type::Float16; };
    p.draw(random, typeOf(), typeOf(), drawLayout(random));
    constexpr ops::LossType kTypes[] = {
        MeanAbsoluteError, MeanSquaredError, SoftMaxCrossEntropy, SigmoidCrossEntropy, Hinge, Huber};
    const auto function = [&] {
        ops::LossFunction f;
        f.type = kTypes[random.integer(0, 5)];
        f.weight = static_cast<float>(random.uniform(0.5, 2));
        f.labelSmoothing = random.coin() ? 0 : static_cast<float>(random.uniform(0, 0.3));
        f.numberOfClasses = p.classes;
        f.delta = static_cast<float>(random.uniform(0.3, 1.5));
        return f;
    };
    p.op.position = function(), p.op.size = function(), p.op.confidence = function(),
    p.op.classes = function();
    // Predictions of a position are probabilities: every type will do.
    if (index % 3 == 0) p.op.position.type = index % 2 ? CategoricalCrossEntropy : Log;
    p.op.reduction = {static_cast<ops::ReductionType>(index % 4), random.coin()};
    p.op.rescore = random.coin(), p.op.predictedBoxes = random.coin(), p.op.normalised = random.coin();
    p.op.minIou = static_cast<float>(random.uniform(0.3, 0.9));
    p.op.maxIou = static_cast<float>(random.uniform(0.1, 0.5));
    if (random.coin()) {
        p.weights = p.tensor(typeOf());
        p.weights.fillIntegers(random, 0, 2);
    }
    p.gradient = p.tensor(typeOf(), drawLayout(random));
    p.loss = p.lossTensor(ops::Type::Float32);
    return p;
}

/// What the roundings of one element are relative to: a square of its operands, and what the type divides by.
double sizeOf(const YoloProblem& p, std::int64_t i) {
    const std::int64_t channel = i % (5 + p.classes);
    const double scale = channel < 2   ? p.op.scalePosition * p.op.position.weight
                         : channel < 4 ? p.op.scaleSize * p.op.size.weight
                         : channel < 5
                             ? std::max(p.op.scaleObject, p.op.scaleNoObject) * p.op.confidence.weight
                             : p.op.scaleClass * p.op.classes.weight;
    const double w = p.weights.count() ? p.weights.at(i) : 1;
    const double y = std::fabs(p.src.at(i)), t = std::fabs(p.labels.at(i));
    const double target = channel == 2 || channel == 3 ? 6 : t;  // |ln(t/a)| of the boxes drawn is below 3
    const double probability = 1 / (1 + std::exp(y));
    return scale * w * (1 + y + target) * (1 + y + target) / (channel < 2 ? probability : 1);
}

TEST_F(CpuYoloLoss, LossAndGradientAgreeWithReference) {
    Random random(821);
    Comparison losses("YoloLoss, values"), gradients("YoloLoss, gradients");
    for (int i = 0; i < kCases; ++i) {
        YoloProblem p = drawn(random, i);
        OpTensor gradient = p.gradient, expected = p.tensor(ops::Type::Float64);
        OpTensor loss = p.loss, expectedLoss = p.lossTensor(ops::Type::Float64);
        run(p.with(gradient, loss));
        runReference(p.with(expected, expectedLoss));
        const std::string what = "case " + std::to_string(i);
        gradients.check(gradient, expected, what, [&](std::size_t k) {
            return 4 * kEpsilon * sizeOf(p, static_cast<std::int64_t>(k));
        });
        if (p.op.reduction.type == ops::ReductionType::None) {
            losses.check(loss, expectedLoss, what, [&](std::size_t k) {
                return 4 * kEpsilon * sizeOf(p, static_cast<std::int64_t>(k));
            });
        } else {
            // Sums of what the elements may be off by, with the sum's own roundings, over the divisor (below
            // 1: 1).
            const std::int64_t size = p.src.count() / p.n;
            losses.check(loss, expectedLoss, what, [&](std::size_t n) {
                double sum = 0, counted = 0;
                for (std::int64_t k = 0; k < p.src.count(); ++k) {
                    if (!p.op.reduction.acrossBatch && k / size != static_cast<std::int64_t>(n)) continue;
                    sum += sizeOf(p, k), counted += p.weights.count() == 0 || p.weights.at(k) != 0;
                }
                double by = 1;
                if (p.op.reduction.type == ops::ReductionType::Mean)
                    by = static_cast<double>(p.op.reduction.acrossBatch ? p.src.count() : size);
                if (p.op.reduction.type == ops::ReductionType::SumByNonZeroWeights)
                    by = std::max(1.0, counted);
                return 8 * kEpsilon * sum / by;
            });
        }
        if (HasFatalFailure()) return;
        // Either result may be left out, and the other stays the same.
        OpTensor alone = p.gradient, aloneLoss = p.loss;
        run(p.with(alone, OpTensor()));
        run(p.with(OpTensor(), aloneLoss));
        ASSERT_EQ(alone.values(), gradient.values()) << what;
        ASSERT_EQ(aloneLoss.values(), loss.values()) << what;
    }
}

}  // namespace
}  // namespace pewter::test
