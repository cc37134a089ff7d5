#pragma once

#include "backends/cuda/Stream.h"
#include "ops/Neuron.h"
#include "ops/Tensor.h"

namespace pewter::cuda {

/// to = neuron(from + bias), bias one value a channel or null; nothing is done where that changes nothing.
void biasAndNeuron(CudaStream& stream, const ops::Tensor& from, const ops::Tensor& to, const ops::Array& bias,
                   const ops::Neuron& neuron);

}  // namespace pewter::cuda
