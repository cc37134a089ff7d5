#include <MPS/CNNConvolutionNode.hpp>
#include <MPS/CNNFullyConnected.hpp>
#include <MPS/NNPadding.hpp>
#include <MTL/Error.hpp>

#include "mps/graph/steps/ConvolutionStep.h"
#include "mps/graph/steps/Prepare.h"

namespace MPS {

using pewter::mps::Compilation;
using pewter::mps::ConvolutionGradientStep;
using pewter::mps::ConvolutionStep;
using pewter::mps::made;
using pewter::mps::Step;

std::shared_ptr<CNNConvolutionNode> CNNConvolutionNode::node(
    const std::shared_ptr<NNImageNode>& source, const std::shared_ptr<CNNConvolutionDataSource>& weights) {
    return std::make_shared<CNNConvolutionNode>(source, weights);
}

CNNConvolutionNode::CNNConvolutionNode(const std::shared_ptr<NNImageNode>& source,
                                       const std::shared_ptr<CNNConvolutionDataSource>& weights)
    : CNNConvolutionNode("CNNConvolutionNode", source, weights) {}

CNNConvolutionNode::CNNConvolutionNode(const char* className, const std::shared_ptr<NNImageNode>& source,
                                       const std::shared_ptr<CNNConvolutionDataSource>& weights,
                                       const std::vector<SourceState>& sourceStates)
    : NNFilterNode(className, std::vector<Source>{{"source", source}}, sourceStates), weights_(weights) {
    if (!weights_) throw Error(className, "weights", "a data source", "null");
}

std::shared_ptr<CNNConvolutionGradientStateNode> CNNConvolutionNode::convolutionGradientState() {
    return stateAs<CNNConvolutionGradientStateNode>();
}

std::vector<std::unique_ptr<NNStateNode>> CNNConvolutionNode::newStates() {
    return oneState<CNNConvolutionGradientStateNode>();
}

NNGradientFilterNodes CNNConvolutionNode::newGradientFilters(
    const std::shared_ptr<NNImageNode>& gradientImage) {
    auto gradient =
        CNNConvolutionGradientNode::node(gradientImage, sources()[0], convolutionGradientState(), weights_);
    gradient->setTrainingStyle(trainingStyle());
    return {gradient};
}

std::unique_ptr<Step> CNNConvolutionNode::compile(Compilation& compilation) const {
    auto kernel = made<CNNConvolution>(*this, compilation.device(), weights_);
    kernel->setAccumulatorPrecisionOption(accumulatorPrecision());
    return std::make_unique<ConvolutionStep>(kernel, compilation);
}

std::shared_ptr<CNNFullyConnectedNode> CNNFullyConnectedNode::node(
    const std::shared_ptr<NNImageNode>& source, const std::shared_ptr<CNNConvolutionDataSource>& weights) {
    return std::make_shared<CNNFullyConnectedNode>(source, weights);
}

CNNFullyConnectedNode::CNNFullyConnectedNode(const std::shared_ptr<NNImageNode>& source,
                                             const std::shared_ptr<CNNConvolutionDataSource>& weights)
    : CNNConvolutionNode("CNNFullyConnectedNode", source, weights) {
    setPaddingPolicy(NNDefaultPadding::padding(NNPaddingMethodSizeValidOnly));
}

NNGradientFilterNodes CNNFullyConnectedNode::newGradientFilters(
    const std::shared_ptr<NNImageNode>& gradientImage) {
    auto gradient = CNNFullyConnectedGradientNode::node(gradientImage, sources()[0],
                                                        convolutionGradientState(), weights());
    gradient->setTrainingStyle(trainingStyle());
    return {gradient};
}

std::unique_ptr<Step> CNNFullyConnectedNode::compile(Compilation& compilation) const {
    auto kernel = made<CNNFullyConnected>(*this, compilation.device(), weights());
    kernel->setAccumulatorPrecisionOption(accumulatorPrecision());
    return std::make_unique<ConvolutionStep>(kernel, compilation);
}

std::shared_ptr<CNNConvolutionGradientNode> CNNConvolutionGradientNode::node(
    const std::shared_ptr<NNImageNode>& sourceGradient, const std::shared_ptr<NNImageNode>& sourceImage,
    const std::shared_ptr<CNNConvolutionGradientStateNode>& gradientState,
    const std::shared_ptr<CNNConvolutionDataSource>& weights) {
    return std::make_shared<CNNConvolutionGradientNode>(sourceGradient, sourceImage, gradientState, weights);
}

CNNConvolutionGradientNode::CNNConvolutionGradientNode(
    const std::shared_ptr<NNImageNode>& sourceGradient, const std::shared_ptr<NNImageNode>& sourceImage,
    const std::shared_ptr<CNNConvolutionGradientStateNode>& gradientState,
    const std::shared_ptr<CNNConvolutionDataSource>& weights)
    : CNNConvolutionGradientNode("CNNConvolutionGradientNode", sourceGradient, sourceImage, gradientState,
                                 weights) {}

CNNConvolutionGradientNode::CNNConvolutionGradientNode(
    const char* className, const std::shared_ptr<NNImageNode>& sourceGradient,
    const std::shared_ptr<NNImageNode>& sourceImage,
    const std::shared_ptr<CNNConvolutionGradientStateNode>& gradientState,
    const std::shared_ptr<CNNConvolutionDataSource>& weights, const char* stateArgument)
    : NNGradientFilterNode(className, sourceGradient, sourceImage, gradientState, stateArgument),
      weights_(weights) {
    if (weights_) return;
    const auto* forward = dynamic_cast<const CNNConvolutionNode*>(gradientState->producer());
    if (!forward)
        throw Error(className, "weights", "a data source, or a state made by a convolution node", "neither");
    weights_ = forward->weights();
}

namespace {

template <class GradientKernel>
std::unique_ptr<Step> compileGradient(const CNNConvolutionGradientNode& node, Compilation& compilation) {
    const auto& state = *node.sourceStates()[0];
    auto* forward = dynamic_cast<ConvolutionStep*>(compilation.producer(state));
    if (!forward)
        throw Error(node.name(), "convolutionGradientState", "a state that a convolution of this graph makes",
                    "another one");
    auto kernel = made<GradientKernel>(node, compilation.device(), node.weights());
    return std::make_unique<ConvolutionGradientStep>(kernel, *forward, node.trainingStyle(),
                                                     compilation.isExported(state));
}

}  // namespace

std::unique_ptr<Step> CNNConvolutionGradientNode::compile(Compilation& compilation) const {
    return compileGradient<CNNConvolutionGradient>(*this, compilation);
}

std::shared_ptr<CNNFullyConnectedGradientNode> CNNFullyConnectedGradientNode::node(
    const std::shared_ptr<NNImageNode>& sourceGradient, const std::shared_ptr<NNImageNode>& sourceImage,
    const std::shared_ptr<CNNConvolutionGradientStateNode>& gradientState,
    const std::shared_ptr<CNNConvolutionDataSource>& weights) {
    return std::make_shared<CNNFullyConnectedGradientNode>(sourceGradient, sourceImage, gradientState,
                                                           weights);
}

CNNFullyConnectedGradientNode::CNNFullyConnectedGradientNode(
    const std::shared_ptr<NNImageNode>& sourceGradient, const std::shared_ptr<NNImageNode>& sourceImage,
    const std::shared_ptr<CNNConvolutionGradientStateNode>& gradientState,
    const std::shared_ptr<CNNConvolutionDataSource>& weights)
    : CNNConvolutionGradientNode("CNNFullyConnectedGradientNode", sourceGradient, sourceImage, gradientState,
                                 weights) {}

std::unique_ptr<Step> CNNFullyConnectedGradientNode::compile(Compilation& compilation) const {
    return compileGradient<CNNFullyConnectedGradient>(*this, compilation);
}

}  // namespace MPS
