#include <algorithm>
#include <cmath>

#include "backends/reference/Elements.h"
#include "backends/reference/Reference.h"

namespace pewter::reference {

namespace {

/// The raw gradient clipped, then rescaled, then with the regulariser's own gradient added.
double prepared(const ops::OptimizerStep& op, double gradient, double value) {
    double g = gradient;
    if (op.clip) g = std::min(std::max(g, static_cast<double>(op.clipMin)), static_cast<double>(op.clipMax));
    g *= op.rescale;
    if (op.regularization == ops::RegularizationType::L2) g += op.regularizationScale * value;
    if (op.regularization == ops::RegularizationType::L1)
        g += op.regularizationScale * ((value > 0) - (value < 0));
    return g;
}

}  // namespace

void Reference::run(const ops::OptimizerStep& op, ops::Stream&) {
    const std::vector<double> gradient = valuesOf(op.gradient);
    std::vector<double> values = valuesOf(op.values);
    std::vector<double> first = valuesOf(op.first), second = valuesOf(op.second), third = valuesOf(op.third);
    for (std::size_t i = 0; i < values.size(); ++i) {
        double& v = values[i];
        const double g = prepared(op, gradient[i], v);
        switch (op.type) {
            case ops::OptimizerType::StochasticGradientDescent:
                if (first.empty()) {
                    v -= op.rate * g;
                } else if (op.nesterov) {
                    first[i] = op.momentum * first[i] + g;
                    v -= op.rate * (g + op.momentum * first[i]);
                } else {
                    first[i] = op.momentum * first[i] + op.rate * g;
                    v -= first[i];
                }
                break;
            case ops::OptimizerType::RMSProp:
                first[i] = op.decay * first[i] + (1 - op.decay) * g * g;
                v -= op.rate * g / (std::sqrt(first[i]) + op.epsilon);
                break;
            case ops::OptimizerType::Adam:
                first[i] = op.beta1 * first[i] + (1 - op.beta1) * g;
                second[i] = op.beta2 * second[i] + (1 - op.beta2) * g * g;
                if (!third.empty()) third[i] = std::max(third[i], second[i]);
                v -= op.rate * first[i] / (std::sqrt(third.empty() ? second[i] : third[i]) + op.epsilon);
                break;
        }
    }
    if (!op.first.isNull()) write(first, op.first);
    if (!op.second.isNull()) write(second, op.second);
    if (!op.third.isNull()) write(third, op.third);
    write(values, op.result);
}

}  // namespace pewter::reference
