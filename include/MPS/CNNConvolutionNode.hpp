#pragma once

#include <memory>

#include <MPS/CNNConvolution.hpp>
#include <MPS/CNNConvolutionDataSource.hpp>
#include <MPS/NNFilterNode.hpp>

namespace MPS {

/// MPSCNNConvolutionNode: CNNConvolution. The result has the data source's output channels and the size of
/// the padding policy. In a training graph the descriptor must have no fused neuron: use a neuron node.
/// Source: MPSNNGraphNodes.h.
class PEWTER_API CNNConvolutionNode : public NNFilterNode, public NNTrainableNode {
public:
    /// Throws MPS::Error for null.   Objective-C: +nodeWithSource:weights:
    static std::shared_ptr<CNNConvolutionNode> node(const std::shared_ptr<NNImageNode>& source,
                                                    const std::shared_ptr<CNNConvolutionDataSource>& weights);
    /// Objective-C: -initWithSource:weights:
    CNNConvolutionNode(const std::shared_ptr<NNImageNode>& source,
                       const std::shared_ptr<CNNConvolutionDataSource>& weights);

    /// Default Float.
    NNConvolutionAccumulatorPrecisionOption accumulatorPrecision() const { return accumulatorPrecision_; }
    void setAccumulatorPrecision(NNConvolutionAccumulatorPrecisionOption option) {
        accumulatorPrecision_ = option;
    }

    /// The same node as resultState(). Throws MPS::Error for the subclasses that do not have it: transposed
    /// and binary convolutions.
    virtual std::shared_ptr<CNNConvolutionGradientStateNode> convolutionGradientState();

    /// (Extension.)
    const std::shared_ptr<CNNConvolutionDataSource>& weights() const { return weights_; }

protected:
    CNNConvolutionNode(const char* className, const std::shared_ptr<NNImageNode>& source,
                       const std::shared_ptr<CNNConvolutionDataSource>& weights,
                       const std::vector<SourceState>& sourceStates = {});

    std::vector<std::unique_ptr<NNStateNode>> newStates() override;
    NNGradientFilterNodes newGradientFilters(const std::shared_ptr<NNImageNode>& gradientImage) override;
    std::unique_ptr<pewter::mps::Step> compile(pewter::mps::Compilation& compilation) const override;

private:
    std::shared_ptr<CNNConvolutionDataSource> weights_;
    NNConvolutionAccumulatorPrecisionOption accumulatorPrecision_ =
        NNConvolutionAccumulatorPrecisionOption::Float;
};

/// MPSCNNFullyConnectedNode: CNNFullyConnected. The kernel size equals the source's; the result is 1 x 1.
/// Padding policy ValidOnly by default.
class PEWTER_API CNNFullyConnectedNode final : public CNNConvolutionNode {
public:
    /// Objective-C: +nodeWithSource:weights:
    static std::shared_ptr<CNNFullyConnectedNode> node(
        const std::shared_ptr<NNImageNode>& source, const std::shared_ptr<CNNConvolutionDataSource>& weights);
    /// Objective-C: -initWithSource:weights:
    CNNFullyConnectedNode(const std::shared_ptr<NNImageNode>& source,
                          const std::shared_ptr<CNNConvolutionDataSource>& weights);

protected:
    NNGradientFilterNodes newGradientFilters(const std::shared_ptr<NNImageNode>& gradientImage) override;
    std::unique_ptr<pewter::mps::Step> compile(pewter::mps::Compilation& compilation) const override;
};

/// MPSCNNConvolutionGradientNode: CNNConvolutionGradient, and with it the update of the weights
/// (trainingStyle()).
class PEWTER_API CNNConvolutionGradientNode : public NNGradientFilterNode, public NNTrainableNode {
public:
    /// weights null: the data source of the convolution that makes the state. Another one must hold equal
    /// values. Throws MPS::Error for other nulls. Objective-C:
    /// +nodeWithSourceGradient:sourceImage:convolutionGradientState:weights:
    static std::shared_ptr<CNNConvolutionGradientNode> node(
        const std::shared_ptr<NNImageNode>& sourceGradient, const std::shared_ptr<NNImageNode>& sourceImage,
        const std::shared_ptr<CNNConvolutionGradientStateNode>& gradientState,
        const std::shared_ptr<CNNConvolutionDataSource>& weights = nullptr);
    CNNConvolutionGradientNode(const std::shared_ptr<NNImageNode>& sourceGradient,
                               const std::shared_ptr<NNImageNode>& sourceImage,
                               const std::shared_ptr<CNNConvolutionGradientStateNode>& gradientState,
                               const std::shared_ptr<CNNConvolutionDataSource>& weights = nullptr);

    /// (Extension.)
    const std::shared_ptr<CNNConvolutionDataSource>& weights() const { return weights_; }

protected:
    CNNConvolutionGradientNode(const char* className, const std::shared_ptr<NNImageNode>& sourceGradient,
                               const std::shared_ptr<NNImageNode>& sourceImage,
                               const std::shared_ptr<CNNConvolutionGradientStateNode>& gradientState,
                               const std::shared_ptr<CNNConvolutionDataSource>& weights,
                               const char* stateArgument = "convolutionGradientState");
    std::unique_ptr<pewter::mps::Step> compile(pewter::mps::Compilation& compilation) const override;

private:
    std::shared_ptr<CNNConvolutionDataSource> weights_;
};

/// MPSCNNFullyConnectedGradientNode: CNNFullyConnectedGradient.
class PEWTER_API CNNFullyConnectedGradientNode final : public CNNConvolutionGradientNode {
public:
    /// Objective-C: +nodeWithSourceGradient:sourceImage:convolutionGradientState:weights:
    static std::shared_ptr<CNNFullyConnectedGradientNode> node(
        const std::shared_ptr<NNImageNode>& sourceGradient, const std::shared_ptr<NNImageNode>& sourceImage,
        const std::shared_ptr<CNNConvolutionGradientStateNode>& gradientState,
        const std::shared_ptr<CNNConvolutionDataSource>& weights = nullptr);
    CNNFullyConnectedGradientNode(const std::shared_ptr<NNImageNode>& sourceGradient,
                                  const std::shared_ptr<NNImageNode>& sourceImage,
                                  const std::shared_ptr<CNNConvolutionGradientStateNode>& gradientState,
                                  const std::shared_ptr<CNNConvolutionDataSource>& weights = nullptr);

protected:
    std::unique_ptr<pewter::mps::Step> compile(pewter::mps::Compilation& compilation) const override;
};

}  // namespace MPS
