// Optimizers of the cpu device against the oracle.

#include <cmath>

#include "CpuPointwise.h"

namespace pewter::test {
namespace {

class CpuOptimizer : public CpuOps {};

/// A drawn step of every type: with and without clipping, regularisation, moments.
ops::OptimizerStep drawStep(Random& random) {
    ops::OptimizerStep step;
    step.type = static_cast<ops::OptimizerType>(random.integer(0, 2));
    step.regularization = static_cast<ops::RegularizationType>(random.integer(0, 2));
    step.regularizationScale = static_cast<float>(random.uniform(-0.1, 0.1));
    step.clip = random.coin();
    step.clipMin = static_cast<float>(random.uniform(-1, 0));
    step.clipMax = static_cast<float>(random.uniform(0, 1));
    step.rescale = static_cast<float>(random.uniform(0.5, 2));
    step.nesterov = random.coin();
    step.rate = random.uniform(-0.1, 0.5);
    step.momentum = random.uniform(0, 0.99);
    step.decay = random.uniform(0.8, 0.99);
    step.beta1 = random.uniform(0.8, 0.95);
    step.beta2 = random.uniform(0.9, 0.999);
    step.epsilon = 1e-3f;
    return step;
}

/// An upper bound of what float32 arithmetic changes in the parameter: a few roundings of every number on the
/// way.
double resultError(const ops::OptimizerStep& op, double g0, double v, double first, double second,
                   double third) {
    const double g =
        std::fabs(g0) * std::fabs(op.rescale) + std::fabs(op.regularizationScale) * (std::fabs(v) + 1);
    const double rate = std::fabs(op.rate), m = std::fabs(first);
    double step = 0;
    switch (op.type) {
        case ops::OptimizerType::StochasticGradientDescent:
            step = rate * g + (1 + rate) * (m + 2 * g);
            break;
        case ops::OptimizerType::RMSProp:
            step = rate * g / (std::sqrt(op.decay * std::max(first, 0.0)) + op.epsilon);
            break;
        case ops::OptimizerType::Adam:
            step = rate * (m + g) / (std::sqrt(op.beta2 * std::max({second, third, 0.0})) + op.epsilon);
            break;
    }
    return 8 * kEpsilon * (std::fabs(v) + step);
}

TEST_F(CpuOptimizer, StepsAgreeWithReference) {
    Random random(301);
    Comparison values("OptimizerStep, values"), moments("OptimizerStep, moments");
    for (int i = 0; i < 2 * kCases; ++i) {
        ops::OptimizerStep step = drawStep(random);
        const std::int64_t size = random.integer(1, random.integer(0, 3) ? 300 : 9000);
        const auto type = [&] { return random.integer(0, 3) ? ops::Type::Float32 : ops::Type::Float16; };
        OpArray gradient(type(), size), start(type(), size);
        gradient.fillUniform(random, -2, 2);
        start.fillUniform(random, -2, 2);
        OpArray first, second, third;
        const bool sgd = step.type == ops::OptimizerType::StochasticGradientDescent;
        if (!sgd || random.coin()) first = OpArray(ops::Type::Float32, size);
        if (step.type == ops::OptimizerType::Adam) second = OpArray(ops::Type::Float32, size);
        if (step.type == ops::OptimizerType::Adam && random.coin()) third = OpArray(ops::Type::Float32, size);
        first.fillUniform(random, step.type == ops::OptimizerType::RMSProp ? 0 : -1, 1);
        second.fillUniform(random, 0, 1);
        third.fillUniform(random, 0, 1);
        OpArray result(start.view().type, size);
        OpArray expected = result, first2 = first, second2 = second, third2 = third;
        const std::vector<double> m = first.values(), s = second.values(), top = third.values();

        const auto with = [&](const OpArray& to, const OpArray& a, const OpArray& b, const OpArray& c) {
            step.gradient = gradient;
            step.values = start;
            step.result = to;
            step.first = a;
            step.second = b;
            step.third = c;
            return step;
        };
        run(with(result, first, second, third));
        runReference(with(expected, first2, second2, third2));
        const std::string what =
            "type " + std::to_string(static_cast<int>(step.type)) + " of " + std::to_string(size);
        const auto at = [](const std::vector<double>& v, std::size_t k) { return v.empty() ? 0.0 : v[k]; };
        values.check(result.values(), expected.values(), start.view().type, what, [&](std::size_t k) {
            const auto j = static_cast<std::int64_t>(k);
            return resultError(step, gradient.at(j), start.at(j), at(m, k), at(s, k), at(top, k));
        });
        // Both terms of a moment and their sum are rounded, the prepared gradient three times, its square
        // six.
        const auto momentError = [&](std::size_t k) {
            const auto j = static_cast<std::int64_t>(k);
            const double g = std::fabs(gradient.at(j)) * step.rescale +
                             std::fabs(step.regularizationScale) * (std::fabs(start.at(j)) + 1);
            const bool square = step.type == ops::OptimizerType::RMSProp;
            return kEpsilon * (std::fabs(at(m, k)) + (square ? (1 - step.decay) * 4 * g * g : 2 * g));
        };
        const auto squareError = [&](std::size_t k) {
            const auto j = static_cast<std::int64_t>(k);
            const double g = std::fabs(gradient.at(j)) * step.rescale +
                             std::fabs(step.regularizationScale) * (std::fabs(start.at(j)) + 1);
            return kEpsilon * (at(s, k) + (1 - step.beta2) * 4 * g * g);
        };
        moments.check(first.values(), first2.values(), ops::Type::Float32, what, momentError);
        moments.check(second.values(), second2.values(), ops::Type::Float32, what, squareError);
        moments.check(third.values(), third2.values(), ops::Type::Float32, what, squareError);
        if (HasFatalFailure()) return;
        ASSERT_TRUE(result.guardsIntact() && first.guardsIntact() && second.guardsIntact() &&
                    third.guardsIntact());
    }
}

TEST_F(CpuOptimizer, ResultMayBeTheValues) {
    Random random(302);
    for (int i = 0; i < kCases; ++i) {
        ops::OptimizerStep step = drawStep(random);
        const std::int64_t size = random.integer(1, 5000);
        const ops::Type type = random.coin() ? ops::Type::Float32 : ops::Type::Float16;
        OpArray gradient(type, size), values(type, size), first(ops::Type::Float32, size);
        gradient.fillUniform(random, -2, 2);
        values.fillUniform(random, -2, 2);
        first.fillUniform(random, 0, 1);
        OpArray second = first, third = first, first2 = first, second2 = first, third2 = first,
                apart(type, size);
        step.gradient = gradient;
        step.values = values;
        step.result = apart, step.first = first, step.second = second, step.third = third;
        run(step);
        step.result = values, step.first = first2, step.second = second2, step.third = third2;
        run(step);
        ASSERT_EQ(values.values(), apart.values());
        ASSERT_EQ(first.values(), first2.values());
    }
}

TEST_F(CpuOptimizer, SmallNumbersAreExact) {
    OpArray gradient(ops::Type::Float32, {4, -8, 100, 0}), values(ops::Type::Float32, {1, 2, 3, -4});
    OpArray result(ops::Type::Float32, 4);
    ops::OptimizerStep step;
    step.gradient = gradient;
    step.values = values;
    step.result = result;
    step.rate = 0.5;
    step.clip = true;
    step.clipMin = -6;
    step.clipMax = 10;
    step.rescale = 0.5f;
    step.regularization = ops::RegularizationType::L1;
    step.regularizationScale = 2;
    run(step);
    // g = clipped / 2 + 2 sign(v): 4, -1, 7, -2.
    EXPECT_EQ(result.values(), (std::vector<double>{-1, 2.5, -0.5, -3}));

    OpArray velocity(ops::Type::Float32, {1, 1, 1, 1});
    step.clip = false;
    step.regularization = ops::RegularizationType::None;
    step.first = velocity;
    step.momentum = 0.5;
    run(step);
    EXPECT_EQ(velocity.values(), (std::vector<double>{1.5, -1.5, 25.5, 0.5}));
    EXPECT_EQ(result.values(), (std::vector<double>{-0.5, 3.5, -22.5, -4.5}));
}

}  // namespace
}  // namespace pewter::test
