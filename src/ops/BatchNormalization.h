#pragma once

#include "ops/Neuron.h"
#include "ops/Tensor.h"

namespace pewter::ops {

/// mean[c] and biased variance[c] over all images and pixels of src. With countBefore > 0 the values there are the
/// statistics of that many earlier pixels and are merged with those of src (means and squared deviations, no
/// E[x^2] - mean^2).
struct BatchNormalizationStatistics {
    Tensor src;
    Array mean, variance;
    std::int64_t countBefore = 0;
};

/// dst = neuron((src - mean) * gamma / sqrt(variance + epsilon) + beta + addend), per channel. gamma, beta, addend null:
/// 1, 0, 0.
struct BatchNormalizationForward {
    Tensor src, dst;
    Array mean, variance, gamma, beta;
    float epsilon = 0;
    Neuron neuron;
    Tensor addend;
};

/// With xh = (src - mean) / sqrt(variance + epsilon), z = gamma xh + beta + addend, dz = diffDst * neuron'(z):
/// diffBeta = sum dz, diffGamma = sum dz xh; accumulate adds to what is there. addend null: 0. diffSum (null: nobody wants
/// it), which may be diffDst, receives dz; the sums are then of dz as diffSum's type rounds it.
struct BatchNormalizationStatisticsGradient {
    Tensor src, diffDst;
    Array mean, variance, gamma, beta, diffGamma, diffBeta;
    float epsilon = 0;
    Neuron neuron;
    bool accumulate = false;
    Tensor addend, diffSum;
};

/// diffSrc = gamma / sqrt(variance + epsilon) * (dz - diffBeta / count - xh * diffGamma / count); with
/// storedStatistics the two means are left out (mean and variance do not depend on src then).
struct BatchNormalizationGradient {
    Tensor src, diffDst, diffSrc;
    Array mean, variance, gamma, beta, diffGamma, diffBeta;
    float epsilon = 0;
    Neuron neuron;
    std::int64_t count = 0;
    bool storedStatistics = false;
};

}  // namespace pewter::ops
