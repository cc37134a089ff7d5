#pragma once

#include <MPS/CNNConvolution.hpp>
#include <MPS/CNNConvolutionTranspose.hpp>
#include <memory>

#include "mps/core/TensorRef.h"

namespace pewter::mps {

/// What the rest of the library does with convolutions beyond their public face.
struct ConvolutionAccess {
    /// Makes the gradient kernel compute with the forward kernel's own parameters, now and after every
    /// reload: one copy of the weights instead of two, and one reload. For graphs, which always update both
    /// kernels together.
    static void shareParameters(MPS::CNNConvolutionGradient& gradient, const MPS::CNNConvolution& forward);
    static void shareParameters(MPS::CNNConvolutionTransposeGradient& gradient,
                                const MPS::CNNConvolutionTranspose& forward);

    /// Throws unless both kernels have the geometry of one layer.
    template <class Gradient, class Forward>
    static void checkTwin(const Gradient& gradient, const Forward& forward) {
        requireTwin(gradient.name(), *gradient.descriptor_, *forward.descriptor_);
    }

    /// A temporary state (read count 1) that shows the kernel's own parameters instead of a copy. An
    /// optimizer that writes its result into it updates the kernel in place, and reloading from it then
    /// copies nothing. For graphs, which reload right after the update: nobody may keep it. Falls back to a
    /// copy when a batch normalisation is folded.
    static std::shared_ptr<MPS::CNNConvolutionWeightsAndBiasesState> exportForUpdate(
        MPS::CNNConvolution& convolution, const std::shared_ptr<MTL::CommandBuffer>& commandBuffer);
    static std::shared_ptr<MPS::CNNConvolutionWeightsAndBiasesState> exportForUpdate(
        MPS::CNNConvolutionTranspose& convolution, const std::shared_ptr<MTL::CommandBuffer>& commandBuffer);

    /// An encode that is given a convolution's states after destinationImageDescriptor() has placed the
    /// window: offsets stay as they are, and the states lose their read. For graphs, whose padding policies
    /// have the last word.
    static void encodeLinked(MPS::CNNConvolutionTranspose& transpose,
                             const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
                             const MPS::ImageBatch& sources, const MPS::StateBatch& convolutionGradientStates,
                             const MPS::StateBatch& destinationStates, const MPS::ImageBatch& destinations,
                             bool batch);

    /// The device-side reload of a forward or a gradient kernel.
    static void reload(const MPS::Kernel& kernel, ConvolutionParameters& parameters,
                       const MPS::CNNConvolutionDescriptor& descriptor,
                       const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
                       const std::shared_ptr<MPS::CNNConvolutionWeightsAndBiasesState>& state);

    /// A new state with a copy of the parameters.
    static std::shared_ptr<MPS::CNNConvolutionWeightsAndBiasesState> exported(
        const MPS::Kernel& kernel, const ConvolutionParameters& parameters,
        const MPS::CNNConvolutionDescriptor& descriptor,
        const std::shared_ptr<MTL::CommandBuffer>& commandBuffer, bool temporary);

    /// Makes a neuron part of a kernel that has none: its results are those of the kernel followed by the neuron,
    /// without rounding in between. For graphs.
    static void fuseNeuron(MPS::CNNConvolution& convolution, const MPS::NNNeuronDescriptor& neuron);
    /// Makes a gradient kernel add its data gradient to what the destinations hold, which must lie in one piece; one that
    /// cannot says so. For graphs.
    static void addToDestination(MPS::CNNConvolutionGradient& gradient);
    static void addToDestination(MPS::CNNConvolutionTransposeGradient& gradient);
    static bool canAddToDestination(const MPS::CNNConvolutionGradient& gradient);
    static bool canAddToDestination(const MPS::CNNConvolutionTransposeGradient&) { return false; }
    static bool addsToDestination(const MPS::CNNConvolutionGradient& gradient);
    /// Folds a normalisation with stored statistics into a kernel without neuron, or folds its present values again.
    static void fold(MPS::CNNConvolution& convolution,
                     MPS::CNNConvolutionDescriptor::BatchNormalization normalization);

    static const ConvolutionParameters& parameters(const MPS::CNNConvolution& convolution) {
        return *convolution.parameters_;
    }
    /// Of any class of the family; null in a gradient kernel that has not computed yet.
    template <class K>
    static const std::shared_ptr<ConvolutionParameters>& sharedParameters(const K& kernel) {
        return kernel.parameters_;
    }
    /// Extents of the weights, without memory.
    static ops::Tensor weightShape(const MPS::CNNConvolutionDescriptor& descriptor);

    static void setHasGradients(MPS::CNNConvolutionGradientState& state) { state.hasGradients_ = true; }

    static ArrayRef weights(MPS::CNNConvolutionWeightsAndBiasesState& state);
    /// Null without biases.
    static ArrayRef biases(MPS::CNNConvolutionWeightsAndBiasesState& state);
    static ArrayRef gradientForWeights(MPS::CNNConvolutionGradientState& state);
    static ArrayRef gradientForBiases(MPS::CNNConvolutionGradientState& state);

private:
    static void requireTwin(const std::string& kernel, const MPS::CNNConvolutionDescriptor& gradient,
                            const MPS::CNNConvolutionDescriptor& forward);
    /// What the functions above do for any pair of classes of the family.
    template <class Gradient, class Forward>
    static void share(Gradient& gradient, const Forward& forward);
    template <class Forward>
    static std::shared_ptr<MPS::CNNConvolutionWeightsAndBiasesState> borrowed(
        Forward& forward, const std::shared_ptr<MTL::CommandBuffer>& commandBuffer);
};

}  // namespace pewter::mps
