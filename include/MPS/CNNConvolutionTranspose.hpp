#pragma once

#include <MPS/CNNConvolution.hpp>

namespace MPS {

class CNNConvolutionTranspose;

/// MPSCNNConvolutionTransposeGradientState: links the forward encode of a transposed convolution to its
/// gradient kernel and carries the gradients of weights and biases. One object serves a whole batch and is
/// good for one batch.
///
/// Everything of CNNConvolutionGradientState holds, with gradientForWeights() in the order of the transposed
/// convolution's own weights. convolution() is the convolution behind the linked state; null when there is
/// none.
class PEWTER_API CNNConvolutionTransposeGradientState : public CNNConvolutionGradientState {
public:
    /// The kernel that made the state; null when it is not owned by a shared pointer.
    const std::shared_ptr<CNNConvolutionTranspose>& convolutionTranspose() const { return transpose_; }
    /// The state of the convolution that the kernel undoes, given to resultState() or to the encode; may be
    /// null (extension).
    const std::shared_ptr<CNNConvolutionGradientState>& convolutionGradientState() const { return linked_; }

    ImageDescriptor destinationImageDescriptor(const std::vector<std::shared_ptr<Image>>& sourceImages,
                                               const StateBatch& sourceStates, Kernel& kernel,
                                               const ImageDescriptor& suggestedDescriptor) override;
    const char* className() const override { return "CNNConvolutionTransposeGradientState"; }

    /// For kernels that make one.
    CNNConvolutionTransposeGradientState(const StateOwner& owner, std::size_t weightCount,
                                         std::size_t biasCount,
                                         std::shared_ptr<CNNConvolutionTranspose> transpose,
                                         std::shared_ptr<CNNConvolutionGradientState> linked);

private:
    std::shared_ptr<CNNConvolutionTranspose> transpose_;
    std::shared_ptr<CNNConvolutionGradientState> linked_;
};

/// MPSCNNConvolutionTransposeGradientStateBatch.
using CNNConvolutionTransposeGradientStateBatch =
    std::vector<std::shared_ptr<CNNConvolutionTransposeGradientState>>;

/// MPSCNNConvolutionTranspose: a convolution over the source with stride - 1 zeros between its pixels; the
/// stride enlarges. With Z that source, zero outside, T = offset * stride + kernelOffset and the dilated
/// window KW x KH
///
///   y[n, Y, X, o] = f( b[o] + sum over r, q, c of W[o][r][q][c]
///                      * Z[n, Y - cy + Ty - floor(KH/2) + dY r, X - cx + Tx - floor(KW/2) + dX q, g(o) Cg +
///                      c] )
///
/// Weights are [No][kH][kW][Ni/G] with No the outputs of this layer, used without rotation. Sizes by padding
/// policy: (source - 1) stride + 1, plus or minus K - 1 for full and valid sizes; offset is 0 then and
/// kernelOffset centres the window. edgeMode() stays Zero. Result states are
/// CNNConvolutionTransposeGradientState, one for the whole batch.
///
/// A convolution's gradient state may be linked: the result then gets the size of that convolution's source,
/// and kernelOffset becomes -offset + (K even ? 1 : 0) of that convolution's offset, so that pixels meet
/// where they were. Every encode that is given such a state, or a result state made with one, lowers its read
/// count. Source: MPSCNNConvolution.h.
class PEWTER_API CNNConvolutionTranspose final : public CNNKernel {
public:
    /// Throws MPS::Error as CNNConvolution does, for weights of another type than Float32, and for a
    /// sub-pixel factor above 1.   Objective-C: -initWithDevice:weights:
    CNNConvolutionTranspose(std::shared_ptr<MTL::Device> device,
                            std::shared_ptr<CNNConvolutionDataSource> weights);

    std::size_t inputFeatureChannels() const { return descriptor_->inputFeatureChannels(); }
    std::size_t outputFeatureChannels() const { return descriptor_->outputFeatureChannels(); }
    std::size_t groups() const { return descriptor_->groups(); }
    /// Position in the source with zeros between its pixels. Default 0.
    std::int64_t kernelOffsetX() const { return kernelOffsetX_; }
    void setKernelOffsetX(std::int64_t offset) { kernelOffsetX_ = offset; }
    std::int64_t kernelOffsetY() const { return kernelOffsetY_; }
    void setKernelOffsetY(std::int64_t offset) { kernelOffsetY_ = offset; }
    /// Default Float; sums are float32 in either case.
    NNConvolutionAccumulatorPrecisionOption accumulatorPrecisionOption() const { return accumulator_; }
    void setAccumulatorPrecisionOption(NNConvolutionAccumulatorPrecisionOption option) {
        accumulator_ = option;
    }
    const std::shared_ptr<CNNConvolutionDataSource>& dataSource() const { return dataSource_; }
    /// The kernel's own copy of the descriptor (extension).
    const CNNConvolutionDescriptor& descriptor() const { return *descriptor_; }

    using CNNKernel::encode;
    using CNNKernel::encodeBatch;

    // A null state (or an empty batch) means: no linked convolution, the padding policy decides.

