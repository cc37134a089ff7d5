#pragma once

#include <MPS/CNNConvolutionDataSource.hpp>
#include <MPS/CNNConvolutionState.hpp>
#include <MPS/CNNGradientKernel.hpp>
#include <MPS/CNNKernel.hpp>

namespace pewter::mps {
class ConvolutionParameters;
struct ConvolutionAccess;
}  // namespace pewter::mps

namespace MPS {

/// MPSNNConvolutionAccumulatorPrecisionOption: the least precision of sums. Half is a permission that is not
/// used: sums are float32 at least in either case.
enum class NNConvolutionAccumulatorPrecisionOption : std::uint64_t { Half = 0, Float = 1 };

/// MPSCNNConvolution: y = f(W * x + b), a cross-correlation: plain, grouped, dilated, depthwise or sub-pixel,
/// as the data source's descriptor says.
///
///   y[n, Y, X, o] = f( b[o] + sum over r, q, c of W[o][r][q][c]
///                      * x[n, oy + sY (Y - cy) - floor(KH/2) + dY r, ox + sX (X - cx) - floor(KW/2) + dX q,
///                      g(o) Cg + c] )
///
/// with offset (ox, oy), clip rectangle origin (cx, cy), dilated window KW x KH, group g(o) and Cg = inputs /
/// groups. Source images have inputFeatureChannels() channels, more only from a sourceFeatureChannelOffset()
/// on. Result states are CNNConvolutionGradientState, one for the whole batch. Weights are kept in float32.
/// Source: MPSCNNConvolution.h.
class PEWTER_API CNNConvolution : public CNNKernel {
public:
    /// Loads descriptor and parameters. Throws MPS::Error for null, for load() == false, for a descriptor
    /// that makes no sense, for null weights and weights of an unknown type. Objective-C:
    /// -initWithDevice:weights:
    CNNConvolution(std::shared_ptr<MTL::Device> device, std::shared_ptr<CNNConvolutionDataSource> weights);
    /// Deprecated: float32 weights in the order of a data source, and biases or null; copied. dataSource() is
    /// one that the kernel makes of the copies; it has no update. Throws MPS::Error for null weights too.
    /// Objective-C: -initWithDevice:convolutionDescriptor:kernelWeights:biasTerms:flags:
    CNNConvolution(std::shared_ptr<MTL::Device> device, const CNNConvolutionDescriptor& convolutionDescriptor,
                   const float* kernelWeights, const float* biasTerms,
                   CNNConvolutionFlags flags = CNNConvolutionFlags::None);

    std::size_t inputFeatureChannels() const { return descriptor_->inputFeatureChannels(); }
    std::size_t outputFeatureChannels() const { return descriptor_->outputFeatureChannels(); }
    std::size_t groups() const { return descriptor_->groups(); }
    /// 0: ordinary; else outputs an input channel.
    std::size_t channelMultiplier() const { return descriptor_->channelMultiplier(); }
    std::size_t subPixelScaleFactor() const { return descriptor_->subPixelScaleFactor(); }
    const NNNeuronDescriptor& fusedNeuronDescriptor() const { return descriptor_->fusedNeuronDescriptor(); }
    /// Deprecated spellings of fusedNeuronDescriptor().
    const std::shared_ptr<const CNNNeuron>& neuron() const { return descriptor_->neuron(); }
    CNNNeuronType neuronType() const { return fusedNeuronDescriptor().neuronType(); }
    float neuronParameterA() const { return fusedNeuronDescriptor().a(); }
    float neuronParameterB() const { return fusedNeuronDescriptor().b(); }
    float neuronParameterC() const { return fusedNeuronDescriptor().c(); }
    const std::shared_ptr<CNNConvolutionDataSource>& dataSource() const { return dataSource_; }
    /// The kernel's own copy of the descriptor (extension).
    const CNNConvolutionDescriptor& descriptor() const { return *descriptor_; }
    NNConvolutionAccumulatorPrecisionOption accumulatorPrecisionOption() const { return accumulator_; }
    void setAccumulatorPrecisionOption(NNConvolutionAccumulatorPrecisionOption option) {
        accumulator_ = option;
    }

