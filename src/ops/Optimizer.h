#pragma once

#include "ops/Tensor.h"

namespace pewter::ops {

enum class OptimizerType : std::uint8_t { StochasticGradientDescent, RMSProp, Adam };
/// Values of MPSNNRegularizationType.
enum class RegularizationType : std::uint32_t { None = 0, L1 = 1, L2 = 2 };

/// One update of result from values and gradient; all arrays of one size. result may be values.
///   g = gradient, clipped to [clipMin, clipMax] if clip, times rescale, plus scale*v (L2) or scale*sign(v) (L1)
/// SGD:     first null: v - rate*g;   first = momentum m: m = mu*m + rate*g, v - m;
///          nesterov: m = mu*m + g, v - rate*(g + mu*m)
/// RMSProp: first = s: s = decay*s + (1-decay) g^2, v - rate*g/(sqrt(s) + epsilon)
/// Adam:    first = m, second = s, third = maximum or null: v - rate*m/(sqrt(s or max) + epsilon); rate already
///          carries the bias correction.
struct OptimizerStep {
    OptimizerType type = OptimizerType::StochasticGradientDescent;
    RegularizationType regularization = RegularizationType::None;
    Array gradient, values, result, first, second, third;
    bool clip = false, nesterov = false;
    float clipMin = 0, clipMax = 0, rescale = 1, regularizationScale = 0;
    double rate = 0, momentum = 0, decay = 0, beta1 = 0, beta2 = 0;
    float epsilon = 0;
};

}  // namespace pewter::ops
