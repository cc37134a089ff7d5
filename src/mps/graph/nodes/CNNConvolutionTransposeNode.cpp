#include <MPS/CNNConvolutionTransposeNode.hpp>
#include <MTL/Error.hpp>

#include "mps/graph/steps/ConvolutionTransposeStep.h"
#include "mps/graph/steps/Prepare.h"

namespace MPS {

using namespace pewter::mps;

std::shared_ptr<CNNConvolutionTransposeNode> CNNConvolutionTransposeNode::node(
    const std::shared_ptr<NNImageNode>& source,
    const std::shared_ptr<CNNConvolutionGradientStateNode>& convolutionGradientState,
    const std::shared_ptr<CNNConvolutionDataSource>& weights) {
    return std::make_shared<CNNConvolutionTransposeNode>(source, convolutionGradientState, weights);
}

CNNConvolutionTransposeNode::CNNConvolutionTransposeNode(
    const std::shared_ptr<NNImageNode>& source,
    const std::shared_ptr<CNNConvolutionGradientStateNode>& convolutionGradientState,
    const std::shared_ptr<CNNConvolutionDataSource>& weights)
    : CNNConvolutionNode("CNNConvolutionTransposeNode", source, weights,
                         convolutionGradientState ? std::vector<SourceState>{{"convolutionGradientState",
                                                                              convolutionGradientState}}
                                                  : std::vector<SourceState>{}) {
    if (std::dynamic_pointer_cast<CNNConvolutionTransposeGradientStateNode>(convolutionGradientState))
        throw Error(className(), "convolutionGradientState", "the state of a convolution",
                    "that of a transposed one");
}

std::shared_ptr<CNNConvolutionGradientStateNode> CNNConvolutionTransposeNode::convolutionGradientState() {
    throw Error(name(), "convolutionGradientState", "a convolution or fully connected filter",
                "a transposed convolution, whose own state is its resultState");
}

std::vector<std::unique_ptr<NNStateNode>> CNNConvolutionTransposeNode::newStates() {
    return oneState<CNNConvolutionTransposeGradientStateNode>();
}

NNGradientFilterNodes CNNConvolutionTransposeNode::newGradientFilters(
    const std::shared_ptr<NNImageNode>& gradientImage) {
    auto gradient = CNNConvolutionTransposeGradientNode::node(
        gradientImage, sources()[0], stateAs<CNNConvolutionTransposeGradientStateNode>(), weights());
    gradient->setTrainingStyle(trainingStyle());
    return {gradient};
}

std::unique_ptr<Step> CNNConvolutionTransposeNode::compile(Compilation& compilation) const {
    auto kernel = made<CNNConvolutionTranspose>(*this, compilation.device(), weights());
    kernel->setAccumulatorPrecisionOption(accumulatorPrecision());
    return std::make_unique<ConvolutionTransposeStep>(kernel, compilation);
}

std::shared_ptr<CNNConvolutionTransposeGradientNode> CNNConvolutionTransposeGradientNode::node(
    const std::shared_ptr<NNImageNode>& sourceGradient, const std::shared_ptr<NNImageNode>& sourceImage,
    const std::shared_ptr<CNNConvolutionTransposeGradientStateNode>& gradientState,
    const std::shared_ptr<CNNConvolutionDataSource>& weights) {
    return std::make_shared<CNNConvolutionTransposeGradientNode>(sourceGradient, sourceImage, gradientState,
                                                                 weights);
}

CNNConvolutionTransposeGradientNode::CNNConvolutionTransposeGradientNode(
    const std::shared_ptr<NNImageNode>& sourceGradient, const std::shared_ptr<NNImageNode>& sourceImage,
    const std::shared_ptr<CNNConvolutionTransposeGradientStateNode>& gradientState,
    const std::shared_ptr<CNNConvolutionDataSource>& weights)
    : CNNConvolutionGradientNode("CNNConvolutionTransposeGradientNode", sourceGradient, sourceImage,
                                 gradientState, weights, "convolutionTransposeGradientState") {}

std::unique_ptr<Step> CNNConvolutionTransposeGradientNode::compile(Compilation& compilation) const {
    const auto& state = *sourceStates()[0];
    auto* forward = dynamic_cast<ConvolutionTransposeStep*>(compilation.producer(state));
    if (!forward)
        throw Error(name(), "convolutionTransposeGradientState",
                    "a state that a transposed convolution of this graph makes", "another one");
    auto kernel = made<CNNConvolutionTransposeGradient>(*this, compilation.device(), weights());
    return std::make_unique<ConvolutionTransposeGradientStep>(kernel, *forward, trainingStyle(),
                                                              compilation.isExported(state));
}

}  // namespace MPS