    /// Loads the parameters again, now, into new memory: work that is encoded already keeps the old ones.
    /// Throws MPS::Error as the constructor does, and when the geometry has changed; the kernel then keeps
    /// what it had. Objective-C: -reloadWeightsAndBiasesFromDataSource
    void reloadWeightsAndBiasesFromDataSource();
    /// Deprecated: the argument is ignored.   Objective-C: -reloadWeightsAndBiasesWithDataSource:
    void reloadWeightsAndBiases(const std::shared_ptr<CNNConvolutionDataSource>& dataSource);
    /// Copies the state's parameters into the kernel, in command order. A state without biases leaves them as
    /// they are. Lowers the state's read count. Throws MPS::Error for null and for other numbers of weights
    /// or biases. Objective-C: -reloadWeightsAndBiasesWithCommandBuffer:state:
    void reloadWeightsAndBiases(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
                                const std::shared_ptr<CNNConvolutionWeightsAndBiasesState>& state);
    /// A new state with a copy of the parameters as they are at this point of the command buffer (without
    /// folded batch normalisation); temporary with read count 1 if allowed. Objective-C:
    /// -exportWeightsAndBiasesWithCommandBuffer:resultStateCanBeTemporary:
    std::shared_ptr<CNNConvolutionWeightsAndBiasesState> exportWeightsAndBiases(
        const std::shared_ptr<MTL::CommandBuffer>& commandBuffer, bool resultStateCanBeTemporary);

    bool isResultStateReusedAcrossBatch() const override { return true; }
    const char* className() const override { return "CNNConvolution"; }
    /// The data source goes along through its copy() method.
    std::shared_ptr<Kernel> copy(const std::shared_ptr<MTL::Device>& device = nullptr) const override;

protected:
    /// For subclasses that name themselves in errors before they exist.
    CNNConvolution(std::shared_ptr<MTL::Device> device, std::shared_ptr<CNNConvolutionDataSource> weights,
                   const char* className);
    CNNConvolution(const CNNConvolution&) = default;

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
    /// A copy of the same class that still shares everything; for copy().
    virtual std::shared_ptr<CNNConvolution> clone() const;

private:
    friend struct pewter::mps::ConvolutionAccess;
    std::shared_ptr<CNNConvolutionDataSource> dataSource_;
    std::shared_ptr<const CNNConvolutionDescriptor> descriptor_;
    std::shared_ptr<pewter::mps::ConvolutionParameters> parameters_;
    NNConvolutionAccumulatorPrecisionOption accumulator_ = NNConvolutionAccumulatorPrecisionOption::Float;
};

/// MPSCNNConvolutionGradientOption, a bit set.
using CNNConvolutionGradientOption = std::uint64_t;
inline constexpr CNNConvolutionGradientOption CNNConvolutionGradientOptionGradientWithData = 1;
inline constexpr CNNConvolutionGradientOption CNNConvolutionGradientOptionGradientWithWeightsAndBias = 2;
inline constexpr CNNConvolutionGradientOption CNNConvolutionGradientOptionAll = 3;

/// MPSCNNConvolutionGradient: gradients of the loss with respect to a convolution's source, weights and
/// biases.
///
///   gradientForBiases[o]           = sum of E[n,j,i,o]
///   gradientForWeights[o][r][q][c] = sum of E[n,j,i,o] x[n, sY j + by + dY r, sX i + bx + dX q, g(o) Cg + c]
///   dx[n,v,u,k]                    = sum of W[o][r][q][c] E[n,j,i,o] over all (o,r,q,j,i) that read
///   x[n,v,u,k]
///
/// The sums for weights and biases go to the gradient state (the first encode overwrites, later ones add); dx
/// is the result image. (bx, by) is secondaryOffset(); the data gradient is placed by primaryOffset() *
/// stride + kernelOffset. Encodes that return their image set these from the state: secondaryOffset = offset
/// - floor(K/2), kernelOffset = -offset + (K even ? 1 : 0), primaryOffset = 0. Incoming gradients are as
/// large as the forward clip rectangle. The adjoint is exact for edge mode Clamp too.
///
/// The kernel has a copy of the weights of its own, taken from the data source of the state's convolution
/// with the first data gradient: whoever updates the layer reloads both kernels. Source: MPSCNNConvolution.h.
class PEWTER_API CNNConvolutionGradient : public CNNGradientKernel {
public:
    /// The forward kernel's data source. Throws MPS::Error as CNNConvolution does, and for a fused neuron, a
    /// folded batch normalisation, a channel multiplier above 1 and a sub-pixel factor above 1: they have no
    /// gradients. Objective-C: -initWithDevice:weights:
    CNNConvolutionGradient(std::shared_ptr<MTL::Device> device,
                           std::shared_ptr<CNNConvolutionDataSource> weights);

