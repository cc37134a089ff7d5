#include <MPS/CNNGroupNormalizationNode.hpp>
#include <MTL/Error.hpp>

#include "mps/graph/steps/SampleNormalizationStep.h"

namespace MPS {

using namespace pewter::mps;

std::shared_ptr<CNNGroupNormalizationNode> CNNGroupNormalizationNode::node(
    const std::shared_ptr<NNImageNode>& source,
    const std::shared_ptr<CNNGroupNormalizationDataSource>& dataSource) {
    return std::make_shared<CNNGroupNormalizationNode>(source, dataSource);
}

CNNGroupNormalizationNode::CNNGroupNormalizationNode(
    const std::shared_ptr<NNImageNode>& source,
    const std::shared_ptr<CNNGroupNormalizationDataSource>& dataSource)
    : NNFilterNode("CNNGroupNormalizationNode", {{"source", source}}), dataSource_(dataSource) {
    if (!dataSource_) throw Error(className(), "dataSource", "a data source", "null");
}

std::vector<std::unique_ptr<NNStateNode>> CNNGroupNormalizationNode::newStates() {
    return oneState<NNGradientStateNode>();
}

NNGradientFilterNodes CNNGroupNormalizationNode::newGradientFilters(
    const std::shared_ptr<NNImageNode>& gradientImage) {
    auto gradient =
        CNNGroupNormalizationGradientNode::node(gradientImage, sources()[0], stateAs<NNGradientStateNode>());
    gradient->setTrainingStyle(trainingStyle());
    return {gradient};
}

std::unique_ptr<Step> CNNGroupNormalizationNode::compile(Compilation& compilation) const {
    return std::make_unique<SampleNormalizationStep<GroupNormalizationKind>>(
        made<CNNGroupNormalization>(*this, compilation.device(), dataSource_), compilation);
}

std::shared_ptr<CNNGroupNormalizationGradientNode> CNNGroupNormalizationGradientNode::node(
    const std::shared_ptr<NNImageNode>& sourceGradient, const std::shared_ptr<NNImageNode>& sourceImage,
    const std::shared_ptr<NNGradientStateNode>& gradientState) {
    return std::make_shared<CNNGroupNormalizationGradientNode>(sourceGradient, sourceImage, gradientState);
}

CNNGroupNormalizationGradientNode::CNNGroupNormalizationGradientNode(
    const std::shared_ptr<NNImageNode>& sourceGradient, const std::shared_ptr<NNImageNode>& sourceImage,
    const std::shared_ptr<NNGradientStateNode>& gradientState)
    : NNGradientFilterNode("CNNGroupNormalizationGradientNode", sourceGradient, sourceImage, gradientState) {}

std::unique_ptr<Step> CNNGroupNormalizationGradientNode::compile(Compilation& compilation) const {
    return sampleNormalizationGradient<GroupNormalizationKind>(*this, compilation);
}

}  // namespace MPS
