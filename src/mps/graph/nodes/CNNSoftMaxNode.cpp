#include <MPS/CNNSoftMax.hpp>
#include <MPS/CNNSoftMaxNode.hpp>

#include "mps/graph/steps/GradientStep.h"
#include "mps/graph/steps/Prepare.h"
#include "mps/graph/steps/UnaryStep.h"

namespace MPS {

using namespace pewter::mps;

namespace {

/// The kernel reads the forward result. Who passes the forward source, as the signature suggests, means the
/// same filter.
template <class Forward>
std::shared_ptr<NNImageNode> forwardResult(const std::shared_ptr<NNImageNode>& sourceImage,
                                           const std::shared_ptr<NNGradientStateNode>& gradientState) {
    auto* forward = gradientState ? dynamic_cast<Forward*>(gradientState->producer()) : nullptr;
    return forward && forward->sources()[0] == sourceImage ? forward->resultImage() : sourceImage;
}

}  // namespace

std::shared_ptr<CNNSoftMaxNode> CNNSoftMaxNode::node(const std::shared_ptr<NNImageNode>& source) {
    return std::make_shared<CNNSoftMaxNode>(source);
}

CNNSoftMaxNode::CNNSoftMaxNode(const std::shared_ptr<NNImageNode>& source)
    : NNFilterNode("CNNSoftMaxNode", {{"source", source}}) {}

std::vector<std::unique_ptr<NNStateNode>> CNNSoftMaxNode::newStates() {
    return oneState<NNGradientStateNode>();
}

NNGradientFilterNodes CNNSoftMaxNode::newGradientFilters(const std::shared_ptr<NNImageNode>& gradientImage) {
    return {CNNSoftMaxGradientNode::node(gradientImage, resultImage(), stateAs<NNGradientStateNode>())};
}

std::unique_ptr<Step> CNNSoftMaxNode::compile(Compilation& compilation) const {
    return std::make_unique<UnaryStep>(prepared(std::make_shared<CNNSoftMax>(compilation.device()), *this));
}

std::shared_ptr<CNNSoftMaxGradientNode> CNNSoftMaxGradientNode::node(
    const std::shared_ptr<NNImageNode>& sourceGradient, const std::shared_ptr<NNImageNode>& sourceImage,
    const std::shared_ptr<NNGradientStateNode>& gradientState) {
    return std::make_shared<CNNSoftMaxGradientNode>(sourceGradient, sourceImage, gradientState);
}

CNNSoftMaxGradientNode::CNNSoftMaxGradientNode(const std::shared_ptr<NNImageNode>& sourceGradient,
                                               const std::shared_ptr<NNImageNode>& sourceImage,
                                               const std::shared_ptr<NNGradientStateNode>& gradientState)
    : NNGradientFilterNode("CNNSoftMaxGradientNode", sourceGradient,
                           forwardResult<CNNSoftMaxNode>(sourceImage, gradientState), gradientState) {}

std::unique_ptr<Step> CNNSoftMaxGradientNode::compile(Compilation& compilation) const {
    return std::make_unique<GradientStep>(
        prepared(std::make_shared<CNNSoftMaxGradient>(compilation.device()), *this));
}

std::shared_ptr<CNNLogSoftMaxNode> CNNLogSoftMaxNode::node(const std::shared_ptr<NNImageNode>& source) {
    return std::make_shared<CNNLogSoftMaxNode>(source);
}

CNNLogSoftMaxNode::CNNLogSoftMaxNode(const std::shared_ptr<NNImageNode>& source)
    : NNFilterNode("CNNLogSoftMaxNode", {{"source", source}}) {}

std::vector<std::unique_ptr<NNStateNode>> CNNLogSoftMaxNode::newStates() {
    return oneState<NNGradientStateNode>();
}

NNGradientFilterNodes CNNLogSoftMaxNode::newGradientFilters(
    const std::shared_ptr<NNImageNode>& gradientImage) {
    return {CNNLogSoftMaxGradientNode::node(gradientImage, resultImage(), stateAs<NNGradientStateNode>())};
}

std::unique_ptr<Step> CNNLogSoftMaxNode::compile(Compilation& compilation) const {
    return std::make_unique<UnaryStep>(
        prepared(std::make_shared<CNNLogSoftMax>(compilation.device()), *this));
}

std::shared_ptr<CNNLogSoftMaxGradientNode> CNNLogSoftMaxGradientNode::node(
    const std::shared_ptr<NNImageNode>& sourceGradient, const std::shared_ptr<NNImageNode>& sourceImage,
    const std::shared_ptr<NNGradientStateNode>& gradientState) {
    return std::make_shared<CNNLogSoftMaxGradientNode>(sourceGradient, sourceImage, gradientState);
}

CNNLogSoftMaxGradientNode::CNNLogSoftMaxGradientNode(
    const std::shared_ptr<NNImageNode>& sourceGradient, const std::shared_ptr<NNImageNode>& sourceImage,
    const std::shared_ptr<NNGradientStateNode>& gradientState)
    : NNGradientFilterNode("CNNLogSoftMaxGradientNode", sourceGradient,
                           forwardResult<CNNLogSoftMaxNode>(sourceImage, gradientState), gradientState) {}

std::unique_ptr<Step> CNNLogSoftMaxGradientNode::compile(Compilation& compilation) const {
    return std::make_unique<GradientStep>(
        prepared(std::make_shared<CNNLogSoftMaxGradient>(compilation.device()), *this));
}

}  // namespace MPS
