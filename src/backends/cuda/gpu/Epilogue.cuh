#pragma once

#include "backends/cuda/Stream.h"
#include "ops/Neuron.h"
#include "ops/Tensor.h"

namespace pewter::cuda {

/// to[i] (+)= from[i] for dense runs of any types.
void convertRun(CudaStream& stream, const void* from, ops::Type fromType, void* to, ops::Type toType, std::int64_t count,
                bool accumulate);

/// t = neuron(t + bias), bias one value a channel or null.
void biasAndNeuron(CudaStream& stream, const ops::Tensor& t, const ops::Array& bias, const ops::Neuron& neuron);

}  // namespace pewter::cuda
