#include <fmt/format.h>

#include <MPS/NNPad.hpp>
#include <MPS/NNPadNode.hpp>
#include <MTL/Error.hpp>

#include "mps/graph/steps/GradientStep.h"
#include "mps/graph/steps/Prepare.h"
#include "mps/graph/steps/UnaryStep.h"

namespace MPS {

using namespace pewter::mps;

std::shared_ptr<NNPadNode> NNPadNode::node(const std::shared_ptr<NNImageNode>& source,
                                           const ImageCoordinate& paddingSizeBefore,
                                           const ImageCoordinate& paddingSizeAfter, ImageEdgeMode edgeMode) {
    return std::make_shared<NNPadNode>(source, paddingSizeBefore, paddingSizeAfter, edgeMode);
}

NNPadNode::NNPadNode(const std::shared_ptr<NNImageNode>& source, const ImageCoordinate& paddingSizeBefore,
                     const ImageCoordinate& paddingSizeAfter, ImageEdgeMode edgeMode)
    : NNFilterNode("NNPadNode", {{"source", source}}),
      before_(paddingSizeBefore),
      after_(paddingSizeAfter),
      edgeMode_(edgeMode) {
    if (edgeMode > ImageEdgeMode::Constant)
        throw Error(className(), "edgeMode", "0 (Zero) to 4 (Constant)",
                    fmt::format("{}", static_cast<std::uint64_t>(edgeMode)));
}

std::vector<std::unique_ptr<NNStateNode>> NNPadNode::newStates() { return oneState<NNGradientStateNode>(); }

NNGradientFilterNodes NNPadNode::newGradientFilters(const std::shared_ptr<NNImageNode>& gradientImage) {
    return {NNPadGradientNode::node(gradientImage, sources()[0], stateAs<NNGradientStateNode>())};
}

std::unique_ptr<Step> NNPadNode::compile(Compilation& compilation) const {
    const auto kernel = std::make_shared<NNPad>(compilation.device(), before_, after_);
    kernel->setEdgeMode(edgeMode_);
    kernel->setFillValue(fillValue_);
    return std::make_unique<UnaryStep>(prepared(kernel, *this));
}

std::shared_ptr<NNPadGradientNode> NNPadGradientNode::node(
    const std::shared_ptr<NNImageNode>& sourceGradient, const std::shared_ptr<NNImageNode>& sourceImage,
    const std::shared_ptr<NNGradientStateNode>& gradientState) {
    return std::make_shared<NNPadGradientNode>(sourceGradient, sourceImage, gradientState);
}

NNPadGradientNode::NNPadGradientNode(const std::shared_ptr<NNImageNode>& sourceGradient,
                                     const std::shared_ptr<NNImageNode>& sourceImage,
                                     const std::shared_ptr<NNGradientStateNode>& gradientState)
    : NNGradientFilterNode("NNPadGradientNode", sourceGradient, sourceImage, gradientState) {}

std::unique_ptr<Step> NNPadGradientNode::compile(Compilation& compilation) const {
    return std::make_unique<GradientStep>(
        prepared(std::make_shared<NNPadGradient>(compilation.device()), *this));
}

}  // namespace MPS
