#include <fmt/format.h>

#include <MPS/CNNBatchNormalizationNode.hpp>
#include <MTL/Error.hpp>

#include "mps/graph/NodeAccess.h"
#include "mps/graph/steps/BatchNormalizationStep.h"
#include "mps/graph/steps/OnlyGradient.h"
#include "mps/graph/steps/Prepare.h"

namespace MPS {

using namespace pewter::mps;

std::shared_ptr<CNNBatchNormalizationNode> CNNBatchNormalizationNode::node(
    const std::shared_ptr<NNImageNode>& source,
    const std::shared_ptr<CNNBatchNormalizationDataSource>& dataSource) {
    return std::make_shared<CNNBatchNormalizationNode>(source, dataSource);
}

CNNBatchNormalizationNode::CNNBatchNormalizationNode(
    const std::shared_ptr<NNImageNode>& source,
    const std::shared_ptr<CNNBatchNormalizationDataSource>& dataSource)
    : NNFilterNode("CNNBatchNormalizationNode", {{"source", source}}), dataSource_(dataSource) {
    if (!dataSource_) throw Error(className(), "dataSource", "a data source", "null");
}

void CNNBatchNormalizationNode::setFlags(CNNBatchNormalizationFlags flags) {
    if (flags > CNNBatchNormalizationFlagsCalculateStatisticsNever)
        throw Error(name(), "flags", "automatic (0), always (1) or never (2)", fmt::format("{}", flags));
    flags_ = flags;
}

std::vector<std::unique_ptr<NNStateNode>> CNNBatchNormalizationNode::newStates() {
    return oneState<NNGradientStateNode>();
}

NNGradientFilterNodes CNNBatchNormalizationNode::newGradientFilters(
    const std::shared_ptr<NNImageNode>& gradientImage) {
    auto gradient =
        CNNBatchNormalizationGradientNode::node(gradientImage, sources()[0], stateAs<NNGradientStateNode>());
    gradient->setTrainingStyle(trainingStyle());
    return {gradient};
}

std::unique_ptr<Step> CNNBatchNormalizationNode::compile(Compilation& compilation) const {
    auto kernel = made<CNNBatchNormalization>(*this, compilation.device(), dataSource_);
    bool calculates = flags_ == CNNBatchNormalizationFlagsCalculateStatisticsAlways;
    if (flags_ == CNNBatchNormalizationFlagsCalculateStatisticsAutomatic)
        for (const auto& state : NodeAccess::states(*this)) calculates |= compilation.isConsumed(*state);
    return std::make_unique<BatchNormalizationStep>(kernel, calculates, compilation);
}

std::shared_ptr<CNNBatchNormalizationGradientNode> CNNBatchNormalizationGradientNode::node(
    const std::shared_ptr<NNImageNode>& sourceGradient, const std::shared_ptr<NNImageNode>& sourceImage,
    const std::shared_ptr<NNGradientStateNode>& gradientState) {
    return std::make_shared<CNNBatchNormalizationGradientNode>(sourceGradient, sourceImage, gradientState);
}

CNNBatchNormalizationGradientNode::CNNBatchNormalizationGradientNode(
    const std::shared_ptr<NNImageNode>& sourceGradient, const std::shared_ptr<NNImageNode>& sourceImage,
    const std::shared_ptr<NNGradientStateNode>& gradientState)
    : NNGradientFilterNode("CNNBatchNormalizationGradientNode", sourceGradient, sourceImage, gradientState) {}

std::unique_ptr<Step> CNNBatchNormalizationGradientNode::compile(Compilation& compilation) const {
    auto* forward =
        dynamic_cast<BatchNormalizationStep*>(compilation.producer(*sourceStates()[0]));
    if (!forward)
        throw Error(name(), "gradientState", "a state that a batch normalisation of this graph makes",
                    "another one");
    requireOnlyGradient(*this, compilation);
    auto kernel = made<CNNBatchNormalizationGradient>(*this, compilation.device());
    if (label().empty()) kernel->setLabel(forward->normalization()->label());
    return std::make_unique<BatchNormalizationGradientStep>(kernel, *forward, trainingStyle());
}

}  // namespace MPS
