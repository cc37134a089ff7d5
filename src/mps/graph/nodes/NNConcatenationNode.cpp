#include <MPS/NNConcatenationNode.hpp>
#include <MTL/Error.hpp>

#include "mps/graph/steps/ConcatenationStep.h"
#include "mps/graph/steps/GradientStep.h"
#include "mps/graph/steps/Prepare.h"

namespace MPS {

using namespace pewter::mps;

namespace {

/// A list of arguments, as the base takes them.
template <class Source>
std::vector<Source> named(const NNImageNodes& sources) {
    if (sources.empty()) throw Error("NNConcatenationNode", "sources", "at least one image node", "none");
    std::vector<Source> list;
    for (const auto& source : sources) list.push_back({"sources", source});
    return list;
}

}  // namespace

std::shared_ptr<NNConcatenationNode> NNConcatenationNode::node(const NNImageNodes& sources) {
    return std::make_shared<NNConcatenationNode>(sources);
}

NNConcatenationNode::NNConcatenationNode(const NNImageNodes& sources)
    : NNFilterNode("NNConcatenationNode", named<Source>(sources), std::vector<SourceState>{}) {}

std::vector<std::unique_ptr<NNStateNode>> NNConcatenationNode::newStates() {
    std::vector<std::unique_ptr<NNStateNode>> states;
    for (std::size_t i = 0; i < sources().size(); ++i)
        states.push_back(std::make_unique<NNGradientStateNode>(this));
    return states;
}

NNGradientFilterNodes NNConcatenationNode::newGradientFilters(
    const std::shared_ptr<NNImageNode>& gradientImage) {
    const auto states = resultStates();
    NNGradientFilterNodes filters;
    for (std::size_t i = 0; i < states.size(); ++i)
        filters.push_back(NNConcatenationGradientNode::node(
            gradientImage, sources()[i], std::static_pointer_cast<NNGradientStateNode>(states[i])));
    return filters;
}

std::unique_ptr<Step> NNConcatenationNode::compile(Compilation& compilation) const {
    std::vector<std::shared_ptr<Concatenation>> kernels;
    for (std::size_t i = 0; i < sources().size(); ++i) {
        kernels.push_back(std::make_shared<Concatenation>(compilation.device()));
        if (!label().empty()) kernels.back()->setLabel(label());
    }
    auto step = std::make_unique<ConcatenationStep>(std::move(kernels), paddingPolicy());
    if (isUsers(*paddingPolicy())) step->refuseReplay();
    return step;
}

std::shared_ptr<NNConcatenationGradientNode> NNConcatenationGradientNode::node(
    const std::shared_ptr<NNImageNode>& sourceGradient, const std::shared_ptr<NNImageNode>& sourceImage,
    const std::shared_ptr<NNGradientStateNode>& gradientState) {
    return std::make_shared<NNConcatenationGradientNode>(sourceGradient, sourceImage, gradientState);
}

NNConcatenationGradientNode::NNConcatenationGradientNode(
    const std::shared_ptr<NNImageNode>& sourceGradient, const std::shared_ptr<NNImageNode>& sourceImage,
    const std::shared_ptr<NNGradientStateNode>& gradientState)
    : NNGradientFilterNode("NNConcatenationGradientNode", sourceGradient, sourceImage, gradientState) {}

std::unique_ptr<Step> NNConcatenationGradientNode::compile(Compilation& compilation) const {
    return std::make_unique<GradientStep>(
        prepared(std::make_shared<ConcatenationGradient>(compilation.device()), *this));
}

}  // namespace MPS
