#include <MPS/NNInitialGradient.hpp>
#include <MPS/NNInitialGradientNode.hpp>

#include "mps/graph/steps/Prepare.h"
#include "mps/graph/steps/UnaryStep.h"

namespace MPS {

using namespace pewter::mps;

std::shared_ptr<NNInitialGradientNode> NNInitialGradientNode::node(
    const std::shared_ptr<NNImageNode>& source) {
    return std::make_shared<NNInitialGradientNode>(source);
}

NNInitialGradientNode::NNInitialGradientNode(const std::shared_ptr<NNImageNode>& source)
    : NNFilterNode("NNInitialGradientNode", {{"source", source}}) {}

std::unique_ptr<Step> NNInitialGradientNode::compile(Compilation& compilation) const {
    return std::make_unique<UnaryStep>(
        prepared(std::make_shared<NNInitialGradient>(compilation.device()), *this));
}

}  // namespace MPS
