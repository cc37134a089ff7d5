#include <fmt/format.h>

#include <MPS/NNForwardLossNode.hpp>
#include <MTL/Error.hpp>

#include "mps/graph/steps/ForwardLossStep.h"
#include "mps/graph/steps/Prepare.h"

namespace MPS {

using namespace pewter::mps;

namespace {

/// The arguments with their names; a null last one, the weights, is left out.
template <class Source>
std::vector<Source> named(std::initializer_list<const char*> arguments, const NNImageNodes& images) {
    std::vector<Source> sources;
    for (const char* argument : arguments) {
        const auto& image = images[sources.size()];
        if (!image && sources.size() + 1 == arguments.size()) break;
        sources.push_back({argument, image});
    }
    return sources;
}

/// An array of arguments, with the weights or without.
template <class Source>
std::vector<Source> numbered(const char* className, const char* expected, std::size_t least,
                             const NNImageNodes& images) {
    static constexpr const char* kNames[] = {"sources[0]", "sources[1]", "sources[2]", "sources[3]"};
    if (images.size() != least && images.size() != least + 1)
        throw Error(className, "sources", expected, fmt::format("{} images", images.size()));
    std::vector<Source> sources;
    for (std::size_t i = 0; i < images.size(); ++i) sources.push_back({kNames[i], images[i]});
    return sources;
}

}  // namespace

// --- NNForwardLossNode ---

std::shared_ptr<NNForwardLossNode> NNForwardLossNode::node(const std::shared_ptr<NNImageNode>& source,
                                                           const std::shared_ptr<NNImageNode>& labels,
                                                           const std::shared_ptr<NNImageNode>& weights,
                                                           const CNNLossDescriptor& lossDescriptor) {
    return std::make_shared<NNForwardLossNode>(source, labels, weights, lossDescriptor);
}

std::shared_ptr<NNForwardLossNode> NNForwardLossNode::node(const std::shared_ptr<NNImageNode>& source,
                                                           const std::shared_ptr<NNImageNode>& labels,
                                                           const CNNLossDescriptor& lossDescriptor) {
    return std::make_shared<NNForwardLossNode>(source, labels, lossDescriptor);
}

std::shared_ptr<NNForwardLossNode> NNForwardLossNode::node(const NNImageNodes& sources,
                                                           const CNNLossDescriptor& lossDescriptor) {
    return std::make_shared<NNForwardLossNode>(sources, lossDescriptor);
}

NNForwardLossNode::NNForwardLossNode(const std::shared_ptr<NNImageNode>& source,
                                     const std::shared_ptr<NNImageNode>& labels,
                                     const std::shared_ptr<NNImageNode>& weights,
                                     const CNNLossDescriptor& lossDescriptor)
    : NNFilterNode("NNForwardLossNode",
                   named<Source>({"source", "labels", "weights"}, {source, labels, weights}), {}),
      NNLossNodeProperties(lossDescriptor) {}

NNForwardLossNode::NNForwardLossNode(const std::shared_ptr<NNImageNode>& source,
                                     const std::shared_ptr<NNImageNode>& labels,
                                     const CNNLossDescriptor& lossDescriptor)
    : NNForwardLossNode(source, labels, nullptr, lossDescriptor) {}

NNForwardLossNode::NNForwardLossNode(const NNImageNodes& sources, const CNNLossDescriptor& lossDescriptor)
    : NNFilterNode(
          "NNForwardLossNode",
          numbered<Source>("NNForwardLossNode", "predictions, labels and perhaps weights", 2, sources), {}),
      NNLossNodeProperties(lossDescriptor) {}

std::vector<std::unique_ptr<NNStateNode>> NNForwardLossNode::newStates() {
    return oneState<NNGradientStateNode>();
}

NNGradientFilterNodes NNForwardLossNode::newGradientFilters(
    const std::shared_ptr<NNImageNode>& gradientImage) {
    NNImageNodes images{gradientImage};
    images.insert(images.end(), sources().begin(), sources().end());
    NNGradientFilterNodes filters;
    for (const bool ofLabels : {false, true}) {
        auto filter =
            NNLossGradientNode::node(images, stateAs<NNGradientStateNode>(), descriptor(), ofLabels);
        filter->setPropertyCallBack(propertyCallBack());
        filters.push_back(std::move(filter));
    }
    return filters;
}

std::unique_ptr<Step> NNForwardLossNode::compile(Compilation& compilation) const {
    return std::make_unique<ForwardLossStep>(made<NNForwardLoss>(*this, compilation.device(), descriptor()),
                                             propertyCallBack());
}

// --- NNLossGradientNode ---

std::shared_ptr<NNLossGradientNode> NNLossGradientNode::node(
    const std::shared_ptr<NNImageNode>& sourceGradient, const std::shared_ptr<NNImageNode>& sourceImage,
    const std::shared_ptr<NNImageNode>& labels, const std::shared_ptr<NNImageNode>& weights,
    const std::shared_ptr<NNGradientStateNode>& gradientState, const CNNLossDescriptor& lossDescriptor,
    bool isLabelsGradientFilter) {
    return std::make_shared<NNLossGradientNode>(sourceGradient, sourceImage, labels, weights, gradientState,
                                                lossDescriptor, isLabelsGradientFilter);
}

std::shared_ptr<NNLossGradientNode> NNLossGradientNode::node(
    const std::shared_ptr<NNImageNode>& sourceGradient, const std::shared_ptr<NNImageNode>& sourceImage,
    const std::shared_ptr<NNImageNode>& labels, const std::shared_ptr<NNGradientStateNode>& gradientState,
    const CNNLossDescriptor& lossDescriptor, bool isLabelsGradientFilter) {
    return std::make_shared<NNLossGradientNode>(sourceGradient, sourceImage, labels, gradientState,
                                                lossDescriptor, isLabelsGradientFilter);
}

std::shared_ptr<NNLossGradientNode> NNLossGradientNode::node(
    const NNImageNodes& sources, const std::shared_ptr<NNGradientStateNode>& gradientState,
    const CNNLossDescriptor& lossDescriptor, bool isLabelsGradientFilter) {
    return std::make_shared<NNLossGradientNode>(sources, gradientState, lossDescriptor,
                                                isLabelsGradientFilter);
}

NNLossGradientNode::NNLossGradientNode(const std::shared_ptr<NNImageNode>& sourceGradient,
                                       const std::shared_ptr<NNImageNode>& sourceImage,
                                       const std::shared_ptr<NNImageNode>& labels,
                                       const std::shared_ptr<NNImageNode>& weights,
                                       const std::shared_ptr<NNGradientStateNode>& gradientState,
                                       const CNNLossDescriptor& lossDescriptor, bool isLabelsGradientFilter)
    : NNGradientFilterNode("NNLossGradientNode",
                           named<Source>({"sourceGradient", "sourceImage", "labels", "weights"},
                                         {sourceGradient, sourceImage, labels, weights}),
                           gradientState ? std::vector<SourceState>{{"gradientState", gradientState}}
                                         : std::vector<SourceState>{}),
      NNLossNodeProperties(lossDescriptor),
      isLabelsGradientFilter_(isLabelsGradientFilter) {}

NNLossGradientNode::NNLossGradientNode(const std::shared_ptr<NNImageNode>& sourceGradient,
                                       const std::shared_ptr<NNImageNode>& sourceImage,
                                       const std::shared_ptr<NNImageNode>& labels,
                                       const std::shared_ptr<NNGradientStateNode>& gradientState,
                                       const CNNLossDescriptor& lossDescriptor, bool isLabelsGradientFilter)
    : NNLossGradientNode(sourceGradient, sourceImage, labels, nullptr, gradientState, lossDescriptor,
                         isLabelsGradientFilter) {}

NNLossGradientNode::NNLossGradientNode(const NNImageNodes& sources,
                                       const std::shared_ptr<NNGradientStateNode>& gradientState,
                                       const CNNLossDescriptor& lossDescriptor, bool isLabelsGradientFilter)
    : NNGradientFilterNode("NNLossGradientNode",
                           numbered<Source>("NNLossGradientNode",
                                            "gradient, predictions, labels and perhaps weights", 3, sources),
                           gradientState ? std::vector<SourceState>{{"gradientState", gradientState}}
                                         : std::vector<SourceState>{}),
      NNLossNodeProperties(lossDescriptor),
      isLabelsGradientFilter_(isLabelsGradientFilter) {}

std::unique_ptr<Step> NNLossGradientNode::compile(Compilation& compilation) const {
    auto kernel = made<NNLossGradient>(*this, compilation.device(), descriptor());
    kernel->setComputeLabelGradients(isLabelsGradientFilter_);
    return std::make_unique<LossGradientStep>(std::move(kernel), propertyCallBack());
}

}  // namespace MPS
