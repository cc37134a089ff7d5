#include <MPS/NNGramMatrix.hpp>
#include <MPS/NNGramMatrixNode.hpp>

#include "mps/graph/steps/GradientStep.h"
#include "mps/graph/steps/Prepare.h"
#include "mps/graph/steps/UnaryStep.h"

namespace MPS {

using namespace pewter::mps;

std::shared_ptr<NNGramMatrixCalculationNode> NNGramMatrixCalculationNode::node(
    const std::shared_ptr<NNImageNode>& source) {
    return node(source, 1);
}

std::shared_ptr<NNGramMatrixCalculationNode> NNGramMatrixCalculationNode::node(
    const std::shared_ptr<NNImageNode>& source, float alpha) {
    return std::make_shared<NNGramMatrixCalculationNode>(source, alpha);
}

NNGramMatrixCalculationNode::NNGramMatrixCalculationNode(const std::shared_ptr<NNImageNode>& source,
                                                         float alpha)
    : NNFilterNode("NNGramMatrixCalculationNode", {{"source", source}}), alpha_(alpha) {}

std::vector<std::unique_ptr<NNStateNode>> NNGramMatrixCalculationNode::newStates() {
    return oneState<NNGradientStateNode>();
}

NNGradientFilterNodes NNGramMatrixCalculationNode::newGradientFilters(
    const std::shared_ptr<NNImageNode>& gradientImage) {
    return {NNGramMatrixCalculationGradientNode::node(gradientImage, sources()[0],
                                                      stateAs<NNGradientStateNode>(), alpha_)};
}

std::unique_ptr<Step> NNGramMatrixCalculationNode::compile(Compilation& compilation) const {
    const auto kernel = std::make_shared<NNGramMatrixCalculation>(compilation.device(), alpha_);
    kernel->setPropertyCallBack(callBack_);
    return std::make_unique<UnaryStep>(prepared(kernel, *this));
}

std::shared_ptr<NNGramMatrixCalculationGradientNode> NNGramMatrixCalculationGradientNode::node(
    const std::shared_ptr<NNImageNode>& sourceGradient, const std::shared_ptr<NNImageNode>& sourceImage,
    const std::shared_ptr<NNGradientStateNode>& gradientState) {
    return node(sourceGradient, sourceImage, gradientState, 1);
}

std::shared_ptr<NNGramMatrixCalculationGradientNode> NNGramMatrixCalculationGradientNode::node(
    const std::shared_ptr<NNImageNode>& sourceGradient, const std::shared_ptr<NNImageNode>& sourceImage,
    const std::shared_ptr<NNGradientStateNode>& gradientState, float alpha) {
    return std::make_shared<NNGramMatrixCalculationGradientNode>(sourceGradient, sourceImage, gradientState,
                                                                 alpha);
}

NNGramMatrixCalculationGradientNode::NNGramMatrixCalculationGradientNode(
    const std::shared_ptr<NNImageNode>& sourceGradient, const std::shared_ptr<NNImageNode>& sourceImage,
    const std::shared_ptr<NNGradientStateNode>& gradientState, float alpha)
    : NNGradientFilterNode("NNGramMatrixCalculationGradientNode", sourceGradient, sourceImage, gradientState),
      alpha_(alpha) {}

std::unique_ptr<Step> NNGramMatrixCalculationGradientNode::compile(Compilation& compilation) const {
    return std::make_unique<GradientStep>(
        prepared(std::make_shared<NNGramMatrixCalculationGradient>(compilation.device(), alpha_), *this));
}

}  // namespace MPS
