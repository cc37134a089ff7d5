#pragma once

#include "ops/Convolution.h"
#include "ops/Neuron.h"
#include "ops/Tensor.h"

namespace pewter::ops {

/// The values are those of MPSCNNBinaryConvolutionType.
enum class BinaryConvolutionType : std::uint8_t { BinaryWeights = 0, Xnor = 1, And = 2 };

/// dst = neuron(S * outputScale * beta + outputBias), channel by channel. With t = (src + inputBias) *
/// inputScale, read under the window's edge mode (Zero gives t = 0), and weight bits b in {0, 1}, S is the
/// sum over the window of
///   BinaryWeights: t * (2b - 1)      Xnor: (t < 0 ? -1 : 1) * (2b - 1)      And: (t < 0 ? 0 : 1) * b
/// and beta the mean of |t| over the same window and all channels, or 1 without betaScaling.
/// weights: UInt32 words [O][kH][kW][ceil(I/32)]; channel c is bit c mod 32 (0 the least significant) of word
/// c / 32, further bits of the last word mean nothing. Biases and scales hold one value a channel or are null
/// (0 and 1).
struct BinaryConvolutionForward {
    BinaryConvolutionType type = BinaryConvolutionType::BinaryWeights;
    Tensor src, dst;
    Array weights;
    Array inputBias, inputScale, outputBias, outputScale;
    Window window;
    bool betaScaling = false;
    Neuron neuron;
};

}  // namespace pewter::ops
