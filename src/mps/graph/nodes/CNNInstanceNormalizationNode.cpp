#include <MPS/CNNInstanceNormalizationNode.hpp>
#include <MTL/Error.hpp>

#include "mps/graph/steps/SampleNormalizationStep.h"

namespace MPS {

using namespace pewter::mps;

std::shared_ptr<CNNInstanceNormalizationNode> CNNInstanceNormalizationNode::node(
    const std::shared_ptr<NNImageNode>& source,
    const std::shared_ptr<CNNInstanceNormalizationDataSource>& dataSource) {
    return std::make_shared<CNNInstanceNormalizationNode>(source, dataSource);
}

CNNInstanceNormalizationNode::CNNInstanceNormalizationNode(
    const std::shared_ptr<NNImageNode>& source,
    const std::shared_ptr<CNNInstanceNormalizationDataSource>& dataSource)
    : NNFilterNode("CNNInstanceNormalizationNode", {{"source", source}}), dataSource_(dataSource) {
    if (!dataSource_) throw Error(className(), "dataSource", "a data source", "null");
}

std::vector<std::unique_ptr<NNStateNode>> CNNInstanceNormalizationNode::newStates() {
    return oneState<NNGradientStateNode>();
}

NNGradientFilterNodes CNNInstanceNormalizationNode::newGradientFilters(
    const std::shared_ptr<NNImageNode>& gradientImage) {
    auto gradient = CNNInstanceNormalizationGradientNode::node(gradientImage, sources()[0],
                                                               stateAs<NNGradientStateNode>());
    gradient->setTrainingStyle(trainingStyle());
    return {gradient};
}

std::unique_ptr<Step> CNNInstanceNormalizationNode::compile(Compilation& compilation) const {
    return std::make_unique<SampleNormalizationStep<InstanceNormalizationKind>>(
        made<CNNInstanceNormalization>(*this, compilation.device(), dataSource_), compilation);
}

std::shared_ptr<CNNInstanceNormalizationGradientNode> CNNInstanceNormalizationGradientNode::node(
    const std::shared_ptr<NNImageNode>& sourceGradient, const std::shared_ptr<NNImageNode>& sourceImage,
    const std::shared_ptr<NNGradientStateNode>& gradientState) {
    return std::make_shared<CNNInstanceNormalizationGradientNode>(sourceGradient, sourceImage, gradientState);
}

CNNInstanceNormalizationGradientNode::CNNInstanceNormalizationGradientNode(
    const std::shared_ptr<NNImageNode>& sourceGradient, const std::shared_ptr<NNImageNode>& sourceImage,
    const std::shared_ptr<NNGradientStateNode>& gradientState)
    : NNGradientFilterNode("CNNInstanceNormalizationGradientNode", sourceGradient, sourceImage,
                           gradientState) {}

std::unique_ptr<Step> CNNInstanceNormalizationGradientNode::compile(Compilation& compilation) const {
    return sampleNormalizationGradient<InstanceNormalizationKind>(*this, compilation);
}

}  // namespace MPS
