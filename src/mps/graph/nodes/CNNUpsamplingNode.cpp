#include <fmt/format.h>

#include <MPS/CNNUpsampling.hpp>
#include <MPS/CNNUpsamplingNode.hpp>
#include <MTL/Error.hpp>
#include <cmath>

#include "mps/graph/steps/GradientStep.h"
#include "mps/graph/steps/Prepare.h"
#include "mps/graph/steps/UnaryStep.h"

namespace MPS {

using namespace pewter::mps;

namespace {

void checkFactor(const char* className, const char* argument, std::size_t factor) {
    if (factor == 0) throw Error(className, argument, "at least 1", "0");
}

/// The kernels enlarge by whole factors.
void checkWhole(const char* className, const char* argument, double factor) {
    if (!(factor >= 1 && factor <= 0x1p53 && std::floor(factor) == factor))
        throw Error(className, argument, "a whole number from 1", fmt::format("{}", factor));
}

}  // namespace

std::shared_ptr<CNNUpsamplingNearestNode> CNNUpsamplingNearestNode::node(
    const std::shared_ptr<NNImageNode>& source, std::size_t integerScaleFactorX,
    std::size_t integerScaleFactorY) {
    return std::make_shared<CNNUpsamplingNearestNode>(source, integerScaleFactorX, integerScaleFactorY);
}

CNNUpsamplingNearestNode::CNNUpsamplingNearestNode(const std::shared_ptr<NNImageNode>& source,
                                                   std::size_t integerScaleFactorX,
                                                   std::size_t integerScaleFactorY)
    : NNFilterNode("CNNUpsamplingNearestNode", {{"source", source}}),
      scaleX_(integerScaleFactorX),
      scaleY_(integerScaleFactorY) {
    checkFactor(className(), "integerScaleFactorX", scaleX_);
    checkFactor(className(), "integerScaleFactorY", scaleY_);
}

std::vector<std::unique_ptr<NNStateNode>> CNNUpsamplingNearestNode::newStates() {
    return oneState<NNGradientStateNode>();
}

NNGradientFilterNodes CNNUpsamplingNearestNode::newGradientFilters(
    const std::shared_ptr<NNImageNode>& gradientImage) {
    return {CNNUpsamplingNearestGradientNode::node(
        gradientImage, sources()[0], stateAs<NNGradientStateNode>(), scaleFactorX(), scaleFactorY())};
}

std::unique_ptr<Step> CNNUpsamplingNearestNode::compile(Compilation& compilation) const {
    return std::make_unique<UnaryStep>(
        prepared(std::make_shared<CNNUpsamplingNearest>(compilation.device(), scaleX_, scaleY_), *this));
}

std::shared_ptr<CNNUpsamplingNearestGradientNode> CNNUpsamplingNearestGradientNode::node(
    const std::shared_ptr<NNImageNode>& sourceGradient, const std::shared_ptr<NNImageNode>& sourceImage,
    const std::shared_ptr<NNGradientStateNode>& gradientState, double scaleFactorX, double scaleFactorY) {
    return std::make_shared<CNNUpsamplingNearestGradientNode>(sourceGradient, sourceImage, gradientState,
                                                              scaleFactorX, scaleFactorY);
}

CNNUpsamplingNearestGradientNode::CNNUpsamplingNearestGradientNode(
    const std::shared_ptr<NNImageNode>& sourceGradient, const std::shared_ptr<NNImageNode>& sourceImage,
    const std::shared_ptr<NNGradientStateNode>& gradientState, double scaleFactorX, double scaleFactorY)
    : NNGradientFilterNode("CNNUpsamplingNearestGradientNode", sourceGradient, sourceImage, gradientState),
      scaleX_(scaleFactorX),
      scaleY_(scaleFactorY) {
    checkWhole(className(), "scaleFactorX", scaleX_);
    checkWhole(className(), "scaleFactorY", scaleY_);
}

std::unique_ptr<Step> CNNUpsamplingNearestGradientNode::compile(Compilation& compilation) const {
    return std::make_unique<GradientStep>(prepared(
        std::make_shared<CNNUpsamplingNearestGradient>(
            compilation.device(), static_cast<std::size_t>(scaleX_), static_cast<std::size_t>(scaleY_)),
        *this));
}

std::shared_ptr<CNNUpsamplingBilinearNode> CNNUpsamplingBilinearNode::node(
    const std::shared_ptr<NNImageNode>& source, std::size_t integerScaleFactorX,
    std::size_t integerScaleFactorY) {
    return node(source, integerScaleFactorX, integerScaleFactorY, false);
}

std::shared_ptr<CNNUpsamplingBilinearNode> CNNUpsamplingBilinearNode::node(
    const std::shared_ptr<NNImageNode>& source, std::size_t integerScaleFactorX,
    std::size_t integerScaleFactorY, bool alignCorners) {
    return std::make_shared<CNNUpsamplingBilinearNode>(source, integerScaleFactorX, integerScaleFactorY,
                                                       alignCorners);
}

CNNUpsamplingBilinearNode::CNNUpsamplingBilinearNode(const std::shared_ptr<NNImageNode>& source,
                                                     std::size_t integerScaleFactorX,
                                                     std::size_t integerScaleFactorY, bool alignCorners)
    : NNFilterNode("CNNUpsamplingBilinearNode", {{"source", source}}),
      scaleX_(integerScaleFactorX),
      scaleY_(integerScaleFactorY),
      alignCorners_(alignCorners) {
    checkFactor(className(), "integerScaleFactorX", scaleX_);
    checkFactor(className(), "integerScaleFactorY", scaleY_);
}

std::vector<std::unique_ptr<NNStateNode>> CNNUpsamplingBilinearNode::newStates() {
    return oneState<NNGradientStateNode>();
}

NNGradientFilterNodes CNNUpsamplingBilinearNode::newGradientFilters(
    const std::shared_ptr<NNImageNode>& gradientImage) {
    return {CNNUpsamplingBilinearGradientNode::node(
        gradientImage, sources()[0], stateAs<NNGradientStateNode>(), scaleFactorX(), scaleFactorY())};
}

std::unique_ptr<Step> CNNUpsamplingBilinearNode::compile(Compilation& compilation) const {
    return std::make_unique<UnaryStep>(prepared(
        std::make_shared<CNNUpsamplingBilinear>(compilation.device(), scaleX_, scaleY_, alignCorners_),
        *this));
}

std::shared_ptr<CNNUpsamplingBilinearGradientNode> CNNUpsamplingBilinearGradientNode::node(
    const std::shared_ptr<NNImageNode>& sourceGradient, const std::shared_ptr<NNImageNode>& sourceImage,
    const std::shared_ptr<NNGradientStateNode>& gradientState, double scaleFactorX, double scaleFactorY) {
    return std::make_shared<CNNUpsamplingBilinearGradientNode>(sourceGradient, sourceImage, gradientState,
                                                               scaleFactorX, scaleFactorY);
}

CNNUpsamplingBilinearGradientNode::CNNUpsamplingBilinearGradientNode(
    const std::shared_ptr<NNImageNode>& sourceGradient, const std::shared_ptr<NNImageNode>& sourceImage,
    const std::shared_ptr<NNGradientStateNode>& gradientState, double scaleFactorX, double scaleFactorY)
    : NNGradientFilterNode("CNNUpsamplingBilinearGradientNode", sourceGradient, sourceImage, gradientState),
      scaleX_(scaleFactorX),
      scaleY_(scaleFactorY) {
    checkWhole(className(), "scaleFactorX", scaleX_);
    checkWhole(className(), "scaleFactorY", scaleY_);
}

std::unique_ptr<Step> CNNUpsamplingBilinearGradientNode::compile(Compilation& compilation) const {
    return std::make_unique<GradientStep>(prepared(
        std::make_shared<CNNUpsamplingBilinearGradient>(
            compilation.device(), static_cast<std::size_t>(scaleX_), static_cast<std::size_t>(scaleY_)),
        *this));
}

}  // namespace MPS
