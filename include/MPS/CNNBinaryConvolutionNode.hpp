#pragma once

#include <MPS/CNNBinaryConvolution.hpp>
#include <MPS/CNNConvolutionNode.hpp>

namespace MPS {

/// MPSCNNBinaryConvolutionNode: CNNBinaryConvolution, for inference: it has no gradient and no state, and
/// trainingStyle() and accumulatorPrecision() have no effect. Size and place of the window as in
/// CNNConvolutionNode. Source: MPSNNGraphNodes.h.
class PEWTER_API CNNBinaryConvolutionNode : public CNNConvolutionNode {
public:
    /// One scale for all outputs; the biases are the data source's. Throws MPS::Error for null; what is wrong
    /// with type, flags and data source is reported when a graph is made. Objective-C:
    /// +nodeWithSource:weights:scaleValue:type:flags:
    static std::shared_ptr<CNNBinaryConvolutionNode> node(
        const std::shared_ptr<NNImageNode>& source, const std::shared_ptr<CNNConvolutionDataSource>& weights,
        float scaleValue, CNNBinaryConvolutionType type, CNNBinaryConvolutionFlags flags);
    /// A value for each output channel and for each input channel; null means biases 0 and scales 1. The
    /// arrays are copied when a graph is made and must live until then. Objective-C:
    /// +nodeWithSource:weights:outputBiasTerms:outputScaleTerms:inputBiasTerms:inputScaleTerms:type:flags:
    static std::shared_ptr<CNNBinaryConvolutionNode> node(
        const std::shared_ptr<NNImageNode>& source, const std::shared_ptr<CNNConvolutionDataSource>& weights,
        const float* outputBiasTerms, const float* outputScaleTerms, const float* inputBiasTerms,
        const float* inputScaleTerms, CNNBinaryConvolutionType type, CNNBinaryConvolutionFlags flags);
    /// Objective-C: -initWithSource:weights:scaleValue:type:flags:
    CNNBinaryConvolutionNode(const std::shared_ptr<NNImageNode>& source,
                             const std::shared_ptr<CNNConvolutionDataSource>& weights, float scaleValue,
                             CNNBinaryConvolutionType type, CNNBinaryConvolutionFlags flags);
    /// Objective-C:
    /// -initWithSource:weights:outputBiasTerms:outputScaleTerms:inputBiasTerms:inputScaleTerms:type:flags:
    CNNBinaryConvolutionNode(const std::shared_ptr<NNImageNode>& source,
                             const std::shared_ptr<CNNConvolutionDataSource>& weights,
                             const float* outputBiasTerms, const float* outputScaleTerms,
                             const float* inputBiasTerms, const float* inputScaleTerms,
                             CNNBinaryConvolutionType type, CNNBinaryConvolutionFlags flags);

    /// Not available: throws MPS::Error.
    std::shared_ptr<CNNConvolutionGradientStateNode> convolutionGradientState() override;

protected:
    /// What the kernel is made of, besides the data source.
    struct Terms {
        bool hasScaleValue = false;
        float scaleValue = 1;
        const float *outputBias = nullptr, *outputScale = nullptr, *inputBias = nullptr,
                    *inputScale = nullptr;
        CNNBinaryConvolutionType type = CNNBinaryConvolutionType::BinaryWeights;
        CNNBinaryConvolutionFlags flags = CNNBinaryConvolutionFlags::None;
    };
    CNNBinaryConvolutionNode(const char* className, const std::shared_ptr<NNImageNode>& source,
                             const std::shared_ptr<CNNConvolutionDataSource>& weights, const Terms& terms)
        : CNNConvolutionNode(className, source, weights), terms_(terms) {}
    const Terms& terms() const { return terms_; }

    std::vector<std::unique_ptr<NNStateNode>> newStates() override;
    NNGradientFilterNodes newGradientFilters(const std::shared_ptr<NNImageNode>& gradientImage) override;
    std::unique_ptr<pewter::mps::Step> compile(pewter::mps::Compilation& compilation) const override;

    /// compile() with a kernel class.
    template <class Kernel>
    std::unique_ptr<pewter::mps::Step> compileAs(pewter::mps::Compilation& compilation) const;

private:
    Terms terms_;
};

/// MPSCNNBinaryFullyConnectedNode: CNNBinaryFullyConnected. The kernel size equals the source's; the result
/// is 1 x 1. Padding policy ValidOnly by default.
class PEWTER_API CNNBinaryFullyConnectedNode final : public CNNBinaryConvolutionNode {
public:
    /// Objective-C: +nodeWithSource:weights:scaleValue:type:flags:
    static std::shared_ptr<CNNBinaryFullyConnectedNode> node(
        const std::shared_ptr<NNImageNode>& source, const std::shared_ptr<CNNConvolutionDataSource>& weights,
        float scaleValue, CNNBinaryConvolutionType type, CNNBinaryConvolutionFlags flags);
    /// Objective-C:
    /// +nodeWithSource:weights:outputBiasTerms:outputScaleTerms:inputBiasTerms:inputScaleTerms:type:flags:
    static std::shared_ptr<CNNBinaryFullyConnectedNode> node(
        const std::shared_ptr<NNImageNode>& source, const std::shared_ptr<CNNConvolutionDataSource>& weights,
        const float* outputBiasTerms, const float* outputScaleTerms, const float* inputBiasTerms,
        const float* inputScaleTerms, CNNBinaryConvolutionType type, CNNBinaryConvolutionFlags flags);
    /// Objective-C: -initWithSource:weights:scaleValue:type:flags:
    CNNBinaryFullyConnectedNode(const std::shared_ptr<NNImageNode>& source,
                                const std::shared_ptr<CNNConvolutionDataSource>& weights, float scaleValue,
                                CNNBinaryConvolutionType type, CNNBinaryConvolutionFlags flags);
    /// Objective-C:
    /// -initWithSource:weights:outputBiasTerms:outputScaleTerms:inputBiasTerms:inputScaleTerms:type:flags:
    CNNBinaryFullyConnectedNode(const std::shared_ptr<NNImageNode>& source,
                                const std::shared_ptr<CNNConvolutionDataSource>& weights,
                                const float* outputBiasTerms, const float* outputScaleTerms,
                                const float* inputBiasTerms, const float* inputScaleTerms,
                                CNNBinaryConvolutionType type, CNNBinaryConvolutionFlags flags);

protected:
    std::unique_ptr<pewter::mps::Step> compile(pewter::mps::Compilation& compilation) const override;
};

}  // namespace MPS
