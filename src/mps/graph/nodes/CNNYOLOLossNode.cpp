#include <MPS/CNNYOLOLossNode.hpp>

#include "mps/graph/steps/LossStep.h"
#include "mps/graph/steps/Prepare.h"

namespace MPS {

using namespace pewter::mps;

std::shared_ptr<CNNYOLOLossNode> CNNYOLOLossNode::node(const std::shared_ptr<NNImageNode>& source,
                                                       const CNNYOLOLossDescriptor& lossDescriptor) {
    return std::make_shared<CNNYOLOLossNode>(source, lossDescriptor);
}

CNNYOLOLossNode::CNNYOLOLossNode(const std::shared_ptr<NNImageNode>& source,
                                 const CNNYOLOLossDescriptor& lossDescriptor)
    : NNFilterNode("CNNYOLOLossNode", {{"source", source}},
                   {{"inputLabels", std::make_shared<NNLabelsNode>()}}),
      descriptor_(lossDescriptor) {}

std::shared_ptr<NNLabelsNode> CNNYOLOLossNode::inputLabels() const {
    return std::static_pointer_cast<NNLabelsNode>(sourceStates()[0]);
}

std::unique_ptr<Step> CNNYOLOLossNode::compile(Compilation& compilation) const {
    return std::make_unique<LossStep>(made<CNNYOLOLoss>(*this, compilation.device(), descriptor_));
}

}  // namespace MPS
