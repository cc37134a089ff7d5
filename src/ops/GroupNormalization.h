#pragma once

#include "ops/Tensor.h"

namespace pewter::ops {

/// For each image and each group of c / groups neighbouring channels, with mean and biased variance over all its pixels
/// and channels: xh = (src - mean) * inverseDeviation, inverseDeviation = 1 / sqrt(variance + epsilon), and
/// dst = gamma[c] xh + beta[c]. gamma, beta null: 1, 0. mean and inverseDeviation, n * groups values of float64, receive
/// the statistics; null: they are not kept. As many groups as channels: instance normalisation.
struct GroupNormalizationForward {
    Tensor src, dst;
    Array gamma, beta, mean, inverseDeviation;
    std::int64_t groups = 1;
    float epsilon = 0;
};

/// From the statistics of the forward pass, with h = gamma[c] diffDst and S the sum over the m pixels and channels of a
/// group: diffSrc = inverseDeviation * (h - S(h) / m - xh S(h xh) / m). diffBeta = sum diffDst, diffGamma = sum diffDst xh
/// over the pixels; arrays of n * c values get each image's own, arrays of c values their sum over the images, null ones
/// nothing. All are overwritten. A null diffSrc is not computed.
struct GroupNormalizationGradient {
    Tensor src, diffDst, diffSrc;
    Array gamma, mean, inverseDeviation, diffGamma, diffBeta;
    std::int64_t groups = 1;
};

}  // namespace pewter::ops
