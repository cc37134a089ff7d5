#include <cmath>

#include "backends/reference/Elements.h"
#include "backends/reference/NeuronFunction.h"
#include "backends/reference/Reference.h"

namespace pewter::reference {

namespace {

/// The parameters of one layer, a value a channel.
struct Parameters {
    template <class Op>
    explicit Parameters(const Op& op)
        : mean(valuesOf(op.mean)),
          gamma(valuesOf(op.gamma, op.mean.size, 1)),
          beta(valuesOf(op.beta, op.mean.size, 0)),
          inverseDeviation(valuesOf(op.variance)) {
        for (double& value : inverseDeviation) value = 1 / std::sqrt(value + op.epsilon);
    }

    /// xh, the normalised value of x.
    double normalised(double x, std::size_t c) const { return (x - mean[c]) * inverseDeviation[c]; }
    /// z, what the neuron takes, where nothing is added.
    double scaled(double x, std::size_t c) const { return gamma[c] * normalised(x, c) + beta[c]; }

    std::vector<double> mean, gamma, beta, inverseDeviation;
};

/// z of every element.
template <class Op>
Values neuronInputs(const Op& op, const Parameters& layer) {
    Values z(op.src);
    const Values addend(op.addend);
    for (std::int64_t i = 0; i < z.count(); ++i)
        z[i] = layer.scaled(z[i], i % z.c) + (addend.isEmpty() ? 0 : addend[i]);
    return z;
}

}  // namespace

void Reference::run(const ops::BatchNormalizationStatistics& op, ops::Stream&) {
    const Values src(op.src);
    std::vector<double> mean = valuesOf(op.mean), variance = valuesOf(op.variance);
    const double before = static_cast<double>(op.countBefore);
    const double here = static_cast<double>(src.n * src.h * src.w);
    for (std::int64_t c = 0; c < src.c; ++c) {
        double sum = 0, squares = 0;
        for (std::int64_t i = c; i < src.count(); i += src.c) sum += src[i];
        const double meanHere = sum / here;
        for (std::int64_t i = c; i < src.count(); i += src.c)
            squares += (src[i] - meanHere) * (src[i] - meanHere);
        if (op.countBefore == 0) {
            mean[c] = meanHere;
            variance[c] = squares / here;
            continue;
        }
        const double distance = meanHere - mean[c];
        squares += variance[c] * before + distance * distance * before * here / (before + here);
        mean[c] += distance * here / (before + here);
        variance[c] = squares / (before + here);
    }
    write(mean, op.mean);
    write(variance, op.variance);
}

void Reference::run(const ops::BatchNormalizationForward& op, ops::Stream&) {
    const Parameters layer(op);
    Values values = neuronInputs(op, layer);
    for (std::int64_t i = 0; i < values.count(); ++i) values[i] = neuron(op.neuron, values[i], i % values.c);
    values.writeTo(op.dst);
}

void Reference::run(const ops::BatchNormalizationStatisticsGradient& op, ops::Stream&) {
    const Parameters layer(op);
    const Values src(op.src), z = neuronInputs(op, layer);
    Values diff(op.diffDst);
    for (std::int64_t i = 0; i < diff.count(); ++i) diff[i] *= neuronDerivative(op.neuron, z[i], i % diff.c);
    if (!op.diffSum.isNull()) {
        diff.writeTo(op.diffSum);
        diff = Values(op.diffSum);
    }
    std::vector<double> diffGamma(op.mean.size, 0.0), diffBeta(op.mean.size, 0.0);
    if (op.accumulate) {
        diffGamma = valuesOf(op.diffGamma);
        diffBeta = valuesOf(op.diffBeta);
    }
    for (std::int64_t i = 0; i < src.count(); ++i) {
        const std::int64_t c = i % src.c;
        diffBeta[c] += diff[i];
        diffGamma[c] += diff[i] * layer.normalised(src[i], c);
    }
    write(diffGamma, op.diffGamma);
    write(diffBeta, op.diffBeta);
}

void Reference::run(const ops::BatchNormalizationGradient& op, ops::Stream&) {
    const Parameters layer(op);
    const Values src(op.src);
    Values diff(op.diffDst);
    const std::vector<double> diffGamma = valuesOf(op.diffGamma, diff.c, 0);
    const std::vector<double> diffBeta = valuesOf(op.diffBeta, diff.c, 0);
    const double count = static_cast<double>(op.count);
    for (std::int64_t i = 0; i < diff.count(); ++i) {
        const std::int64_t c = i % diff.c;
        const double dz = diff[i] * neuronDerivative(op.neuron, layer.scaled(src[i], c), c);
        // What flows through mean and variance; stored ones do not depend on src.
        const double means = (diffBeta[c] + layer.normalised(src[i], c) * diffGamma[c]) / count;
        const double through = op.storedStatistics ? 0 : means;
        diff[i] = layer.gamma[c] * layer.inverseDeviation[c] * (dz - through);
    }
    diff.writeTo(op.diffSrc);
}

}  // namespace pewter::reference
