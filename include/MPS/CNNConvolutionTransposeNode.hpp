#pragma once

#include <MPS/CNNConvolutionNode.hpp>
#include <MPS/CNNConvolutionTranspose.hpp>

namespace MPS {

/// MPSCNNConvolutionTransposeNode: CNNConvolutionTranspose.
///
/// With the gradient state of a convolution the result has the size of the image that went into that
/// convolution, and the window is placed so that pixels meet where they were; the state is read once by this
/// filter, besides what the convolution's own gradient filter reads. trainingGraph() does not follow that
/// link: it goes on with the source image. Without a state the padding policy decides, by its reverse rule:
/// (source - 1) stride + 1, plus or minus window - 1 for full and valid sizes. resultState() is a
/// CNNConvolutionTransposeGradientStateNode. Source: MPSNNGraphNodes.h.
class PEWTER_API CNNConvolutionTransposeNode final : public CNNConvolutionNode {
public:
    /// convolutionGradientState may be null. Throws MPS::Error for other nulls, and for the state of a
    /// transposed convolution. Objective-C: +nodeWithSource:convolutionGradientState:weights:
    static std::shared_ptr<CNNConvolutionTransposeNode> node(
        const std::shared_ptr<NNImageNode>& source,
        const std::shared_ptr<CNNConvolutionGradientStateNode>& convolutionGradientState,
        const std::shared_ptr<CNNConvolutionDataSource>& weights);
    /// Objective-C: -initWithSource:convolutionGradientState:weights:
    CNNConvolutionTransposeNode(
        const std::shared_ptr<NNImageNode>& source,
        const std::shared_ptr<CNNConvolutionGradientStateNode>& convolutionGradientState,
        const std::shared_ptr<CNNConvolutionDataSource>& weights);

    /// Not available: throws MPS::Error. The filter's own state is resultState().
    std::shared_ptr<CNNConvolutionGradientStateNode> convolutionGradientState() override;

protected:
    std::vector<std::unique_ptr<NNStateNode>> newStates() override;
    NNGradientFilterNodes newGradientFilters(const std::shared_ptr<NNImageNode>& gradientImage) override;
    std::unique_ptr<pewter::mps::Step> compile(pewter::mps::Compilation& compilation) const override;
};

/// MPSCNNConvolutionTransposeGradientNode: CNNConvolutionTransposeGradient, and with it the update of the
/// weights (trainingStyle()).
class PEWTER_API CNNConvolutionTransposeGradientNode final : public CNNConvolutionGradientNode {
public:
    /// weights null: the data source of the filter that makes the state. Another one must hold equal values.
    /// Throws MPS::Error for other nulls. Objective-C:
    /// +nodeWithSourceGradient:sourceImage:convolutionTransposeGradientState:weights:
    static std::shared_ptr<CNNConvolutionTransposeGradientNode> node(
        const std::shared_ptr<NNImageNode>& sourceGradient, const std::shared_ptr<NNImageNode>& sourceImage,
        const std::shared_ptr<CNNConvolutionTransposeGradientStateNode>& gradientState,
        const std::shared_ptr<CNNConvolutionDataSource>& weights = nullptr);
    /// Objective-C: -initWithSourceGradient:sourceImage:convolutionTransposeGradientState:weights:
    CNNConvolutionTransposeGradientNode(
        const std::shared_ptr<NNImageNode>& sourceGradient, const std::shared_ptr<NNImageNode>& sourceImage,
        const std::shared_ptr<CNNConvolutionTransposeGradientStateNode>& gradientState,
        const std::shared_ptr<CNNConvolutionDataSource>& weights = nullptr);

protected:
    std::unique_ptr<pewter::mps::Step> compile(pewter::mps::Compilation& compilation) const override;
};

}  // namespace MPS
