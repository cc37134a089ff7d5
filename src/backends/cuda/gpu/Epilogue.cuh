#pragma once

#include "backends/cuda/Stream.h"
#include "ops/Neuron.h"
#include "ops/Tensor.h"

namespace pewter::cuda {

/// to[i] (+)= from[i] for dense runs of any types.
void convertRun(CudaStream& stream, const void* from, ops::Type fromType, void* to, ops::Type toType, std::int64_t count,
                bool accumulate);

/// to = neuron(from + bias), bias one value a channel or null; nothing to do where that changes nothing.
void biasAndNeuron(CudaStream& stream, const ops::Tensor& from, const ops::Tensor& to, const ops::Array& bias,
                   const ops::Neuron& neuron);

}  // namespace pewter::cuda
