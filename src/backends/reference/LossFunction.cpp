#include "backends/reference/LossFunction.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace pewter::reference {

namespace {

double sign(double x) { return (x > 0) - (x < 0); }

}  // namespace

ElementLoss elementLoss(const ops::LossFunction& f, double y, double t, double logProbability) {
    const double d = y - t;
    const double keep = f.labelSmoothing > 0 ? 1.0 - f.labelSmoothing : 1;
    const auto smoothed = [&](double classes) { return t * keep + (1 - keep) / classes; };
    switch (f.type) {
        case ops::LossType::MeanAbsoluteError:
            return {std::fabs(d), sign(d), -sign(d)};
        case ops::LossType::MeanSquaredError:
            return {d * d, 2 * d, -2 * d};
        case ops::LossType::SoftMaxCrossEntropy: {
            const double s = smoothed(static_cast<double>(f.numberOfClasses));
            return {-s * logProbability, std::exp(logProbability) - s, -keep * logProbability};
        }
        case ops::LossType::SigmoidCrossEntropy: {
            const double s = smoothed(2), e = std::exp(-std::fabs(y));
            return {std::max(y, 0.0) - y * s + std::log1p(e), (y >= 0 ? 1 / (1 + e) : e / (1 + e)) - s,
                    -keep * y};
        }
        case ops::LossType::CategoricalCrossEntropy:
            return {-t * std::log(y), -t / y, -std::log(y)};
        case ops::LossType::Hinge: {
            const double label = 2 * t - 1, margin = 1 - label * y;
            if (margin > 0) return {margin, -label, -2 * y};
            return {0, 0, 0};
        }
        case ops::LossType::Huber: {
            const double delta = f.delta, size = std::fabs(d);
            if (size <= delta) return {d * d / 2, d, -d};
            return {delta * delta / 2 + delta * (size - delta), delta * sign(d), -delta * sign(d)};
        }
        case ops::LossType::CosineDistance:
            return {-y * t, -t, -y};  // the 1 of 1 - sum y t is added once an image
        case ops::LossType::Log: {
            const double epsilon = f.epsilon, yes = std::log(y + epsilon), no = std::log(1 - y + epsilon);
            return {-t * yes - (1 - t) * no,
                    (y - t - 2 * epsilon * t + epsilon) / (y * (1 - y) + epsilon * (1 + epsilon)), no - yes};
        }
        case ops::LossType::KullbackLeiblerDivergence:
            return {t == 0 ? 0 : t * (std::log(t) - y), -t, std::log(t) - y + 1};
    }
    return {};
}

double divisorOf(const ops::LossReduction& reduction, double elements, double images, double counted) {
    switch (reduction.type) {
        case ops::ReductionType::None:
        case ops::ReductionType::Sum:
            return 1;
        case ops::ReductionType::Mean:
            return reduction.acrossBatch ? elements * images : elements;
        case ops::ReductionType::SumByNonZeroWeights:
            return counted;
    }
    return 1;
}

double lossesOf(const ops::LossFunction& function, const Values& src) {
    const bool onePixelOneLoss = function.type == ops::LossType::SoftMaxCrossEntropy;
    return static_cast<double>(onePixelOneLoss ? src.h * src.w : src.h * src.w * src.c);
}

std::vector<double> countsOf(const ops::LossReduction& reduction, const Values& src, const Values& weights) {
    const std::int64_t size = src.h * src.w * src.c;
    std::vector<double> counts(static_cast<std::size_t>(src.n), 0.0);
    for (std::int64_t i = 0; i < src.count(); ++i)
        counts[static_cast<std::size_t>(i / size)] += weights.isEmpty() || weights[i] != 0;
    if (reduction.acrossBatch)
        std::fill(counts.begin(), counts.end(), std::accumulate(counts.begin(), counts.end(), 0.0));
    return counts;
}

void reduceLosses(const ops::LossReduction& reduction, const Values& losses, const Values& weights,
                  double elements, double constant, const ops::Tensor& loss) {
    if (reduction.type == ops::ReductionType::None) return losses.writeTo(loss);
    const std::int64_t size = losses.h * losses.w * losses.c;
    const auto counts = countsOf(reduction, losses, weights);
    Values reduced(losses.n, 1, 1, 1);
    for (std::int64_t n = 0; n < losses.n; ++n) reduced[reduction.acrossBatch ? 0 : n] += constant;
    for (std::int64_t i = 0; i < losses.count(); ++i)
        reduced[reduction.acrossBatch ? 0 : i / size] += losses[i];
    for (std::int64_t n = 0; n < losses.n; ++n) {
        const double divisor = divisorOf(reduction, elements, static_cast<double>(losses.n),
                                         counts[static_cast<std::size_t>(n)]);
        reduced[n] = divisor == 0 ? 0 : reduced[n] / divisor;
    }
    reduced.writeTo(loss);
}

}  // namespace pewter::reference
