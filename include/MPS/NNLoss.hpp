#pragma once

#include <memory>

#include <MPS/CNNBinaryKernel.hpp>
#include <MPS/CNNLoss.hpp>
#include <MPS/NNGradientState.hpp>

namespace MPS {

/// MPSNNLossCallback: a weight that changes from encode to encode.
class PEWTER_API NNLossCallback {
public:
    virtual ~NNLossCallback() = default;
    /// The weight of the encode that is about to happen, from one source and one destination image of the
    /// batch (which hold no values yet: nothing has run).   Objective-C:
    /// -scalarWeightForSourceImage:destinationImage:
    virtual float scalarWeight(const std::shared_ptr<Image>& sourceImage,
                               const std::shared_ptr<Image>& destinationImage) = 0;
};

/// MPSNNForwardLoss: the loss alone, as images that further kernels can combine.
///
/// Shapes: sources, labels and weights [H,W,C] an image, to [1,1,1], or [H,W,C] for CNNReductionType::None.
/// Each image has its loss; with reduceAcrossBatch the first has that of the batch and the others 0.
/// Formulas: docs/ops/loss.md. Labels may be results of other kernels; NNLossGradient computes their
/// gradients. Each temporary among sources, labels and weights is read once in each role. A state records
/// weight, labelSmoothing, epsilon and delta for NNLossGradient. Encodes without labels refuse, and so do an
/// offset and a clip rectangle. Source: MPSCNNLoss.h.
class PEWTER_API NNForwardLoss final : public CNNKernel {
public:
    /// Throws as CNNLoss does.   Objective-C: -initWithDevice:lossDescriptor:
    NNForwardLoss(std::shared_ptr<MTL::Device> device, const CNNLossDescriptor& lossDescriptor);

    CNNLossType lossType() const { return descriptor_.lossType; }
    CNNReductionType reductionType() const { return descriptor_.reductionType; }
    bool reduceAcrossBatch() const { return descriptor_.reduceAcrossBatch; }
    std::size_t numberOfClasses() const { return descriptor_.numberOfClasses; }
    float weight() const { return descriptor_.weight; }
    /// For encodes from now on, as the three below.
    void setWeight(float weight) { descriptor_.weight = weight; }
    float labelSmoothing() const { return descriptor_.labelSmoothing; }
    /// Throws MPS::Error outside [0, 1].
    void setLabelSmoothing(float labelSmoothing);
    float epsilon() const { return descriptor_.epsilon; }
    void setEpsilon(float epsilon) { descriptor_.epsilon = epsilon; }
    float delta() const { return descriptor_.delta; }
    void setDelta(float delta) { descriptor_.delta = delta; }

    /// Asked for the weight just before every encode; default null. A property of graph nodes in MPS, here of
    /// kernels too. Copies share it.
    const std::shared_ptr<NNLossCallback>& propertyCallBack() const { return callback_; }
    void setPropertyCallBack(std::shared_ptr<NNLossCallback> callback) { callback_ = std::move(callback); }

    /// Labels have the size of the sources (of the channels read). Empty weights: all 1. Empty
    /// destinationStates record nothing. Objective-C:
    /// -encodeBatchToCommandBuffer:sourceImages:labels:weights:destinationStates:destinationImages:
    void encodeBatch(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer, const ImageBatch& sourceImages,
                     const ImageBatch& labels, const ImageBatch& weights, const StateBatch& destinationStates,
                     const ImageBatch& destinationImages);
    /// Returns the losses; *outStates receives the states, null makes none.
    /// Objective-C:
    /// -encodeBatchToCommandBuffer:sourceImages:labels:weights:destinationStates:destinationStateIsTemporary:
    ImageBatch encodeBatch(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
                           const ImageBatch& sourceImages, const ImageBatch& labels,
                           const ImageBatch& weights, StateBatch* outStates,
                           bool destinationStateIsTemporary);

    const char* className() const override { return "NNForwardLoss"; }
    std::shared_ptr<Kernel> copy(const std::shared_ptr<MTL::Device>& device = nullptr) const override;

protected:
    bool ignoresPadding() const override { return true; }
    std::size_t resultFeatureChannels(std::size_t sourceChannels) const override;
    ImageDescriptor adjustDescriptor(const std::vector<std::shared_ptr<Image>>& sourceImages,
                                     const StateBatch& sourceStates,
                                     const ImageDescriptor& suggested) override;
    std::shared_ptr<State> newResultState(const StateOwner& owner, const std::shared_ptr<Image>& sourceImage,
                                          const StateBatch& sourceStates,
                                          const std::shared_ptr<Image>& destinationImage) override;
    std::shared_ptr<pewter::mps::ForwardRecord> captureRecord(const Image& source,
                                                              const Image& destination) const override;
    void validate(const pewter::mps::UnaryEncoding& encoding) const override;
    void record(pewter::mps::UnaryEncoding& encoding) override;

private:
    void encodeLabelled(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
                        const ImageBatch& sourceImages, const ImageBatch& labels, const ImageBatch& weights,
                        const StateBatch& destinationStates, const ImageBatch& destinationImages);

