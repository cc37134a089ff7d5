#include <cmath>

#include "backends/reference/Elements.h"
#include "backends/reference/Reference.h"
#include "backends/reference/SoftMaxFunction.h"

namespace pewter::reference {

namespace {

double sign(double x) { return (x > 0) - (x < 0); }

double smoothed(const ops::Loss& op, double t, double classes) {
    return op.labelSmoothing > 0 ? t * (1.0 - op.labelSmoothing) + op.labelSmoothing / classes : t;
}

/// Loss of one element and its derivative with respect to the prediction.
struct ElementLoss {
    double value, derivative;
};

/// Of prediction y and label t; logProbability is y after log-softmax over its pixel (SoftMaxCrossEntropy
/// only).
ElementLoss elementLoss(const ops::Loss& op, double y, double t, double logProbability) {
    const double d = y - t;
    switch (op.type) {
        case ops::LossType::MeanAbsoluteError:
            return {std::fabs(d), sign(d)};
        case ops::LossType::MeanSquaredError:
            return {d * d, 2 * d};
        case ops::LossType::SoftMaxCrossEntropy: {
            const double s = smoothed(op, t, static_cast<double>(op.numberOfClasses));
            return {-s * logProbability, std::exp(logProbability) - s};
        }
        case ops::LossType::SigmoidCrossEntropy: {
            const double s = smoothed(op, t, 2), e = std::exp(-std::fabs(y));
            return {std::max(y, 0.0) - y * s + std::log1p(e), (y >= 0 ? 1 / (1 + e) : e / (1 + e)) - s};
        }
        case ops::LossType::CategoricalCrossEntropy:
            return {-t * std::log(y), -t / y};
        case ops::LossType::Hinge: {
            const double label = 2 * t - 1, margin = 1 - label * y;
            return {std::max(margin, 0.0), margin > 0 ? -label : 0};
        }
        case ops::LossType::Huber: {
            const double delta = op.delta, size = std::fabs(d);
            if (size <= delta) return {d * d / 2, d};
            return {delta * delta / 2 + delta * (size - delta), delta * sign(d)};
        }
        case ops::LossType::CosineDistance:
            return {-y * t, -t};  // the 1 is added once an image, see below
        case ops::LossType::Log: {
            const double epsilon = op.epsilon;
            return {-t * std::log(y + epsilon) - (1 - t) * std::log(1 - y + epsilon),
                    (y - t - 2 * epsilon * t + epsilon) / (y * (1 - y) + epsilon * (1 + epsilon))};
        }
        case ops::LossType::KullbackLeiblerDivergence:
            return {t == 0 ? 0 : t * (std::log(t) - y), -t};
    }
    return {};
}

}  // namespace

void Reference::run(const ops::Loss& op, ops::Stream&) {
    const Values src(op.src), labels(op.labels), weights(op.weights);
    Values gradient = Values::zerosLike(op.src), losses = Values::zerosLike(op.src), logarithms = src;
    if (op.type == ops::LossType::SoftMaxCrossEntropy)
        for (std::int64_t i = 0; i < src.count(); i += src.c) logSoftMax(&src[i], src.c, &logarithms[i]);

    const std::int64_t size = src.h * src.w * src.c;
    std::vector<double> sums(src.n, 0.0),
        counts(src.n, 0.0);  // an image's loss, its elements of non-zero weight
    for (std::int64_t i = 0; i < src.count(); ++i) {
        const double w = weights.isEmpty() ? 1 : weights[i];
        const ElementLoss element = elementLoss(op, src[i], labels[i], logarithms[i]);
        losses[i] = op.weight * w * element.value;
        gradient[i] = op.weight * w * element.derivative;
        sums[i / size] += losses[i];
        counts[i / size] += w != 0;
    }
    if (op.type == ops::LossType::CosineDistance)
        for (double& sum : sums) sum += op.weight;
    if (!op.gradient.isNull()) gradient.writeTo(op.gradient);
    if (op.loss.isNull()) return;
    if (op.reduction == ops::ReductionType::None) return losses.writeTo(op.loss);

    if (op.reduceAcrossBatch)
        for (std::int64_t n = 1; n < src.n; ++n) {
            sums[0] += sums[n];
            counts[0] += counts[n];
            sums[n] = 0;
        }
    double divisor = 1;
    if (op.reduction == ops::ReductionType::Mean) {
        const bool onePixelOneLoss = op.type == ops::LossType::SoftMaxCrossEntropy;
        divisor = static_cast<double>(onePixelOneLoss ? src.h * src.w : size);
        if (op.reduceAcrossBatch) divisor *= static_cast<double>(src.n);
    }
    Values reduced(src.n, 1, 1, 1);
    for (std::int64_t n = 0; n < src.n; ++n) {
        if (op.reduction == ops::ReductionType::SumByNonZeroWeights) divisor = counts[n];
        reduced[n] = divisor == 0 ? 0 : sums[n] / divisor;
    }
    reduced.writeTo(op.loss);
}

}  // namespace pewter::reference
