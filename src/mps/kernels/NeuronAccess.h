#pragma once

#include <MPS/Image.hpp>
#include <MPS/Kernel.hpp>
#include <MPS/NNNeuronDescriptor.hpp>
#include <MTL/CommandBuffer.hpp>

namespace pewter::mps {

/// results = gradients * f'(sources), element by element, for images of equal extents; results may be the gradients.
/// Works in the name of a kernel that took the neuron in, and leaves read counts alone. For graphs.
void encodeNeuronGradient(MTL::CommandBuffer& commandBuffer, const MPS::Kernel& kernel,
                          const MPS::NNNeuronDescriptor& neuron, const MPS::ImageBatch& gradients,
                          const MPS::ImageBatch& sources, const MPS::ImageBatch& results);

/// Whether f' at the forward input can be told from the forward result alone, in every format that does not clamp:
/// f'(x) = f'(f(x)) for all x, up to negative x that the slope makes too small for the format.
bool hasDerivativeAtResult(const MPS::NNNeuronDescriptor& neuron);

}  // namespace pewter::mps
