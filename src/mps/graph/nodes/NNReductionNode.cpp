#include <MPS/NNReduce.hpp>
#include <MPS/NNReductionNode.hpp>

#include "mps/graph/steps/GradientStep.h"
#include "mps/graph/steps/Prepare.h"
#include "mps/graph/steps/UnaryStep.h"
#include "mps/kernels/SpatialMean.h"

namespace MPS {

using namespace pewter::mps;

NNUnaryReductionNode::NNUnaryReductionNode(const char* className, const std::shared_ptr<NNImageNode>& source)
    : NNFilterNode(className, {{"source", source}}) {}

std::unique_ptr<Step> NNUnaryReductionNode::compileWith(const std::shared_ptr<NNReduceUnary>& kernel) const {
    kernel->setClipRectSource(clipRectSource_);
    return std::make_unique<UnaryStep>(prepared(kernel, *this));
}

// --- the classes ---

#define PEWTER_REDUCTION_MAKE(Class)                                                 \
    std::shared_ptr<Class> Class::node(const std::shared_ptr<NNImageNode>& source) { \
        return std::make_shared<Class>(source);                                      \
    }                                                                                \
    Class::Class(const std::shared_ptr<NNImageNode>& source) : NNUnaryReductionNode(#Class, source) {}
#define PEWTER_REDUCTION(Class, Kernel)                                     \
    PEWTER_REDUCTION_MAKE(Class)                                            \
    std::unique_ptr<Step> Class::compile(Compilation& compilation) const {  \
        return compileWith(std::make_shared<Kernel>(compilation.device())); \
    }

PEWTER_REDUCTION(NNReductionRowMinNode, NNReduceRowMin)
PEWTER_REDUCTION(NNReductionColumnMinNode, NNReduceColumnMin)
PEWTER_REDUCTION(NNReductionFeatureChannelsMinNode, NNReduceFeatureChannelsMin)
PEWTER_REDUCTION(NNReductionFeatureChannelsArgumentMinNode, NNReduceFeatureChannelsArgumentMin)
PEWTER_REDUCTION(NNReductionRowMaxNode, NNReduceRowMax)
PEWTER_REDUCTION(NNReductionColumnMaxNode, NNReduceColumnMax)
PEWTER_REDUCTION(NNReductionFeatureChannelsMaxNode, NNReduceFeatureChannelsMax)
PEWTER_REDUCTION(NNReductionFeatureChannelsArgumentMaxNode, NNReduceFeatureChannelsArgumentMax)
PEWTER_REDUCTION(NNReductionRowMeanNode, NNReduceRowMean)
PEWTER_REDUCTION(NNReductionColumnMeanNode, NNReduceColumnMean)
PEWTER_REDUCTION(NNReductionFeatureChannelsMeanNode, NNReduceFeatureChannelsMean)
PEWTER_REDUCTION(NNReductionRowSumNode, NNReduceRowSum)
PEWTER_REDUCTION(NNReductionColumnSumNode, NNReduceColumnSum)
PEWTER_REDUCTION(NNReductionSpatialMeanNode, SpatialMean)
PEWTER_REDUCTION_MAKE(NNReductionFeatureChannelsSumNode)

std::unique_ptr<Step> NNReductionFeatureChannelsSumNode::compile(Compilation& compilation) const {
    const auto kernel = std::make_shared<NNReduceFeatureChannelsSum>(compilation.device());
    kernel->setWeight(weight_);
    return compileWith(kernel);
}

// --- the gradient of the spatial mean ---

std::vector<std::unique_ptr<NNStateNode>> NNReductionSpatialMeanNode::newStates() {
    return oneState<NNGradientStateNode>();
}

NNGradientFilterNodes NNReductionSpatialMeanNode::newGradientFilters(
    const std::shared_ptr<NNImageNode>& gradientImage) {
    return {NNReductionSpatialMeanGradientNode::node(gradientImage, sources()[0],
                                                     stateAs<NNGradientStateNode>())};
}

std::shared_ptr<NNReductionSpatialMeanGradientNode> NNReductionSpatialMeanGradientNode::node(
    const std::shared_ptr<NNImageNode>& sourceGradient, const std::shared_ptr<NNImageNode>& sourceImage,
    const std::shared_ptr<NNGradientStateNode>& gradientState) {
    return std::make_shared<NNReductionSpatialMeanGradientNode>(sourceGradient, sourceImage, gradientState);
}

NNReductionSpatialMeanGradientNode::NNReductionSpatialMeanGradientNode(
    const std::shared_ptr<NNImageNode>& sourceGradient, const std::shared_ptr<NNImageNode>& sourceImage,
    const std::shared_ptr<NNGradientStateNode>& gradientState)
    : NNGradientFilterNode("NNReductionSpatialMeanGradientNode", sourceGradient, sourceImage, gradientState) {
}

std::unique_ptr<Step> NNReductionSpatialMeanGradientNode::compile(Compilation& compilation) const {
    return std::make_unique<GradientStep>(
        prepared(std::make_shared<SpatialMeanGradient>(compilation.device()), *this));
}

}  // namespace MPS
