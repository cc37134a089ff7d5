#pragma once

#include <MPS/CNNBatchNormalization.hpp>
#include <memory>

namespace pewter::mps {

// A batch normalisation with a sum and a neuron behind it, one kernel each way. For graphs, whose kernels see whole images;
// read counts are the caller's.

/// destinations = neuron(normalised sources + addends), element by element, with the kernel's neuron and the statistics of
/// the state (null: the kernel's own). All images are equally large.
void encodeNormalizationSum(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer, MPS::CNNBatchNormalization& kernel,
                            const MPS::ImageBatch& sources, const MPS::ImageBatch& addends,
                            const std::shared_ptr<MPS::CNNBatchNormalizationState>& state,
                            const MPS::ImageBatch& destinations);

/// Images of the sum's two gradients, which are one: sums = gradients * neuron'(normalised sources + addends), and their share
/// in the statistics gradients of the state. sums may be the gradients.
struct NormalizationSumGradient {
    MPS::ImageBatch gradients, sources, addends, sums;
    std::shared_ptr<MPS::CNNBatchNormalizationState> state;
};
void encodeNormalizationSumGradient(MTL::CommandBuffer& commandBuffer, const MPS::Kernel& kernel,
                                    const MPS::NNNeuronDescriptor& neuron, const NormalizationSumGradient& images);

}  // namespace pewter::mps
