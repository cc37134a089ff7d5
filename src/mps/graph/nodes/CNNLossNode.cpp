#include <MPS/CNNLossNode.hpp>

#include "mps/graph/steps/LossStep.h"
#include "mps/graph/steps/Prepare.h"

namespace MPS {

using namespace pewter::mps;

std::shared_ptr<CNNLossNode> CNNLossNode::node(const std::shared_ptr<NNImageNode>& source,
                                               const CNNLossDescriptor& lossDescriptor) {
    return std::make_shared<CNNLossNode>(source, lossDescriptor);
}

CNNLossNode::CNNLossNode(const std::shared_ptr<NNImageNode>& source, const CNNLossDescriptor& lossDescriptor)
    : NNFilterNode("CNNLossNode", {{"source", source}}, {{"inputLabels", std::make_shared<NNLabelsNode>()}}),
      descriptor_(lossDescriptor) {}

std::shared_ptr<NNLabelsNode> CNNLossNode::inputLabels() const {
    return std::static_pointer_cast<NNLabelsNode>(sourceStates()[0]);
}

std::unique_ptr<Step> CNNLossNode::compile(Compilation& compilation) const {
    return std::make_unique<LossStep>(made<CNNLoss>(*this, compilation.device(), descriptor_));
}

}  // namespace MPS
