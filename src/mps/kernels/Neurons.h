#pragma once

#include <MPS/NNNeuronDescriptor.hpp>
#include <memory>
#include <string>
#include <vector>

#include "mps/core/TensorRef.h"
#include "ops/Neuron.h"

namespace pewter::mps {

/// A neuron for commands that run later: keeps the slopes that the seam's struct points to alive.
struct NeuronRef {
    ops::Neuron neuron;
    std::shared_ptr<const std::vector<float>> slopes;
};
NeuronRef neuronOf(const MPS::NNNeuronDescriptor& descriptor);

/// target = gradient * f'(source), when the command runs.
ops::NeuronGradient neuronGradient(const TensorRef& source, const TensorRef& gradient, const TensorRef& target,
                                   const NeuronRef& neuron);

/// Throws for a type outside the enumeration and for PReLU with fewer slopes than `channels`.
void checkNeuron(const MPS::NNNeuronDescriptor& descriptor, std::size_t channels, const std::string& who,
                 const char* argument);

/// "ReLU", "TanH"; for descriptions.
const char* nameOf(MPS::CNNNeuronType type);

}  // namespace pewter::mps
