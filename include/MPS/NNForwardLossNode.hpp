#pragma once

#include <memory>

#include <MPS/NNFilterNode.hpp>
#include <MPS/NNLoss.hpp>

namespace MPS {

/// What NNForwardLossNode and NNLossGradientNode share (a helper of this library, no class of MPS): copies of
/// the descriptor's values, and the callback.
class PEWTER_API NNLossNodeProperties {
public:
    CNNLossType lossType() const { return descriptor_.lossType; }
    CNNReductionType reductionType() const { return descriptor_.reductionType; }
    std::size_t numberOfClasses() const { return descriptor_.numberOfClasses; }
    bool reduceAcrossBatch() const { return descriptor_.reduceAcrossBatch; }
    float weight() const { return descriptor_.weight; }
    float labelSmoothing() const { return descriptor_.labelSmoothing; }
    float epsilon() const { return descriptor_.epsilon; }
    float delta() const { return descriptor_.delta; }

    /// Asked for the weight once before every encode of the node's kernel, with the first image of the batch.
    /// Default null: weight() holds. A loss gradient filter with a state uses the weight of the forward
    /// encode whatever its own callback says.
    const std::shared_ptr<NNLossCallback>& propertyCallBack() const { return callback_; }
    /// Counts for graphs and gradient filters made from now on.
    void setPropertyCallBack(std::shared_ptr<NNLossCallback> callback) { callback_ = std::move(callback); }

protected:
    explicit NNLossNodeProperties(const CNNLossDescriptor& descriptor) : descriptor_(descriptor) {}
    ~NNLossNodeProperties() = default;
    const CNNLossDescriptor& descriptor() const { return descriptor_; }

private:
    CNNLossDescriptor descriptor_;
    std::shared_ptr<NNLossCallback> callback_;
};

/// MPSNNForwardLossNode: NNForwardLoss: the loss of the source against labels that are images, themselves
/// inputs or results of other filters. The result is 1 x 1 x 1, or of the source's size without reduction.
///
/// The singular gradientFilter() makes that of the predictions; gradientFilters() and trainingGraph() make
/// that of the labels too, and trainingGraph() goes on into whatever produces the labels, unless their image
/// has stopGradient(). Both filters read the one state. Start trainingGraph() with an NNInitialGradientNode.
/// Source: MPSNNGraphNodes.h.
class PEWTER_API NNForwardLossNode final : public NNFilterNode, public NNLossNodeProperties {
public:
    /// weights may be null: all 1. Throws MPS::Error for other nulls; what is wrong with the descriptor is
    /// reported when a graph is made. Objective-C: +nodeWithSource:labels:weights:lossDescriptor:
    static std::shared_ptr<NNForwardLossNode> node(const std::shared_ptr<NNImageNode>& source,
                                                   const std::shared_ptr<NNImageNode>& labels,
                                                   const std::shared_ptr<NNImageNode>& weights,
                                                   const CNNLossDescriptor& lossDescriptor);
    /// Objective-C: +nodeWithSource:labels:lossDescriptor:
    static std::shared_ptr<NNForwardLossNode> node(const std::shared_ptr<NNImageNode>& source,
                                                   const std::shared_ptr<NNImageNode>& labels,
                                                   const CNNLossDescriptor& lossDescriptor);
    /// Predictions, labels and, if there are any, weights. Objective-C: +nodeWithSources:lossDescriptor:
    static std::shared_ptr<NNForwardLossNode> node(const NNImageNodes& sources,
                                                   const CNNLossDescriptor& lossDescriptor);
    /// Objective-C: -initWithSource:labels:weights:lossDescriptor:
    NNForwardLossNode(const std::shared_ptr<NNImageNode>& source, const std::shared_ptr<NNImageNode>& labels,
                      const std::shared_ptr<NNImageNode>& weights, const CNNLossDescriptor& lossDescriptor);
    /// Objective-C: -initWithSource:labels:lossDescriptor:
    NNForwardLossNode(const std::shared_ptr<NNImageNode>& source, const std::shared_ptr<NNImageNode>& labels,
                      const CNNLossDescriptor& lossDescriptor);
    /// Objective-C: -initWithSources:lossDescriptor:
    NNForwardLossNode(const NNImageNodes& sources, const CNNLossDescriptor& lossDescriptor);

protected:
    bool hasSingularGradient() const override { return true; }
    std::vector<std::unique_ptr<NNStateNode>> newStates() override;
    NNGradientFilterNodes newGradientFilters(const std::shared_ptr<NNImageNode>& gradientImage) override;
    std::unique_ptr<pewter::mps::Step> compile(pewter::mps::Compilation& compilation) const override;
};

/// MPSNNLossGradientNode: NNLossGradient: the gradient of a forward loss with respect to its predictions or
/// labels, whose size the result has. With a state, weight, label smoothing, epsilon and delta are those of
/// the forward encode; without one the node's own count.
class PEWTER_API NNLossGradientNode final : public NNGradientFilterNode, public NNLossNodeProperties {
public:
    /// weights and gradientState may be null. Throws MPS::Error for other nulls. Objective-C:
    /// +nodeWithSourceGradient:sourceImage:labels:weights:gradientState:lossDescriptor:isLabelsGradientFilter:
    static std::shared_ptr<NNLossGradientNode> node(const std::shared_ptr<NNImageNode>& sourceGradient,
                                                    const std::shared_ptr<NNImageNode>& sourceImage,
                                                    const std::shared_ptr<NNImageNode>& labels,
                                                    const std::shared_ptr<NNImageNode>& weights,
                                                    const std::shared_ptr<NNGradientStateNode>& gradientState,
                                                    const CNNLossDescriptor& lossDescriptor,
                                                    bool isLabelsGradientFilter);
    /// Objective-C:
    /// +nodeWithSourceGradient:sourceImage:labels:gradientState:lossDescriptor:isLabelsGradientFilter:
    static std::shared_ptr<NNLossGradientNode> node(const std::shared_ptr<NNImageNode>& sourceGradient,
                                                    const std::shared_ptr<NNImageNode>& sourceImage,
                                                    const std::shared_ptr<NNImageNode>& labels,
                                                    const std::shared_ptr<NNGradientStateNode>& gradientState,
                                                    const CNNLossDescriptor& lossDescriptor,
                                                    bool isLabelsGradientFilter);
    /// Incoming gradient, predictions, labels and, if there are any, weights. Objective-C:
    /// +nodeWithSources:gradientState:lossDescriptor:isLabelsGradientFilter:
    static std::shared_ptr<NNLossGradientNode> node(const NNImageNodes& sources,
                                                    const std::shared_ptr<NNGradientStateNode>& gradientState,
                                                    const CNNLossDescriptor& lossDescriptor,
                                                    bool isLabelsGradientFilter);
    /// Objective-C:
    /// -initWithSourceGradient:sourceImage:labels:weights:gradientState:lossDescriptor:isLabelsGradientFilter:
    NNLossGradientNode(const std::shared_ptr<NNImageNode>& sourceGradient,
                       const std::shared_ptr<NNImageNode>& sourceImage,
                       const std::shared_ptr<NNImageNode>& labels,
                       const std::shared_ptr<NNImageNode>& weights,
                       const std::shared_ptr<NNGradientStateNode>& gradientState,
                       const CNNLossDescriptor& lossDescriptor, bool isLabelsGradientFilter);
    /// Objective-C:
    /// -initWithSourceGradient:sourceImage:labels:gradientState:lossDescriptor:isLabelsGradientFilter:
    NNLossGradientNode(const std::shared_ptr<NNImageNode>& sourceGradient,
                       const std::shared_ptr<NNImageNode>& sourceImage,
                       const std::shared_ptr<NNImageNode>& labels,
                       const std::shared_ptr<NNGradientStateNode>& gradientState,
                       const CNNLossDescriptor& lossDescriptor, bool isLabelsGradientFilter);
    /// Objective-C: -initWithSources:gradientState:lossDescriptor:isLabelsGradientFilter:
    NNLossGradientNode(const NNImageNodes& sources, const std::shared_ptr<NNGradientStateNode>& gradientState,
                       const CNNLossDescriptor& lossDescriptor, bool isLabelsGradientFilter);

    /// Whether the result is the gradient of the labels rather than of the predictions.
    bool isLabelsGradientFilter() const { return isLabelsGradientFilter_; }

protected:
    /// The refusal is that of every gradient filter.
    bool hasSingularGradient() const override { return true; }
    std::unique_ptr<pewter::mps::Step> compile(pewter::mps::Compilation& compilation) const override;

private:
    bool isLabelsGradientFilter_;
};

}  // namespace MPS
