#include <cmath>

#include "backends/reference/Elements.h"
#include "backends/reference/Reference.h"

namespace pewter::reference {

namespace {

/// Visits the elements of group k of image n: visit(index, channel).
template <class Visit>
void forGroup(const Values& values, std::int64_t n, std::int64_t k, std::int64_t groups, Visit visit) {
    const std::int64_t width = values.c / groups, pixels = values.h * values.w;
    for (std::int64_t p = 0; p < pixels; ++p)
        for (std::int64_t c = k * width; c < (k + 1) * width; ++c)
            visit((n * pixels + p) * values.c + c, static_cast<std::size_t>(c));
}

void writeSums(const std::vector<double>& each, std::int64_t channels, const ops::Array& array) {
    if (array.isNull()) return;
    if (array.size == static_cast<std::int64_t>(each.size())) return write(each, array);
    std::vector<double> sums(static_cast<std::size_t>(channels), 0.0);
    for (std::size_t i = 0; i < each.size(); ++i) sums[i % sums.size()] += each[i];
    write(sums, array);
}

}  // namespace

void Reference::run(const ops::GroupNormalizationForward& op, ops::Stream&) {
    Values values(op.src);
    const auto gamma = valuesOf(op.gamma, values.c, 1), beta = valuesOf(op.beta, values.c, 0);
    const double count = static_cast<double>(values.h * values.w * (values.c / op.groups));
    std::vector<double> means, inverseDeviations;
    for (std::int64_t n = 0; n < values.n; ++n)
        for (std::int64_t k = 0; k < op.groups; ++k) {
            double sum = 0, squares = 0;
            forGroup(values, n, k, op.groups, [&](std::int64_t i, std::size_t) { sum += values[i]; });
            const double mean = sum / count;
            forGroup(values, n, k, op.groups, [&](std::int64_t i, std::size_t) {
                squares += (values[i] - mean) * (values[i] - mean);
            });
            const double inverseDeviation = 1 / std::sqrt(squares / count + op.epsilon);
            forGroup(values, n, k, op.groups, [&](std::int64_t i, std::size_t c) {
                values[i] = gamma[c] * ((values[i] - mean) * inverseDeviation) + beta[c];
            });
            means.push_back(mean);
            inverseDeviations.push_back(inverseDeviation);
        }
    if (!op.mean.isNull()) write(means, op.mean);
    if (!op.inverseDeviation.isNull()) write(inverseDeviations, op.inverseDeviation);
    values.writeTo(op.dst);
}

void Reference::run(const ops::GroupNormalizationGradient& op, ops::Stream&) {
    const Values src(op.src);
    Values diff(op.diffDst);
    const auto gamma = valuesOf(op.gamma, src.c, 1);
    const auto means = valuesOf(op.mean), inverseDeviations = valuesOf(op.inverseDeviation);
    const double count = static_cast<double>(src.h * src.w * (src.c / op.groups));
    std::vector<double> diffGamma(static_cast<std::size_t>(src.n * src.c), 0.0), diffBeta = diffGamma;
    for (std::int64_t n = 0; n < src.n; ++n)
        for (std::int64_t k = 0; k < op.groups; ++k) {
            const auto at = static_cast<std::size_t>(n * op.groups + k);
            const double mean = means[at], inverseDeviation = inverseDeviations[at];
            double sum = 0, product = 0;
            forGroup(src, n, k, op.groups, [&](std::int64_t i, std::size_t c) {
                const double xh = (src[i] - mean) * inverseDeviation;
                const auto own = static_cast<std::size_t>(n * src.c) + c;
                diffBeta[own] += diff[i];
                diffGamma[own] += diff[i] * xh;
                sum += gamma[c] * diff[i];
                product += gamma[c] * diff[i] * xh;
            });
            forGroup(src, n, k, op.groups, [&](std::int64_t i, std::size_t c) {
                const double xh = (src[i] - mean) * inverseDeviation;
                diff[i] = inverseDeviation * (gamma[c] * diff[i] - sum / count - xh * (product / count));
            });
        }
    writeSums(diffGamma, src.c, op.diffGamma);
    writeSums(diffBeta, src.c, op.diffBeta);
    if (!op.diffSrc.isNull()) diff.writeTo(op.diffSrc);
}

}  // namespace pewter::reference
