#pragma once

#include <MPS/CNNConvolution.hpp>

#include "mps/kernels/ConvolutionAccess.h"

namespace pewter::mps {

/// Beside the bits of CNNConvolutionGradientOption, set by graphs: gradients of the weights without those of the biases,
/// which the layer does not have.
inline constexpr MPS::CNNConvolutionGradientOption kGradientWithWeightsAlone = 4;

/// Whether gradients of weights are asked for.
constexpr bool hasWeights(MPS::CNNConvolutionGradientOption option) {
    return option & (MPS::CNNConvolutionGradientOptionGradientWithWeightsAndBias | kGradientWithWeightsAlone);
}
/// Where those of the biases go; null: they are not.
inline ArrayRef gradientForBiases(MPS::CNNConvolutionGradientOption option, MPS::CNNConvolutionGradientState& state) {
    return option & kGradientWithWeightsAlone ? ArrayRef() : ConvolutionAccess::gradientForBiases(state);
}

}  // namespace pewter::mps
