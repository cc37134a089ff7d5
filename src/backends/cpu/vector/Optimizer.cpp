#include "backends/cpu/vector/Optimizer.h"

#include "backends/cpu/vector/Math.h"

namespace pewter::cpu::PEWTER_ISA {
namespace {

/// Clipping, rescaling and regularisation, in this order.
struct Prepare {
    float low, high, rescale, decay, signScale;

    explicit Prepare(const ops::OptimizerStep& op)
        : low(op.clip ? op.clipMin : -kInfinity),
          high(op.clip ? op.clipMax : kInfinity),
          rescale(op.rescale),
          decay(op.regularization == ops::RegularizationType::L2 ? op.regularizationScale : 0.0f),
          signScale(op.regularization == ops::RegularizationType::L1 ? op.regularizationScale : 0.0f) {}

    PEWTER_INLINE float operator()(float gradient, float value) const {
        const float above = gradient < low ? low : gradient;
        const float g = (high < above ? high : above) * rescale;
        const float sign = (value > 0.0f ? signScale : 0.0f) - (value < 0.0f ? signScale : 0.0f);
        return g + decay * value + sign;
    }
};

/// result[i] = values[i] - fn(g, i) with the prepared gradient g.
template <class Fn>
PEWTER_INLINE void update(const ops::OptimizerStep& op, const OptimizerRun& run, Fn fn) {
    const Prepare prepare(op);
    const float* const gradient = run.gradient;
    const float* const values = run.values;
    float* const result = run.result;
    PEWTER_VECTORIZE
    for (std::int64_t i = 0; i < run.count; ++i) {
        const float v = values[i];
        result[i] = v - fn(prepare(gradient[i], v), i);
    }
}

}  // namespace

void optimizerStep(const ops::OptimizerStep& op, const OptimizerRun& run) {
    const auto rate = static_cast<float>(op.rate), momentum = static_cast<float>(op.momentum);
    float* const first = run.first;
    float* const second = run.second;
    float* const third = run.third;
    const float epsilon = op.epsilon;
    switch (op.type) {
        case ops::OptimizerType::StochasticGradientDescent:
            if (first == nullptr) return update(op, run, [=](float g, std::int64_t) { return rate * g; });
            if (op.nesterov)
                return update(op, run, [=](float g, std::int64_t i) {
                    const float m = momentum * first[i] + g;
                    first[i] = m;
                    return rate * (g + momentum * m);
                });
            return update(op, run, [=](float g, std::int64_t i) {
                const float m = momentum * first[i] + rate * g;
                first[i] = m;
                return m;
            });
        case ops::OptimizerType::RMSProp: {
            const auto keep = static_cast<float>(op.decay), take = static_cast<float>(1 - op.decay);
            return update(op, run, [=](float g, std::int64_t i) {
                const float s = keep * first[i] + take * (g * g);
                first[i] = s;
                return rate * g / (__builtin_sqrtf(s) + epsilon);
            });
        }
        case ops::OptimizerType::Adam: {
            const auto keepFirst = static_cast<float>(op.beta1), takeFirst = static_cast<float>(1 - op.beta1);
            const auto keepSecond = static_cast<float>(op.beta2),
                       takeSecond = static_cast<float>(1 - op.beta2);
            const auto moments = [=](float g, std::int64_t i) {
                const float m = keepFirst * first[i] + takeFirst * g;
                const float s = keepSecond * second[i] + takeSecond * (g * g);
                first[i] = m;
                second[i] = s;
                struct Moments {
                    float m, s;
                };
                return Moments{m, s};
            };
            if (third == nullptr)
                return update(op, run, [=](float g, std::int64_t i) {
                    const auto at = moments(g, i);
                    return rate * at.m / (__builtin_sqrtf(at.s) + epsilon);
                });
            return update(op, run, [=](float g, std::int64_t i) {
                const auto at = moments(g, i);
                const float maximum = third[i] < at.s ? at.s : third[i];
                third[i] = maximum;
                return rate * at.m / (__builtin_sqrtf(maximum) + epsilon);
            });
        }
    }
}

}  // namespace pewter::cpu::PEWTER_ISA