    /// Objective-C: -encodeToCommandBuffer:sourceImage:convolutionGradientState:
    std::shared_ptr<Image> encode(
        const std::shared_ptr<MTL::CommandBuffer>& commandBuffer, const std::shared_ptr<Image>& sourceImage,
        const std::shared_ptr<CNNConvolutionGradientState>& convolutionGradientState);
    /// offset and kernelOffset come from the state; without one they are used as they are.
    /// Objective-C: -encodeToCommandBuffer:sourceImage:convolutionGradientState:destinationImage:
    void encode(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
                const std::shared_ptr<Image>& sourceImage,
                const std::shared_ptr<CNNConvolutionGradientState>& convolutionGradientState,
                const std::shared_ptr<Image>& destinationImage);
    /// The inherited form with a destination state, for a state of its own class.
    /// Objective-C: -encodeToCommandBuffer:sourceImage:destinationState:destinationImage:
    void encode(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
                const std::shared_ptr<Image>& sourceImage,
                const std::shared_ptr<CNNConvolutionTransposeGradientState>& destinationState,
                const std::shared_ptr<Image>& destinationImage);
    /// *destinationState receives the new state. Objective-C:
    /// -encodeToCommandBuffer:sourceImage:convolutionGradientState:destinationState:destinationStateIsTemporary:
    std::shared_ptr<Image> encode(
        const std::shared_ptr<MTL::CommandBuffer>& commandBuffer, const std::shared_ptr<Image>& sourceImage,
        const std::shared_ptr<CNNConvolutionGradientState>& convolutionGradientState,
        std::shared_ptr<State>* destinationState, bool destinationStateIsTemporary);
    /// Objective-C: -encodeBatchToCommandBuffer:sourceImages:convolutionGradientStates:
    ImageBatch encodeBatch(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
                           const ImageBatch& sourceImages,
                           const CNNConvolutionGradientStateBatch& convolutionGradientStates);
    /// Objective-C: -encodeBatchToCommandBuffer:sourceImages:convolutionGradientStates:destinationImages:
    void encodeBatch(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer, const ImageBatch& sourceImages,
                     const CNNConvolutionGradientStateBatch& convolutionGradientStates,
                     const ImageBatch& destinationImages);
    /// *destinationStates receives the new states. Objective-C:
    /// -encodeBatchToCommandBuffer:sourceImages:convolutionGradientStates:destinationStates:destinationStateIsTemporary:
    ImageBatch encodeBatch(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
                           const ImageBatch& sourceImages,
                           const CNNConvolutionGradientStateBatch& convolutionGradientStates,
                           StateBatch* destinationStates, bool destinationStateIsTemporary);

    /// As on CNNConvolution: -reloadWeightsAndBiasesFromDataSource,
    /// -reloadWeightsAndBiasesWithCommandBuffer:state:,
    /// -exportWeightsAndBiasesWithCommandBuffer:resultStateCanBeTemporary:
    void reloadWeightsAndBiasesFromDataSource();
    void reloadWeightsAndBiases(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
                                const std::shared_ptr<CNNConvolutionWeightsAndBiasesState>& state);
    std::shared_ptr<CNNConvolutionWeightsAndBiasesState> exportWeightsAndBiases(
        const std::shared_ptr<MTL::CommandBuffer>& commandBuffer, bool resultStateCanBeTemporary);

    /// Takes offset and kernelOffset from the convolution that is to be undone, as a linked state does
    /// (extension).
    void configure(const pewter::mps::ForwardRecord& convolution);

    bool isBackwards() const override { return true; }
    bool isResultStateReusedAcrossBatch() const override { return true; }
    const char* className() const override { return "CNNConvolutionTranspose"; }
    /// The data source goes along through its copy() method.
    std::shared_ptr<Kernel> copy(const std::shared_ptr<MTL::Device>& device = nullptr) const override;

protected:
    CNNConvolutionTranspose(const CNNConvolutionTranspose&) = default;

