#include <algorithm>
#include <cmath>
#include <numbers>

#include "backends/reference/Elements.h"
#include "backends/reference/NeuronFunction.h"
#include "backends/reference/Reference.h"

namespace pewter::reference {

namespace {

double sigmoid(double x) {
    // The exponential of a positive number would overflow.
    const double e = std::exp(-std::fabs(x));
    return x >= 0 ? 1 / (1 + e) : e / (1 + e);
}

/// The negative branch a*x; 0 for a = 0 even at minus infinity, where the product would be NaN.
double leak(double a, double x) { return a == 0 && !std::isnan(x) ? 0 : a * x; }

/// Not std::clamp: NaN stays NaN.
double clamp(double x, double low, double high) { return std::min(std::max(x, low), high); }

// Exponential and Logarithm: a base of -1 stands for e.
double power(double c, double x) { return c == -1 ? std::exp(x) : std::pow(c, x); }
double logarithmOfBase(double c) { return c == -1 ? 1 : std::log(c); }

}  // namespace

double neuron(const ops::Neuron& neuron, double x, std::int64_t channel) {
    using enum ops::NeuronType;
    const double a = neuron.a, b = neuron.b, c = neuron.c;
    switch (neuron.type) {
        case None:
            return x;
        case ReLU:
            return x >= 0 ? x : leak(a, x);
        case Linear:
            return a * x + b;
        case Sigmoid:
            return sigmoid(x);
        case HardSigmoid:
            return clamp(a * x + b, 0, 1);
        case TanH:
            return a * std::tanh(b * x);
        case Absolute:
            return std::fabs(x);
        case SoftPlus:
            return a * (std::max(b * x, 0.0) + std::log1p(std::exp(-std::fabs(b * x))));
        case SoftSign:
            return x / (1 + std::fabs(x));
        case ELU:
            return x >= 0 ? x : a * std::expm1(x);
        case PReLU:
            return x >= 0 ? x : leak(neuron.slopes[channel], x);
        case ReLUN:
            return std::min(x >= 0 ? x : leak(a, x), b);
        case Power:
            return std::pow(a * x + b, c);
        case Exponential:
            return power(c, a * x + b);
        case Logarithm:
            return std::log(a * x + b) / logarithmOfBase(c);
        case GeLU:
            return 0.5 * x * (1 + std::erf(x / std::numbers::sqrt2));
    }
    return x;
}

double neuronDerivative(const ops::Neuron& neuron, double x, std::int64_t channel) {
    using enum ops::NeuronType;
    const double a = neuron.a, b = neuron.b, c = neuron.c;
    switch (neuron.type) {
        case None:
            return 1;
        case ReLU:
            return x >= 0 ? 1 : a;
        case Linear:
            return a;
        case Sigmoid:
            return sigmoid(x) * sigmoid(-x);
        case HardSigmoid:
            return a * x + b >= 0 && a * x + b <= 1 ? a : 0;
        case TanH:
            return a * b * (1 - std::tanh(b * x) * std::tanh(b * x));
        case Absolute:
            return x > 0 ? 1 : x < 0 ? -1 : 0;
        case SoftPlus:
            return a * b * sigmoid(b * x);
        case SoftSign:
            return 1 / ((1 + std::fabs(x)) * (1 + std::fabs(x)));
        case ELU:
            return x >= 0 ? 1 : a * std::exp(x);
        case PReLU:
            return x >= 0 ? 1 : neuron.slopes[channel];
        case ReLUN:
            return (x >= 0 ? x : leak(a, x)) >= b ? 0 : x >= 0 ? 1 : a;
        case Power:
            return a * c * std::pow(a * x + b, c - 1);
        case Exponential:
            return a * logarithmOfBase(c) * power(c, a * x + b);
        case Logarithm:
            return a / (logarithmOfBase(c) * (a * x + b));
        case GeLU: {
            const double density = std::exp(-0.5 * x * x) * std::numbers::inv_sqrtpi / std::numbers::sqrt2;
            return 0.5 * (1 + std::erf(x / std::numbers::sqrt2)) + x * density;
        }
    }
    return 1;
}

void Reference::run(const ops::NeuronForward& op, ops::Stream&) {
    Values values(op.src);
    for (std::int64_t i = 0; i < values.count(); ++i) values[i] = neuron(op.neuron, values[i], i % values.c);
    values.writeTo(op.dst);
}

void Reference::run(const ops::NeuronGradient& op, ops::Stream&) {
    const Values src(op.src);
    Values diff(op.diffDst);
    for (std::int64_t i = 0; i < diff.count(); ++i)
        diff[i] *= neuronDerivative(op.neuron, src[i], i % diff.c);
    diff.writeTo(op.diffSrc);
}

}  // namespace pewter::reference
