#pragma once

#include "ops/Tensor.h"

namespace pewter::ops {

/// Activation functions; the values are those of MPSCNNNeuronType.
enum class NeuronType : std::int32_t {
    None = 0,
    ReLU = 1,
    Linear = 2,
    Sigmoid = 3,
    HardSigmoid = 4,
    TanH = 5,
    Absolute = 6,
    SoftPlus = 7,
    SoftSign = 8,
    ELU = 9,
    PReLU = 10,
    ReLUN = 11,
    Power = 12,
    Exponential = 13,
    Logarithm = 14,
    GeLU = 15,
};

/// An activation with its parameters. PReLU takes one float32 slope a channel.
struct Neuron {
    NeuronType type = NeuronType::None;
    float a = 0, b = 0, c = 0;
    const float* slopes = nullptr;
};

/// dst = f(src), element by element; equal extents. dst may be src.
struct NeuronForward {
    Tensor src, dst;
    Neuron neuron;
};

/// diffSrc = diffDst * f'(src); src is the activation's input. diffSrc may be diffDst.
struct NeuronGradient {
    Tensor src, diffDst, diffSrc;
    Neuron neuron;
};

}  // namespace pewter::ops
