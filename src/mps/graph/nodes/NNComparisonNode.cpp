#include <fmt/format.h>

#include <MPS/NNComparisonNode.hpp>
#include <MTL/Error.hpp>

#include "mps/graph/Step.h"

namespace MPS {

using namespace pewter::mps;

std::shared_ptr<NNComparisonNode> NNComparisonNode::node(const std::shared_ptr<NNImageNode>& leftSource,
                                                         const std::shared_ptr<NNImageNode>& rightSource) {
    return std::make_shared<NNComparisonNode>(leftSource, rightSource);
}

std::shared_ptr<NNComparisonNode> NNComparisonNode::node(const NNImageNodes& sources) {
    const auto& two = checkTwo("NNComparisonNode", sources);
    return node(two[0], two[1]);
}

NNComparisonNode::NNComparisonNode(const std::shared_ptr<NNImageNode>& leftSource,
                                   const std::shared_ptr<NNImageNode>& rightSource)
    : NNBinaryArithmeticNode("NNComparisonNode", leftSource, rightSource) {}

void NNComparisonNode::setComparisonType(NNComparisonType type) {
    if (type > NNComparisonType::GreaterOrEqual)
        throw Error(name(), "comparisonType", "0 (Equal) to 5 (GreaterOrEqual)",
                    fmt::format("{}", static_cast<std::uint64_t>(type)));
    comparisonType_ = type;
}

std::unique_ptr<Step> NNComparisonNode::compile(Compilation& compilation) const {
    const auto kernel = std::make_shared<NNCompare>(compilation.device());
    kernel->setComparisonType(comparisonType_);
    return compileWith(kernel);
}

}  // namespace MPS