    std::size_t resultFeatureChannels(std::size_t sourceChannels) const override;
    ImageDescriptor adjustDescriptor(const std::vector<std::shared_ptr<Image>>& sourceImages,
                                     const StateBatch& sourceStates,
                                     const ImageDescriptor& suggested) override;
    std::shared_ptr<State> newResultState(const StateOwner& owner, const std::shared_ptr<Image>& sourceImage,
                                          const StateBatch& sourceStates,
                                          const std::shared_ptr<Image>& destinationImage) override;
    void validate(const pewter::mps::UnaryEncoding& encoding) const override;
    void record(pewter::mps::UnaryEncoding& encoding) override;
    std::shared_ptr<pewter::mps::ForwardRecord> captureRecord(const Image& source,
                                                              const Image& destination) const override;

private:
    friend struct pewter::mps::ConvolutionAccess;
    std::shared_ptr<CNNConvolutionDataSource> dataSource_;
    std::shared_ptr<const CNNConvolutionDescriptor> descriptor_;
    std::shared_ptr<pewter::mps::ConvolutionParameters> parameters_;
    std::int64_t kernelOffsetX_ = 0, kernelOffsetY_ = 0;
    NNConvolutionAccumulatorPrecisionOption accumulator_ = NNConvolutionAccumulatorPrecisionOption::Float;
};

/// MPSCNNConvolutionTransposeGradient: gradients of the loss with respect to a transposed convolution's
/// source, weights and biases. With E the incoming gradient, zero outside, and t(r) = sY j - Ty + floor(KH/2)
/// - dY r (columns alike)
///
///   gradientForBiases[o]           = sum of E[n,Y,X,o]
///   gradientForWeights[o][r][q][c] = sum over n, j, i of x[n, j, i, g(o) Cg + c] E[n, t(r), t(q), o]
///   dx[n, j, i, g Cg + c]          = sum over r, q and o of group g of W[o][r][q][c] E[n, t(r), t(q), o]
///
/// The sums for weights and biases go to the gradient state (the first encode overwrites, later ones add); dx
/// is the result image, as large as the forward source. primaryOffset() places both in E: it is -T + (K even
/// ? 1 : 0), which encodes that return their image take from the state. Incoming gradients are as large as
/// the forward clip rectangle.
///
/// The kernel has a copy of the weights of its own, taken from the data source of the state's kernel with the
/// first data gradient: whoever updates the layer reloads both kernels. Source: MPSCNNConvolution.h.
class PEWTER_API CNNConvolutionTransposeGradient final : public CNNGradientKernel {
public:
    /// The forward kernel's data source. Throws MPS::Error as CNNConvolutionTranspose does, and for a fused
    /// neuron and a folded batch normalisation.   Objective-C: -initWithDevice:weights:
    CNNConvolutionTransposeGradient(std::shared_ptr<MTL::Device> device,
                                    std::shared_ptr<CNNConvolutionDataSource> weights);

    /// Channels of the incoming gradient: outputs of the transposed convolution.
    std::size_t sourceGradientFeatureChannels() const { return descriptor_->outputFeatureChannels(); }
    /// Channels of the forward source and of the result.
    std::size_t sourceImageFeatureChannels() const { return descriptor_->inputFeatureChannels(); }
    std::size_t groups() const { return descriptor_->groups(); }
    const std::shared_ptr<CNNConvolutionDataSource>& dataSource() const { return dataSource_; }
    /// The kernel's own copy of the descriptor (extension).
    const CNNConvolutionDescriptor& descriptor() const { return *descriptor_; }
    /// What to compute. Default: All. Weights only leaves a given destination unwritten.
    CNNConvolutionGradientOption gradientOption() const { return option_; }
    void setGradientOption(CNNConvolutionGradientOption option) { option_ = option; }

    /// As on CNNConvolution, for this kernel's own copy: -reloadWeightsAndBiasesFromDataSource,
    /// -reloadWeightsAndBiasesWithCommandBuffer:state:
    void reloadWeightsAndBiasesFromDataSource();
    void reloadWeightsAndBiases(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
                                const std::shared_ptr<CNNConvolutionWeightsAndBiasesState>& state);

    /// Gradients of weights and biases only, without any result image, with all geometry from the states;
    /// each distinct gradient, image and state loses one read (extension).
    void encodeWeightGradients(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
                               const ImageBatch& sourceGradients, const ImageBatch& sourceImages,
                               const StateBatch& gradientStates);

    void configure(const pewter::mps::ForwardRecord& forward) override;
    bool isStateModified() const override { return true; }
    const char* className() const override { return "CNNConvolutionTransposeGradient"; }
    std::shared_ptr<Kernel> copy(const std::shared_ptr<MTL::Device>& device = nullptr) const override;

protected:
    CNNConvolutionTransposeGradient(const CNNConvolutionTransposeGradient&) = default;

    std::size_t resultFeatureChannels(std::size_t primaryChannels,
                                      std::size_t secondaryChannels) const override;
    ImageDescriptor adjustDescriptor(const std::vector<std::shared_ptr<Image>>& sourceImages,
                                     const StateBatch& sourceStates,
                                     const ImageDescriptor& suggested) override;
    void validate(const pewter::mps::BinaryEncoding& encoding) const override;
    void record(pewter::mps::BinaryEncoding& encoding) override;
    const char* acceptedState() const override { return "CNNConvolutionTransposeGradientState"; }
    bool accepts(const State& state) const override;

private:
    friend struct pewter::mps::ConvolutionAccess;
    void recordWeights(pewter::mps::BinaryEncoding& encoding, CNNConvolutionTransposeGradientState& state);
    void recordData(pewter::mps::BinaryEncoding& encoding);
    pewter::mps::ConvolutionParameters& parameters(const CNNConvolutionTransposeGradientState* state);

    std::shared_ptr<CNNConvolutionDataSource> dataSource_;
    std::shared_ptr<const CNNConvolutionDescriptor> descriptor_;
    std::shared_ptr<pewter::mps::ConvolutionParameters> parameters_;
    CNNConvolutionGradientOption option_ = CNNConvolutionGradientOptionAll;
};

}  // namespace MPS
