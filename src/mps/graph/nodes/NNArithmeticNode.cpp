#include <fmt/format.h>

#include <MPS/CNNArithmetic.hpp>
#include <MPS/NNArithmeticNode.hpp>
#include <MTL/Error.hpp>

#include "mps/graph/steps/ArithmeticStep.h"
#include "mps/graph/steps/GradientStep.h"
#include "mps/graph/steps/Prepare.h"

namespace MPS {

using namespace pewter::mps;

namespace {

std::shared_ptr<NNImageNode> onlyImage(const char* className, const NNImageNodes& images) {
    if (images.size() != 1)
        throw Error(className, "gradientImages", "one incoming gradient", fmt::format("{}", images.size()));
    return images[0];
}

template <class Node>
const std::shared_ptr<Node>& notNull(const char* className, const std::shared_ptr<Node>& forward) {
    if (!forward) throw Error(className, "forwardFilter", "a filter node", "null");
    return forward;
}

}  // namespace

NNBinaryArithmeticNode::NNBinaryArithmeticNode(const char* className,
                                               const std::shared_ptr<NNImageNode>& leftSource,
                                               const std::shared_ptr<NNImageNode>& rightSource)
    : NNFilterNode(className, {{"leftSource", leftSource}, {"rightSource", rightSource}}) {}

const NNImageNodes& NNBinaryArithmeticNode::checkTwo(const char* className, const NNImageNodes& sources) {
    if (sources.size() != 2)
        throw Error(className, "sources", "two image nodes", fmt::format("{}", sources.size()));
    return sources;
}

void NNBinaryArithmeticNode::setStride(std::size_t& stride, const char* property, std::size_t value) const {
    if (value > 1) throw Error(name(), property, "0 (broadcast) or 1", fmt::format("{}", value));
    stride = value;
}

std::unique_ptr<Step> NNBinaryArithmeticNode::compileWith(
    const std::shared_ptr<CNNArithmetic>& kernel) const {
    kernel->setArithmeticProperties(*this);
    kernel->setPrimaryStrideInPixelsX(primaryStride_[0]);
    kernel->setPrimaryStrideInPixelsY(primaryStride_[1]);
    kernel->setPrimaryStrideInFeatureChannels(primaryStride_[2]);
    kernel->setSecondaryStrideInPixelsX(secondaryStride_[0]);
    kernel->setSecondaryStrideInPixelsY(secondaryStride_[1]);
    kernel->setSecondaryStrideInFeatureChannels(secondaryStride_[2]);
    return std::make_unique<ArithmeticStep>(prepared(kernel, *this));
}

NNArithmeticGradientNode::NNArithmeticGradientNode(
    const char* className, const std::shared_ptr<NNImageNode>& sourceGradient,
    const std::shared_ptr<NNImageNode>& sourceImage,
    const std::shared_ptr<NNBinaryGradientStateNode>& gradientState, bool isSecondarySourceFilter)
    : NNGradientFilterNode(className, sourceGradient, sourceImage, gradientState),
      isSecondarySourceFilter_(isSecondarySourceFilter) {}

void NNArithmeticGradientNode::adopt(const NNBinaryArithmeticNode& forward, std::size_t strideOf,
                                     float primaryScale, float secondaryScale) {
    setArithmeticProperties(forward);
    setPrimaryScale(primaryScale);
    setSecondaryScale(secondaryScale);
    const bool primary = strideOf == 0;
    secondaryStride_[0] = primary ? forward.primaryStrideInPixelsX() : forward.secondaryStrideInPixelsX();
    secondaryStride_[1] = primary ? forward.primaryStrideInPixelsY() : forward.secondaryStrideInPixelsY();
    secondaryStride_[2] =
        primary ? forward.primaryStrideInFeatureChannels() : forward.secondaryStrideInFeatureChannels();
}

std::unique_ptr<Step> NNArithmeticGradientNode::compileWith(
    const std::shared_ptr<CNNArithmeticGradient>& kernel) const {
    kernel->setArithmeticProperties(*this);
    kernel->setSecondaryStrideInPixelsX(secondaryStride_[0]);
    kernel->setSecondaryStrideInPixelsY(secondaryStride_[1]);
    kernel->setSecondaryStrideInFeatureChannels(secondaryStride_[2]);
    return std::make_unique<GradientStep>(prepared(kernel, *this));
}

std::shared_ptr<NNAdditionNode> NNAdditionNode::node(const std::shared_ptr<NNImageNode>& leftSource,
                                                     const std::shared_ptr<NNImageNode>& rightSource) {
    return std::make_shared<NNAdditionNode>(leftSource, rightSource);
}

std::shared_ptr<NNAdditionNode> NNAdditionNode::node(const NNImageNodes& sources) {
    const auto& two = checkTwo("NNAdditionNode", sources);
    return node(two[0], two[1]);
}

NNAdditionNode::NNAdditionNode(const std::shared_ptr<NNImageNode>& leftSource,
                               const std::shared_ptr<NNImageNode>& rightSource)
    : NNBinaryArithmeticNode("NNAdditionNode", leftSource, rightSource) {}

std::unique_ptr<Step> NNAdditionNode::compile(Compilation& compilation) const {
    return compileWith(std::make_shared<CNNAdd>(compilation.device()));
}

std::vector<std::unique_ptr<NNStateNode>> NNAdditionNode::newStates() {
    return oneState<NNArithmeticGradientStateNode>();
}

NNGradientFilterNodes NNAdditionNode::newGradientFilters(const std::shared_ptr<NNImageNode>& gradientImage) {
    const auto self = std::static_pointer_cast<NNAdditionNode>(shared_from_this());
    return {NNAdditionGradientNode::node({gradientImage}, self, false),
            NNAdditionGradientNode::node({gradientImage}, self, true)};
}

std::shared_ptr<NNAdditionGradientNode> NNAdditionGradientNode::node(
    const std::shared_ptr<NNImageNode>& sourceGradient, const std::shared_ptr<NNImageNode>& sourceImage,
    const std::shared_ptr<NNBinaryGradientStateNode>& gradientState, bool isSecondarySourceFilter) {
    return std::make_shared<NNAdditionGradientNode>(sourceGradient, sourceImage, gradientState,
                                                    isSecondarySourceFilter);
}

std::shared_ptr<NNAdditionGradientNode> NNAdditionGradientNode::node(
    const NNImageNodes& gradientImages, const std::shared_ptr<NNAdditionNode>& forwardFilter,
    bool isSecondarySourceFilter) {
    constexpr const char* name = "NNAdditionGradientNode";
    const auto& forward = notNull(name, forwardFilter);
    auto filter = node(onlyImage(name, gradientImages), forward->sources()[isSecondarySourceFilter ? 1 : 0],
                       std::static_pointer_cast<NNBinaryGradientStateNode>(forward->resultState()),
                       isSecondarySourceFilter);
    filter->adopt(*forward, isSecondarySourceFilter ? 1 : 0,
                  isSecondarySourceFilter ? forward->secondaryScale() : forward->primaryScale(), 1);
    return filter;
}

NNAdditionGradientNode::NNAdditionGradientNode(
    const std::shared_ptr<NNImageNode>& sourceGradient, const std::shared_ptr<NNImageNode>& sourceImage,
    const std::shared_ptr<NNBinaryGradientStateNode>& gradientState, bool isSecondarySourceFilter)
    : NNArithmeticGradientNode("NNAdditionGradientNode", sourceGradient, sourceImage, gradientState,
                               isSecondarySourceFilter) {}

std::unique_ptr<Step> NNAdditionGradientNode::compile(Compilation& compilation) const {
    return compileWith(std::make_shared<CNNAddGradient>(compilation.device(), isSecondarySourceFilter()));
}

std::shared_ptr<NNSubtractionNode> NNSubtractionNode::node(const std::shared_ptr<NNImageNode>& leftSource,
                                                           const std::shared_ptr<NNImageNode>& rightSource) {
    return std::make_shared<NNSubtractionNode>(leftSource, rightSource);
}

std::shared_ptr<NNSubtractionNode> NNSubtractionNode::node(const NNImageNodes& sources) {
    const auto& two = checkTwo("NNSubtractionNode", sources);
    return node(two[0], two[1]);
}

NNSubtractionNode::NNSubtractionNode(const std::shared_ptr<NNImageNode>& leftSource,
                                     const std::shared_ptr<NNImageNode>& rightSource)
    : NNBinaryArithmeticNode("NNSubtractionNode", leftSource, rightSource) {}

std::unique_ptr<Step> NNSubtractionNode::compile(Compilation& compilation) const {
    return compileWith(std::make_shared<CNNSubtract>(compilation.device()));
}

std::vector<std::unique_ptr<NNStateNode>> NNSubtractionNode::newStates() {
    return oneState<NNArithmeticGradientStateNode>();
}

NNGradientFilterNodes NNSubtractionNode::newGradientFilters(
    const std::shared_ptr<NNImageNode>& gradientImage) {
    const auto self = std::static_pointer_cast<NNSubtractionNode>(shared_from_this());
    return {NNSubtractionGradientNode::node({gradientImage}, self, false),
            NNSubtractionGradientNode::node({gradientImage}, self, true)};
}

std::shared_ptr<NNSubtractionGradientNode> NNSubtractionGradientNode::node(
    const std::shared_ptr<NNImageNode>& sourceGradient, const std::shared_ptr<NNImageNode>& sourceImage,
    const std::shared_ptr<NNBinaryGradientStateNode>& gradientState, bool isSecondarySourceFilter) {
    return std::make_shared<NNSubtractionGradientNode>(sourceGradient, sourceImage, gradientState,
                                                       isSecondarySourceFilter);
}

std::shared_ptr<NNSubtractionGradientNode> NNSubtractionGradientNode::node(
    const NNImageNodes& gradientImages, const std::shared_ptr<NNSubtractionNode>& forwardFilter,
    bool isSecondarySourceFilter) {
    constexpr const char* name = "NNSubtractionGradientNode";
    const auto& forward = notNull(name, forwardFilter);
    auto filter = node(onlyImage(name, gradientImages), forward->sources()[isSecondarySourceFilter ? 1 : 0],
                       std::static_pointer_cast<NNBinaryGradientStateNode>(forward->resultState()),
                       isSecondarySourceFilter);
    filter->adopt(*forward, isSecondarySourceFilter ? 1 : 0,
                  isSecondarySourceFilter ? -forward->secondaryScale() : forward->primaryScale(), 1);
    return filter;
}

NNSubtractionGradientNode::NNSubtractionGradientNode(
    const std::shared_ptr<NNImageNode>& sourceGradient, const std::shared_ptr<NNImageNode>& sourceImage,
    const std::shared_ptr<NNBinaryGradientStateNode>& gradientState, bool isSecondarySourceFilter)
    : NNArithmeticGradientNode("NNSubtractionGradientNode", sourceGradient, sourceImage, gradientState,
                               isSecondarySourceFilter) {}

std::unique_ptr<Step> NNSubtractionGradientNode::compile(Compilation& compilation) const {
    return compileWith(
        std::make_shared<CNNSubtractGradient>(compilation.device(), isSecondarySourceFilter()));
}

std::shared_ptr<NNMultiplicationNode> NNMultiplicationNode::node(
    const std::shared_ptr<NNImageNode>& leftSource, const std::shared_ptr<NNImageNode>& rightSource) {
    return std::make_shared<NNMultiplicationNode>(leftSource, rightSource);
}

std::shared_ptr<NNMultiplicationNode> NNMultiplicationNode::node(const NNImageNodes& sources) {
    const auto& two = checkTwo("NNMultiplicationNode", sources);
    return node(two[0], two[1]);
}

NNMultiplicationNode::NNMultiplicationNode(const std::shared_ptr<NNImageNode>& leftSource,
                                           const std::shared_ptr<NNImageNode>& rightSource)
    : NNBinaryArithmeticNode("NNMultiplicationNode", leftSource, rightSource) {}

std::unique_ptr<Step> NNMultiplicationNode::compile(Compilation& compilation) const {
    return compileWith(std::make_shared<CNNMultiply>(compilation.device()));
}

std::vector<std::unique_ptr<NNStateNode>> NNMultiplicationNode::newStates() {
    return oneState<NNArithmeticGradientStateNode>();
}

NNGradientFilterNodes NNMultiplicationNode::newGradientFilters(
    const std::shared_ptr<NNImageNode>& gradientImage) {
    const auto self = std::static_pointer_cast<NNMultiplicationNode>(shared_from_this());
    return {NNMultiplicationGradientNode::node({gradientImage}, self, false),
            NNMultiplicationGradientNode::node({gradientImage}, self, true)};
}

std::shared_ptr<NNMultiplicationGradientNode> NNMultiplicationGradientNode::node(
    const std::shared_ptr<NNImageNode>& sourceGradient, const std::shared_ptr<NNImageNode>& sourceImage,
    const std::shared_ptr<NNBinaryGradientStateNode>& gradientState, bool isSecondarySourceFilter) {
    return std::make_shared<NNMultiplicationGradientNode>(sourceGradient, sourceImage, gradientState,
                                                          isSecondarySourceFilter);
}

std::shared_ptr<NNMultiplicationGradientNode> NNMultiplicationGradientNode::node(
    const NNImageNodes& gradientImages, const std::shared_ptr<NNMultiplicationNode>& forwardFilter,
    bool isSecondarySourceFilter) {
    constexpr const char* name = "NNMultiplicationGradientNode";
    const auto& forward = notNull(name, forwardFilter);
    auto filter = node(onlyImage(name, gradientImages), forward->sources()[isSecondarySourceFilter ? 0 : 1],
                       std::static_pointer_cast<NNBinaryGradientStateNode>(forward->resultState()),
                       isSecondarySourceFilter);
    filter->adopt(*forward, isSecondarySourceFilter ? 0 : 1, forward->primaryScale(),
                  forward->secondaryScale());
    return filter;
}

NNMultiplicationGradientNode::NNMultiplicationGradientNode(
    const std::shared_ptr<NNImageNode>& sourceGradient, const std::shared_ptr<NNImageNode>& sourceImage,
    const std::shared_ptr<NNBinaryGradientStateNode>& gradientState, bool isSecondarySourceFilter)
    : NNArithmeticGradientNode("NNMultiplicationGradientNode", sourceGradient, sourceImage, gradientState,
                               isSecondarySourceFilter) {}

std::unique_ptr<Step> NNMultiplicationGradientNode::compile(Compilation& compilation) const {
    return compileWith(
        std::make_shared<CNNMultiplyGradient>(compilation.device(), isSecondarySourceFilter()));
}

std::shared_ptr<NNDivisionNode> NNDivisionNode::node(const std::shared_ptr<NNImageNode>& leftSource,
                                                     const std::shared_ptr<NNImageNode>& rightSource) {
    return std::make_shared<NNDivisionNode>(leftSource, rightSource);
}

std::shared_ptr<NNDivisionNode> NNDivisionNode::node(const NNImageNodes& sources) {
    const auto& two = checkTwo("NNDivisionNode", sources);
    return node(two[0], two[1]);
}

NNDivisionNode::NNDivisionNode(const std::shared_ptr<NNImageNode>& leftSource,
                               const std::shared_ptr<NNImageNode>& rightSource)
    : NNBinaryArithmeticNode("NNDivisionNode", leftSource, rightSource) {}

std::unique_ptr<Step> NNDivisionNode::compile(Compilation& compilation) const {
    return compileWith(std::make_shared<CNNDivide>(compilation.device()));
}

}  // namespace MPS