    /// Channels of the incoming gradient: outputs of the convolution.
    std::size_t sourceGradientFeatureChannels() const { return descriptor_->outputFeatureChannels(); }
    /// Channels of the forward source and of the result.
    std::size_t sourceImageFeatureChannels() const { return descriptor_->inputFeatureChannels(); }
    std::size_t groups() const { return descriptor_->groups(); }
    std::size_t channelMultiplier() const { return descriptor_->channelMultiplier(); }
    const std::shared_ptr<CNNConvolutionDataSource>& dataSource() const { return dataSource_; }
    /// The kernel's own copy of the descriptor (extension).
    const CNNConvolutionDescriptor& descriptor() const { return *descriptor_; }
    /// What to compute. Default: All. Weights only leaves a given destination unwritten.
    CNNConvolutionGradientOption gradientOption() const { return option_; }
    void setGradientOption(CNNConvolutionGradientOption option) { option_ = option; }
    /// Deprecated; no effect.
    bool serializeWeightsAndBiases() const { return serialize_; }
    void setSerializeWeightsAndBiases(bool serialize) { serialize_ = serialize; }

    /// As on CNNConvolution, for this kernel's own copy. Objective-C: -reloadWeightsAndBiasesFromDataSource,
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
    const char* className() const override { return "CNNConvolutionGradient"; }
    std::shared_ptr<Kernel> copy(const std::shared_ptr<MTL::Device>& device = nullptr) const override;

protected:
    CNNConvolutionGradient(std::shared_ptr<MTL::Device> device,
                           std::shared_ptr<CNNConvolutionDataSource> weights, const char* className);
    CNNConvolutionGradient(const CNNConvolutionGradient&) = default;

    std::size_t resultFeatureChannels(std::size_t primaryChannels,
                                      std::size_t secondaryChannels) const override;
    ImageDescriptor adjustDescriptor(const std::vector<std::shared_ptr<Image>>& sourceImages,
                                     const StateBatch& sourceStates,
                                     const ImageDescriptor& suggested) override;
    void validate(const pewter::mps::BinaryEncoding& encoding) const override;
    void record(pewter::mps::BinaryEncoding& encoding) override;
    const char* acceptedState() const override { return "CNNConvolutionGradientState"; }
    bool accepts(const State& state) const override;
    virtual std::shared_ptr<CNNConvolutionGradient> clone() const;

    /// The two halves of record(); the fully connected kernel has its own.
    virtual void recordWeights(pewter::mps::BinaryEncoding& encoding, CNNConvolutionGradientState& state);
    virtual void recordData(pewter::mps::BinaryEncoding& encoding);
    /// Own weights, loaded if they are not yet.
    pewter::mps::ConvolutionParameters& parameters(const CNNConvolutionGradientState* state);

private:
    friend struct pewter::mps::ConvolutionAccess;
    std::shared_ptr<CNNConvolutionDataSource> dataSource_;
    std::shared_ptr<const CNNConvolutionDescriptor> descriptor_;
    std::shared_ptr<pewter::mps::ConvolutionParameters> parameters_;
    CNNConvolutionGradientOption option_ = CNNConvolutionGradientOptionAll;
    bool serialize_ = false;
    /// Graphs: the data gradient is added to what the destinations hold.
    bool addsToDestination_ = false;
};

}  // namespace MPS
