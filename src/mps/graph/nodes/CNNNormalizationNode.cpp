#include <fmt/format.h>

#include <MPS/CNNNormalization.hpp>
#include <MPS/CNNNormalizationNode.hpp>
#include <MTL/Error.hpp>

#include "mps/graph/steps/CrossChannelGradientStep.h"
#include "mps/graph/steps/GradientStep.h"
#include "mps/graph/steps/Prepare.h"
#include "mps/graph/steps/UnaryStep.h"

namespace MPS {

using namespace pewter::mps;

namespace {

/// A window size of a node; named by its class alone while it is made, by its label too afterwards.
std::size_t positive(const std::string& node, const char* argument, std::size_t value) {
    if (value == 0) throw Error(node, argument, "at least 1", "0");
    return value;
}

void requireNotNegative(const NNFilterNode& node, float alpha) {
    if (!(alpha >= 0)) throw Error(node.name(), "alpha", "at least 0", fmt::format("{}", alpha));
}

/// All parameters of one local contrast to another: nodes and kernels alike.
template <class To, class From>
void copyContrast(To& to, const From& from) {
    to.setNormalizationProperties(from);
    to.setContrastProperties(from);
}

}  // namespace

CNNNormalizationNode::CNNNormalizationNode(const char* className, const std::shared_ptr<NNImageNode>& source,
                                           float beta, float delta)
    : NNFilterNode(className, {{"source", source}}), CNNNormalizationProperties(1, beta, delta) {}

void CNNNormalizationNode::checkAlpha(float alpha) const { requireNotNegative(*this, alpha); }

std::vector<std::unique_ptr<NNStateNode>> CNNNormalizationNode::newStates() {
    return oneState<NNGradientStateNode>();
}

// --- spatial ---

std::shared_ptr<CNNSpatialNormalizationNode> CNNSpatialNormalizationNode::node(
    const std::shared_ptr<NNImageNode>& source, std::size_t kernelSize) {
    return std::make_shared<CNNSpatialNormalizationNode>(source, kernelSize);
}

CNNSpatialNormalizationNode::CNNSpatialNormalizationNode(const std::shared_ptr<NNImageNode>& source,
                                                         std::size_t kernelSize)
    : CNNNormalizationNode("CNNSpatialNormalizationNode", source),
      kernelWidth_(positive(className(), "kernelSize", kernelSize)),
      kernelHeight_(kernelSize) {}

void CNNSpatialNormalizationNode::setKernelWidth(std::size_t width) {
    kernelWidth_ = positive(name(), "kernelWidth", width);
}
void CNNSpatialNormalizationNode::setKernelHeight(std::size_t height) {
    kernelHeight_ = positive(name(), "kernelHeight", height);
}

NNGradientFilterNodes CNNSpatialNormalizationNode::newGradientFilters(
    const std::shared_ptr<NNImageNode>& gradientImage) {
    auto gradient = CNNSpatialNormalizationGradientNode::node(gradientImage, sources()[0],
                                                              stateAs<NNGradientStateNode>(), kernelWidth_);
    gradient->setKernelHeight(kernelHeight_);
    gradient->setNormalizationProperties(*this);
    return {gradient};
}

std::unique_ptr<Step> CNNSpatialNormalizationNode::compile(Compilation& compilation) const {
    auto kernel = made<CNNSpatialNormalization>(*this, compilation.device(), kernelWidth_, kernelHeight_);
    kernel->setNormalizationProperties(*this);
    return std::make_unique<UnaryStep>(kernel);
}

std::shared_ptr<CNNSpatialNormalizationGradientNode> CNNSpatialNormalizationGradientNode::node(
    const std::shared_ptr<NNImageNode>& sourceGradient, const std::shared_ptr<NNImageNode>& sourceImage,
    const std::shared_ptr<NNGradientStateNode>& gradientState, std::size_t kernelSize) {
    return std::make_shared<CNNSpatialNormalizationGradientNode>(sourceGradient, sourceImage, gradientState,
                                                                 kernelSize);
}

CNNSpatialNormalizationGradientNode::CNNSpatialNormalizationGradientNode(
    const std::shared_ptr<NNImageNode>& sourceGradient, const std::shared_ptr<NNImageNode>& sourceImage,
    const std::shared_ptr<NNGradientStateNode>& gradientState, std::size_t kernelSize)
    : NNGradientFilterNode("CNNSpatialNormalizationGradientNode", sourceGradient, sourceImage, gradientState),
      CNNNormalizationProperties(1, 5, 1),
      kernelWidth_(positive(className(), "kernelSize", kernelSize)),
      kernelHeight_(kernelSize) {}

void CNNSpatialNormalizationGradientNode::setKernelWidth(std::size_t width) {
    kernelWidth_ = positive(name(), "kernelWidth", width);
}
void CNNSpatialNormalizationGradientNode::setKernelHeight(std::size_t height) {
    kernelHeight_ = positive(name(), "kernelHeight", height);
}
void CNNSpatialNormalizationGradientNode::checkAlpha(float alpha) const { requireNotNegative(*this, alpha); }

std::unique_ptr<Step> CNNSpatialNormalizationGradientNode::compile(Compilation& compilation) const {
    auto kernel =
        made<CNNSpatialNormalizationGradient>(*this, compilation.device(), kernelWidth_, kernelHeight_);
    kernel->setNormalizationProperties(*this);
    return std::make_unique<GradientStep>(kernel);
}

// --- local contrast ---

std::shared_ptr<CNNLocalContrastNormalizationNode> CNNLocalContrastNormalizationNode::node(
    const std::shared_ptr<NNImageNode>& source, std::size_t kernelSize) {
    return std::make_shared<CNNLocalContrastNormalizationNode>(source, kernelSize);
}

CNNLocalContrastNormalizationNode::CNNLocalContrastNormalizationNode(
    const std::shared_ptr<NNImageNode>& source, std::size_t kernelSize)
    : CNNNormalizationNode("CNNLocalContrastNormalizationNode", source, 0.5f, 1.0f / 1024),
      kernelWidth_(positive(className(), "kernelSize", kernelSize)),
      kernelHeight_(kernelSize) {}

void CNNLocalContrastNormalizationNode::setKernelWidth(std::size_t width) {
    kernelWidth_ = positive(name(), "kernelWidth", width);
}
void CNNLocalContrastNormalizationNode::setKernelHeight(std::size_t height) {
    kernelHeight_ = positive(name(), "kernelHeight", height);
}

NNGradientFilterNodes CNNLocalContrastNormalizationNode::newGradientFilters(
    const std::shared_ptr<NNImageNode>& gradientImage) {
    auto gradient = CNNLocalContrastNormalizationGradientNode::node(
        gradientImage, sources()[0], stateAs<NNGradientStateNode>(), kernelWidth_, kernelHeight_);
    copyContrast(*gradient, *this);
    return {gradient};
}

std::unique_ptr<Step> CNNLocalContrastNormalizationNode::compile(Compilation& compilation) const {
    auto kernel =
        made<CNNLocalContrastNormalization>(*this, compilation.device(), kernelWidth_, kernelHeight_);
    copyContrast(*kernel, *this);
    return std::make_unique<UnaryStep>(kernel);
}

std::shared_ptr<CNNLocalContrastNormalizationGradientNode> CNNLocalContrastNormalizationGradientNode::node(
    const std::shared_ptr<NNImageNode>& sourceGradient, const std::shared_ptr<NNImageNode>& sourceImage,
    const std::shared_ptr<NNGradientStateNode>& gradientState, std::size_t kernelWidth,
    std::size_t kernelHeight) {
    return std::make_shared<CNNLocalContrastNormalizationGradientNode>(
        sourceGradient, sourceImage, gradientState, kernelWidth, kernelHeight);
}

CNNLocalContrastNormalizationGradientNode::CNNLocalContrastNormalizationGradientNode(
    const std::shared_ptr<NNImageNode>& sourceGradient, const std::shared_ptr<NNImageNode>& sourceImage,
    const std::shared_ptr<NNGradientStateNode>& gradientState, std::size_t kernelWidth,
    std::size_t kernelHeight)
    : NNGradientFilterNode("CNNLocalContrastNormalizationGradientNode", sourceGradient, sourceImage,
                           gradientState),
      CNNNormalizationProperties(0, 0.5f, 1.0f / 1024),
      kernelWidth_(positive(className(), "kernelWidth", kernelWidth)),
      kernelHeight_(positive(className(), "kernelHeight", kernelHeight)) {}

void CNNLocalContrastNormalizationGradientNode::checkAlpha(float alpha) const {
    requireNotNegative(*this, alpha);
}

std::unique_ptr<Step> CNNLocalContrastNormalizationGradientNode::compile(Compilation& compilation) const {
    auto kernel =
        made<CNNLocalContrastNormalizationGradient>(*this, compilation.device(), kernelWidth_, kernelHeight_);
    copyContrast(*kernel, *this);
    return std::make_unique<GradientStep>(kernel);
}

// --- across channels ---

std::shared_ptr<CNNCrossChannelNormalizationNode> CNNCrossChannelNormalizationNode::node(
    const std::shared_ptr<NNImageNode>& source, std::size_t kernelSize) {
    return std::make_shared<CNNCrossChannelNormalizationNode>(source, kernelSize);
}

CNNCrossChannelNormalizationNode::CNNCrossChannelNormalizationNode(const std::shared_ptr<NNImageNode>& source,
                                                                   std::size_t kernelSize)
    : CNNNormalizationNode("CNNCrossChannelNormalizationNode", source),
      kernelSize_(positive(className(), "kernelSize", kernelSize)) {}

void CNNCrossChannelNormalizationNode::setKernelSizeInFeatureChannels(std::size_t channels) {
    kernelSize_ = positive(name(), "kernelSizeInFeatureChannels", channels);
}

NNGradientFilterNodes CNNCrossChannelNormalizationNode::newGradientFilters(
    const std::shared_ptr<NNImageNode>& gradientImage) {
    return {CNNCrossChannelNormalizationGradientNode::node(gradientImage, sources()[0],
                                                           stateAs<NNGradientStateNode>(), kernelSize_)};
}

std::unique_ptr<Step> CNNCrossChannelNormalizationNode::compile(Compilation& compilation) const {
    auto kernel = made<CNNCrossChannelNormalization>(*this, compilation.device(), kernelSize_);
    kernel->setNormalizationProperties(*this);
    return std::make_unique<UnaryStep>(kernel);
}

std::shared_ptr<CNNCrossChannelNormalizationGradientNode> CNNCrossChannelNormalizationGradientNode::node(
    const std::shared_ptr<NNImageNode>& sourceGradient, const std::shared_ptr<NNImageNode>& sourceImage,
    const std::shared_ptr<NNGradientStateNode>& gradientState, std::size_t kernelSize) {
    return std::make_shared<CNNCrossChannelNormalizationGradientNode>(sourceGradient, sourceImage,
                                                                      gradientState, kernelSize);
}

CNNCrossChannelNormalizationGradientNode::CNNCrossChannelNormalizationGradientNode(
    const std::shared_ptr<NNImageNode>& sourceGradient, const std::shared_ptr<NNImageNode>& sourceImage,
    const std::shared_ptr<NNGradientStateNode>& gradientState, std::size_t kernelSize)
    : NNGradientFilterNode("CNNCrossChannelNormalizationGradientNode", sourceGradient, sourceImage,
                           gradientState),
      kernelSize_(positive(className(), "kernelSize", kernelSize)) {}

std::unique_ptr<Step> CNNCrossChannelNormalizationGradientNode::compile(Compilation& compilation) const {
    return std::make_unique<CrossChannelGradientStep>(
        made<CNNCrossChannelNormalizationGradient>(*this, compilation.device(), kernelSize_));
}

}  // namespace MPS