    CNNLossDescriptor descriptor_;
    std::shared_ptr<NNLossCallback> callback_;
    /// Of the encode that is going on; null otherwise.
    const ImageBatch* labels_ = nullptr;
    const ImageBatch* weights_ = nullptr;
};

/// MPSNNLossGradient: the chain rule through NNForwardLoss, towards the predictions or the labels.
///
/// result = u * r * weight * w * dl/dy (or dl/dt), where u is the source gradient: its element for
/// CNNReductionType::None, else the one value of the image, or of the first image with reduceAcrossBatch; r
/// the reciprocal of what the reduction divides by. Weights get no gradient. Shapes: as the source (the
/// channels read). Primary source: gradients of the losses; secondary: the predictions. Source: MPSCNNLoss.h;
/// the factor r follows from the chain rule.
class PEWTER_API NNLossGradient final : public CNNBinaryKernel {
public:
    /// Throws as CNNLoss does.   Objective-C: -initWithDevice:lossDescriptor:
    NNLossGradient(std::shared_ptr<MTL::Device> device, const CNNLossDescriptor& lossDescriptor);

    CNNLossType lossType() const { return descriptor_.lossType; }
    CNNReductionType reductionType() const { return descriptor_.reductionType; }
    bool reduceAcrossBatch() const { return descriptor_.reduceAcrossBatch; }
    std::size_t numberOfClasses() const { return descriptor_.numberOfClasses; }
    float weight() const { return descriptor_.weight; }
    /// For encodes without states, as the three below: a state brings the values of its forward encode.
    void setWeight(float weight) { descriptor_.weight = weight; }
    float labelSmoothing() const { return descriptor_.labelSmoothing; }
    /// Throws MPS::Error outside [0, 1].
    void setLabelSmoothing(float labelSmoothing);
    float epsilon() const { return descriptor_.epsilon; }
    void setEpsilon(float epsilon) { descriptor_.epsilon = epsilon; }
    float delta() const { return descriptor_.delta; }
    void setDelta(float delta) { descriptor_.delta = delta; }
    /// Whether the result is the gradient of the labels; default no: of the predictions.
    bool computeLabelGradients() const { return computeLabelGradients_; }
    void setComputeLabelGradients(bool compute) { computeLabelGradients_ = compute; }

    /// As of NNForwardLoss; asked before encodes without states.
    const std::shared_ptr<NNLossCallback>& propertyCallBack() const { return callback_; }
    void setPropertyCallBack(std::shared_ptr<NNLossCallback> callback) { callback_ = std::move(callback); }

    /// Empty weights: all 1. Empty sourceStates: the properties count; else one state an image, of one
    /// forward encode. Objective-C:
    /// -encodeBatchToCommandBuffer:sourceGradients:sourceImages:labels:weights:sourceStates:destinationGradients:
    void encodeBatch(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
                     const ImageBatch& sourceGradients, const ImageBatch& sourceImages,
                     const ImageBatch& labels, const ImageBatch& weights, const StateBatch& sourceStates,
                     const ImageBatch& destinationGradients);
    /// Returns the gradients.
    /// Objective-C: -encodeBatchToCommandBuffer:sourceGradients:sourceImages:labels:weights:sourceStates:
    ImageBatch encodeBatch(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
                           const ImageBatch& sourceGradients, const ImageBatch& sourceImages,
                           const ImageBatch& labels, const ImageBatch& weights,
                           const StateBatch& sourceStates);

    const char* className() const override { return "NNLossGradient"; }
    std::shared_ptr<Kernel> copy(const std::shared_ptr<MTL::Device>& device = nullptr) const override;

protected:
    const char* primaryName() const override { return "sourceGradient"; }
    const char* secondaryName() const override { return "sourceImage"; }
    bool acceptsPlainEncodes() const override { return false; }
    std::size_t resultFeatureChannels(std::size_t primaryChannels,
                                      std::size_t secondaryChannels) const override;
    ImageDescriptor adjustDescriptor(const std::vector<std::shared_ptr<Image>>& sourceImages,
                                     const StateBatch& sourceStates,
                                     const ImageDescriptor& suggested) override;
    void validate(const pewter::mps::BinaryEncoding& encoding) const override;
    void record(pewter::mps::BinaryEncoding& encoding) override;

private:
    void encodeLabelled(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
                        const ImageBatch& sourceGradients, const ImageBatch& sourceImages,
                        const ImageBatch& labels, const ImageBatch& weights, const StateBatch& sourceStates,
                        const ImageBatch& destinationGradients);
    /// The descriptor with what a state of the forward encode recorded.
    CNNLossDescriptor descriptorFor(const StateBatch& sourceStates) const;

    CNNLossDescriptor descriptor_;
    bool computeLabelGradients_ = false;
    std::shared_ptr<NNLossCallback> callback_;
    const ImageBatch* labels_ = nullptr;
    const ImageBatch* weights_ = nullptr;
};

}  // namespace MPS
