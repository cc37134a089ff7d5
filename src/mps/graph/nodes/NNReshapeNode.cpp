#include <MPS/NNReshape.hpp>
#include <MPS/NNReshapeNode.hpp>
#include <MTL/Error.hpp>

#include "mps/graph/steps/GradientStep.h"
#include "mps/graph/steps/Prepare.h"
#include "mps/graph/steps/ReshapeStep.h"

namespace MPS {

using namespace pewter::mps;

namespace {

void checkExtent(const char* argument, std::size_t extent) {
    if (extent == 0) throw Error("NNReshapeNode", argument, "at least 1", "0");
}

}  // namespace

std::shared_ptr<NNReshapeNode> NNReshapeNode::node(const std::shared_ptr<NNImageNode>& source,
                                                   std::size_t resultWidth, std::size_t resultHeight,
                                                   std::size_t resultFeatureChannels) {
    return std::make_shared<NNReshapeNode>(source, resultWidth, resultHeight, resultFeatureChannels);
}

NNReshapeNode::NNReshapeNode(const std::shared_ptr<NNImageNode>& source, std::size_t resultWidth,
                             std::size_t resultHeight, std::size_t resultFeatureChannels)
    : NNFilterNode("NNReshapeNode", {{"source", source}}),
      width_(resultWidth),
      height_(resultHeight),
      channels_(resultFeatureChannels) {
    checkExtent("resultWidth", width_);
    checkExtent("resultHeight", height_);
    checkExtent("resultFeatureChannels", channels_);
}

std::vector<std::unique_ptr<NNStateNode>> NNReshapeNode::newStates() {
    return oneState<NNGradientStateNode>();
}

NNGradientFilterNodes NNReshapeNode::newGradientFilters(const std::shared_ptr<NNImageNode>& gradientImage) {
    return {NNReshapeGradientNode::node(gradientImage, sources()[0], stateAs<NNGradientStateNode>())};
}

std::unique_ptr<Step> NNReshapeNode::compile(Compilation& compilation) const {
    return std::make_unique<ReshapeStep>(prepared(std::make_shared<NNReshape>(compilation.device()), *this),
                                         width_, height_, channels_);
}

std::shared_ptr<NNReshapeGradientNode> NNReshapeGradientNode::node(
    const std::shared_ptr<NNImageNode>& sourceGradient, const std::shared_ptr<NNImageNode>& sourceImage,
    const std::shared_ptr<NNGradientStateNode>& gradientState) {
    return std::make_shared<NNReshapeGradientNode>(sourceGradient, sourceImage, gradientState);
}

NNReshapeGradientNode::NNReshapeGradientNode(const std::shared_ptr<NNImageNode>& sourceGradient,
                                             const std::shared_ptr<NNImageNode>& sourceImage,
                                             const std::shared_ptr<NNGradientStateNode>& gradientState)
    : NNGradientFilterNode("NNReshapeGradientNode", sourceGradient, sourceImage, gradientState) {}

std::unique_ptr<Step> NNReshapeGradientNode::compile(Compilation& compilation) const {
    return std::make_unique<GradientStep>(
        prepared(std::make_shared<NNReshapeGradient>(compilation.device()), *this));
}

}  // namespace MPS
