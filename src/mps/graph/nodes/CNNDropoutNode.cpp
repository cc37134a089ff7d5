#include <fmt/format.h>

#include <MPS/CNNDropout.hpp>
#include <MPS/CNNDropoutNode.hpp>
#include <MTL/Error.hpp>

#include "mps/graph/steps/DropoutStep.h"
#include "mps/graph/steps/GradientStep.h"
#include "mps/graph/steps/Prepare.h"

namespace MPS {

using namespace pewter::mps;

namespace {

void check(const char* className, float keepProbability, const MTL::Size& stride) {
    if (!(keepProbability > 0 && keepProbability < 1))
        throw Error(className, "keepProbability", "a probability above 0 and below 1",
                    fmt::format("{}", keepProbability));
    if (stride.width > 1 || stride.height > 1 || stride.depth > 1)
        throw Error(className, "maskStrideInPixels", "0 or 1 on every axis",
                    fmt::format("{} x {} x {}", stride.width, stride.height, stride.depth));
}

}  // namespace

std::shared_ptr<CNNDropoutNode> CNNDropoutNode::node(const std::shared_ptr<NNImageNode>& source,
                                                     float keepProbability, std::size_t seed,
                                                     const MTL::Size& maskStrideInPixels) {
    return std::make_shared<CNNDropoutNode>(source, keepProbability, seed, maskStrideInPixels);
}

CNNDropoutNode::CNNDropoutNode(const std::shared_ptr<NNImageNode>& source, float keepProbability,
                               std::size_t seed, const MTL::Size& maskStrideInPixels)
    : NNFilterNode("CNNDropoutNode", {{"source", source}}),
      keepProbability_(keepProbability),
      seed_(seed),
      maskStride_(maskStrideInPixels) {
    check(className(), keepProbability_, maskStride_);
}

std::vector<std::unique_ptr<NNStateNode>> CNNDropoutNode::newStates() {
    return oneState<NNGradientStateNode>();
}

NNGradientFilterNodes CNNDropoutNode::newGradientFilters(const std::shared_ptr<NNImageNode>& gradientImage) {
    return {CNNDropoutGradientNode::node(gradientImage, sources()[0], stateAs<NNGradientStateNode>(),
                                         keepProbability_, seed_, maskStride_)};
}

std::unique_ptr<Step> CNNDropoutNode::compile(Compilation& compilation) const {
    return std::make_unique<DropoutStep>(prepared(
        std::make_shared<CNNDropout>(compilation.device(), keepProbability_, seed_, maskStride_), *this));
}

std::shared_ptr<CNNDropoutGradientNode> CNNDropoutGradientNode::node(
    const std::shared_ptr<NNImageNode>& sourceGradient, const std::shared_ptr<NNImageNode>& sourceImage,
    const std::shared_ptr<NNGradientStateNode>& gradientState, float keepProbability, std::size_t seed,
    const MTL::Size& maskStrideInPixels) {
    return std::make_shared<CNNDropoutGradientNode>(sourceGradient, sourceImage, gradientState,
                                                    keepProbability, seed, maskStrideInPixels);
}

CNNDropoutGradientNode::CNNDropoutGradientNode(const std::shared_ptr<NNImageNode>& sourceGradient,
                                               const std::shared_ptr<NNImageNode>& sourceImage,
                                               const std::shared_ptr<NNGradientStateNode>& gradientState,
                                               float keepProbability, std::size_t seed,
                                               const MTL::Size& maskStrideInPixels)
    : NNGradientFilterNode("CNNDropoutGradientNode", sourceGradient, sourceImage, gradientState),
      keepProbability_(keepProbability),
      seed_(seed),
      maskStride_(maskStrideInPixels) {
    check(className(), keepProbability_, maskStride_);
}

std::unique_ptr<Step> CNNDropoutGradientNode::compile(Compilation& compilation) const {
    return std::make_unique<GradientStep>(prepared(
        std::make_shared<CNNDropoutGradient>(compilation.device(), keepProbability_, seed_, maskStride_),
        *this));
}

}  // namespace MPS
