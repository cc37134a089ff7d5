#pragma once

#include <MPS/CNNConvolutionDescriptor.hpp>
#include <MPS/NNGradientState.hpp>

namespace MTL {
class Buffer;
}

namespace pewter::mps {
struct ConvolutionAccess;
}

namespace MPS {

class CNNConvolution;

/// MPSCNNConvolutionGradientState: links the forward encode of a convolution to its gradient kernel and
/// carries the gradients of weights and biases to whoever updates them. One object serves a whole batch.
///
/// Good for one batch. The sums run over every image of every gradient encode: the first one overwrites,
/// later ones add. A state that the host reads after completion must not be temporary. Buffers take memory
/// with first use only.
class PEWTER_API CNNConvolutionGradientState : public NNGradientState {
public:
    /// Floats in the order of the data source's weights, OHWI.
    std::shared_ptr<MTL::Buffer> gradientForWeights();
    /// outputFeatureChannels floats, also when the layer has no bias.
    std::shared_ptr<MTL::Buffer> gradientForBiases();
    CNNConvolutionWeightsLayout gradientForWeightsLayout() const { return CNNConvolutionWeightsLayout::OHWI; }
    /// The forward kernel that made the state; null when it is not owned by a shared pointer. Of a
    /// CNNConvolutionTransposeGradientState: the convolution behind the linked state, if there is one.
    const std::shared_ptr<CNNConvolution>& convolution() const { return convolution_; }

    std::size_t weightCount() const { return weightCount_; }
    std::size_t biasCount() const { return biasCount_; }
    /// Whether a gradient encode has contributed yet: the next one adds then.
    bool hasGradients() const { return hasGradients_; }

    /// A transposed convolution that reads the state undoes the recorded convolution: its result gets the
    /// size of the forward source, its kernelOffset comes from the forward offset. For gradient kernels as
    /// NNGradientState.
    ImageDescriptor destinationImageDescriptor(const std::vector<std::shared_ptr<Image>>& sourceImages,
                                               const StateBatch& sourceStates, Kernel& kernel,
                                               const ImageDescriptor& suggestedDescriptor) override;

    const char* className() const override { return "CNNConvolutionGradientState"; }

    /// For kernels that make one.
    CNNConvolutionGradientState(const StateOwner& owner, std::size_t weightCount, std::size_t biasCount,
                                std::shared_ptr<CNNConvolution> convolution);

private:
    friend struct pewter::mps::ConvolutionAccess;
    std::shared_ptr<CNNConvolution> convolution_;
    std::size_t weightCount_, biasCount_;
    bool hasGradients_ = false;
};

/// MPSCNNConvolutionGradientStateBatch.
using CNNConvolutionGradientStateBatch = std::vector<std::shared_ptr<CNNConvolutionGradientState>>;
/// The states of a batch by their own class, as a transposed convolution wants them (extension). Throws
/// MPS::Error for null and for states of another class.
PEWTER_API CNNConvolutionGradientStateBatch convolutionGradientStates(const StateBatch& states);

/// MPSCNNConvolutionWeightsAndBiasesState: weights and biases, float32 in the order of the data source, on
/// their way between a kernel and whoever updates it.
class PEWTER_API CNNConvolutionWeightsAndBiasesState : public State {
public:
    /// Buffers of exactly the length needed; biases may be null. Throws MPS::Error for null weights.
    /// Objective-C: -initWithWeights:biases:
    CNNConvolutionWeightsAndBiasesState(std::shared_ptr<MTL::Buffer> weights,
                                        std::shared_ptr<MTL::Buffer> biases);
    /// Allocates both.   Objective-C: -initWithDevice:cnnConvolutionDescriptor:
    CNNConvolutionWeightsAndBiasesState(const std::shared_ptr<MTL::Device>& device,
                                        const CNNConvolutionDescriptor& descriptor);
    /// Ranges of the caller's buffers; one buffer may serve both, biases may be null. Offsets in bytes,
    /// multiples of 4. Throws MPS::Error when a range does not fit. Objective-C:
    /// -initWithWeights:weightsOffset:biases:biasesOffset:cnnConvolutionDescriptor:
    CNNConvolutionWeightsAndBiasesState(std::shared_ptr<MTL::Buffer> weights, std::size_t weightsOffset,
                                        std::shared_ptr<MTL::Buffer> biases, std::size_t biasesOffset,
                                        const CNNConvolutionDescriptor& descriptor);
    /// Read count 1.
    /// Objective-C: +temporaryCNNConvolutionWeightsAndBiasesStateWithCommandBuffer:cnnConvolutionDescriptor:
    static std::shared_ptr<CNNConvolutionWeightsAndBiasesState> temporaryCNNConvolutionWeightsAndBiasesState(
        const std::shared_ptr<MTL::CommandBuffer>& commandBuffer, const CNNConvolutionDescriptor& descriptor);

    std::shared_ptr<MTL::Buffer> weights();
    /// Null when the state was made without.
    std::shared_ptr<MTL::Buffer> biases();
    std::size_t weightsOffset() const { return weightsOffset_; }
    std::size_t biasesOffset() const { return biasesOffset_; }
    /// Elements from the offset on.
    std::size_t weightCount() const { return weightCount_; }
    /// 0 without biases.
    std::size_t biasCount() const { return biasCount_; }

    const char* className() const override { return "CNNConvolutionWeightsAndBiasesState"; }

    /// For kernels that make one.
    CNNConvolutionWeightsAndBiasesState(const StateOwner& owner, std::size_t weightCount,
                                        std::size_t biasCount);

private:
    friend struct pewter::mps::ConvolutionAccess;
    std::size_t weightsOffset_ = 0, biasesOffset_ = 0;
    std::size_t weightCount_ = 0, biasCount_ = 0;
};

}  // namespace MPS
