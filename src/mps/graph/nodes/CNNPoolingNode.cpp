#include <fmt/format.h>

#include <MPS/CNNPooling.hpp>
#include <MPS/CNNPoolingNode.hpp>
#include <MPS/NNPadding.hpp>
#include <MTL/Error.hpp>

#include "mps/graph/steps/GradientStep.h"
#include "mps/graph/steps/Prepare.h"
#include "mps/graph/steps/UnaryStep.h"

namespace MPS {

using namespace pewter::mps;

namespace {

void checkPositive(const char* className, const char* argument, std::size_t value) {
    if (value == 0) throw Error(className, argument, "at least 1", "0");
}

void checkWindow(const char* className, std::size_t width, std::size_t height, std::size_t strideX,
                 std::size_t strideY) {
    checkPositive(className, "kernelWidth", width);
    checkPositive(className, "kernelHeight", height);
    checkPositive(className, "strideInPixelsX", strideX);
    checkPositive(className, "strideInPixelsY", strideY);
}

/// The nodes' windows shrink at the edge.
std::unique_ptr<Step> forwardStep(const std::shared_ptr<CNNKernel>& kernel, const NNFilterNode& node) {
    kernel->setEdgeMode(ImageEdgeMode::Clamp);
    return std::make_unique<UnaryStep>(prepared(kernel, node));
}

}  // namespace

CNNPoolingNode::CNNPoolingNode(const char* className, const std::shared_ptr<NNImageNode>& source,
                               std::size_t kernelWidth, std::size_t kernelHeight, std::size_t strideInPixelsX,
                               std::size_t strideInPixelsY)
    : NNFilterNode(className, {{"source", source}}),
      kernelWidth_(kernelWidth),
      kernelHeight_(kernelHeight),
      strideX_(strideInPixelsX),
      strideY_(strideInPixelsY) {
    checkWindow(className, kernelWidth_, kernelHeight_, strideX_, strideY_);
}

std::vector<std::unique_ptr<NNStateNode>> CNNPoolingNode::newStates() {
    return oneState<NNGradientStateNode>();
}

CNNPoolingGradientNode::CNNPoolingGradientNode(const char* className,
                                               const std::shared_ptr<NNImageNode>& sourceGradient,
                                               const std::shared_ptr<NNImageNode>& sourceImage,
                                               const std::shared_ptr<NNGradientStateNode>& gradientState,
                                               std::size_t kernelWidth, std::size_t kernelHeight,
                                               std::size_t strideInPixelsX, std::size_t strideInPixelsY,
                                               const std::shared_ptr<NNPadding>& paddingPolicy)
    : NNGradientFilterNode(className, sourceGradient, sourceImage, gradientState),
      kernelWidth_(kernelWidth),
      kernelHeight_(kernelHeight),
      strideX_(strideInPixelsX),
      strideY_(strideInPixelsY) {
    checkWindow(className, kernelWidth_, kernelHeight_, strideX_, strideY_);
    if (paddingPolicy) setPaddingPolicy(paddingPolicy);
}

std::shared_ptr<CNNPoolingAverageNode> CNNPoolingAverageNode::node(const std::shared_ptr<NNImageNode>& source,
                                                                   std::size_t filterSize) {
    return node(source, filterSize, filterSize);
}

std::shared_ptr<CNNPoolingAverageNode> CNNPoolingAverageNode::node(const std::shared_ptr<NNImageNode>& source,
                                                                   std::size_t filterSize,
                                                                   std::size_t stride) {
    return node(source, filterSize, filterSize, stride, stride);
}

std::shared_ptr<CNNPoolingAverageNode> CNNPoolingAverageNode::node(const std::shared_ptr<NNImageNode>& source,
                                                                   std::size_t kernelWidth,
                                                                   std::size_t kernelHeight,
                                                                   std::size_t strideInPixelsX,
                                                                   std::size_t strideInPixelsY) {
    return std::make_shared<CNNPoolingAverageNode>(source, kernelWidth, kernelHeight, strideInPixelsX,
                                                   strideInPixelsY);
}

CNNPoolingAverageNode::CNNPoolingAverageNode(const std::shared_ptr<NNImageNode>& source,
                                             std::size_t kernelWidth, std::size_t kernelHeight,
                                             std::size_t strideInPixelsX, std::size_t strideInPixelsY)
    : CNNPoolingNode("CNNPoolingAverageNode", source, kernelWidth, kernelHeight, strideInPixelsX,
                     strideInPixelsY) {}

NNGradientFilterNodes CNNPoolingAverageNode::newGradientFilters(
    const std::shared_ptr<NNImageNode>& gradientImage) {
    return {CNNPoolingAverageGradientNode::node(gradientImage, sources()[0], stateAs<NNGradientStateNode>(),
                                                kernelWidth(), kernelHeight(), strideInPixelsX(),
                                                strideInPixelsY())};
}

std::unique_ptr<Step> CNNPoolingAverageNode::compile(Compilation& compilation) const {
    return forwardStep(
        std::make_shared<CNNPoolingAverage>(compilation.device(), kernelWidth(), kernelHeight(),
                                            strideInPixelsX(), strideInPixelsY()),
        *this);
}

std::shared_ptr<CNNPoolingAverageGradientNode> CNNPoolingAverageGradientNode::node(
    const std::shared_ptr<NNImageNode>& sourceGradient, const std::shared_ptr<NNImageNode>& sourceImage,
    const std::shared_ptr<NNGradientStateNode>& gradientState, std::size_t kernelWidth,
    std::size_t kernelHeight, std::size_t strideInPixelsX, std::size_t strideInPixelsY,
    const std::shared_ptr<NNPadding>& paddingPolicy) {
    return std::make_shared<CNNPoolingAverageGradientNode>(sourceGradient, sourceImage, gradientState,
                                                           kernelWidth, kernelHeight, strideInPixelsX,
                                                           strideInPixelsY, paddingPolicy);
}

CNNPoolingAverageGradientNode::CNNPoolingAverageGradientNode(
    const std::shared_ptr<NNImageNode>& sourceGradient, const std::shared_ptr<NNImageNode>& sourceImage,
    const std::shared_ptr<NNGradientStateNode>& gradientState, std::size_t kernelWidth,
    std::size_t kernelHeight, std::size_t strideInPixelsX, std::size_t strideInPixelsY,
    const std::shared_ptr<NNPadding>& paddingPolicy)
    : CNNPoolingGradientNode("CNNPoolingAverageGradientNode", sourceGradient, sourceImage, gradientState,
                             kernelWidth, kernelHeight, strideInPixelsX, strideInPixelsY, paddingPolicy) {}

std::unique_ptr<Step> CNNPoolingAverageGradientNode::compile(Compilation& compilation) const {
    return std::make_unique<GradientStep>(prepared(
        std::make_shared<CNNPoolingAverageGradient>(compilation.device(), kernelWidth(), kernelHeight(),
                                                    strideInPixelsX(), strideInPixelsY()),
        *this));
}

std::shared_ptr<CNNPoolingMaxNode> CNNPoolingMaxNode::node(const std::shared_ptr<NNImageNode>& source,
                                                           std::size_t filterSize) {
    return node(source, filterSize, filterSize);
}

std::shared_ptr<CNNPoolingMaxNode> CNNPoolingMaxNode::node(const std::shared_ptr<NNImageNode>& source,
                                                           std::size_t filterSize, std::size_t stride) {
    return node(source, filterSize, filterSize, stride, stride);
}

std::shared_ptr<CNNPoolingMaxNode> CNNPoolingMaxNode::node(const std::shared_ptr<NNImageNode>& source,
                                                           std::size_t kernelWidth, std::size_t kernelHeight,
                                                           std::size_t strideInPixelsX,
                                                           std::size_t strideInPixelsY) {
    return std::make_shared<CNNPoolingMaxNode>(source, kernelWidth, kernelHeight, strideInPixelsX,
                                               strideInPixelsY);
}

CNNPoolingMaxNode::CNNPoolingMaxNode(const std::shared_ptr<NNImageNode>& source, std::size_t kernelWidth,
                                     std::size_t kernelHeight, std::size_t strideInPixelsX,
                                     std::size_t strideInPixelsY)
    : CNNPoolingNode("CNNPoolingMaxNode", source, kernelWidth, kernelHeight, strideInPixelsX,
                     strideInPixelsY) {}

NNGradientFilterNodes CNNPoolingMaxNode::newGradientFilters(
    const std::shared_ptr<NNImageNode>& gradientImage) {
    return {CNNPoolingMaxGradientNode::node(gradientImage, sources()[0], stateAs<NNGradientStateNode>(),
                                            kernelWidth(), kernelHeight(), strideInPixelsX(),
                                            strideInPixelsY())};
}

std::unique_ptr<Step> CNNPoolingMaxNode::compile(Compilation& compilation) const {
    return forwardStep(std::make_shared<CNNPoolingMax>(compilation.device(), kernelWidth(), kernelHeight(),
                                                       strideInPixelsX(), strideInPixelsY()),
                       *this);
}

std::shared_ptr<CNNPoolingMaxGradientNode> CNNPoolingMaxGradientNode::node(
    const std::shared_ptr<NNImageNode>& sourceGradient, const std::shared_ptr<NNImageNode>& sourceImage,
    const std::shared_ptr<NNGradientStateNode>& gradientState, std::size_t kernelWidth,
    std::size_t kernelHeight, std::size_t strideInPixelsX, std::size_t strideInPixelsY,
    const std::shared_ptr<NNPadding>& paddingPolicy) {
    return std::make_shared<CNNPoolingMaxGradientNode>(sourceGradient, sourceImage, gradientState,
                                                       kernelWidth, kernelHeight, strideInPixelsX,
                                                       strideInPixelsY, paddingPolicy);
}

CNNPoolingMaxGradientNode::CNNPoolingMaxGradientNode(
    const std::shared_ptr<NNImageNode>& sourceGradient, const std::shared_ptr<NNImageNode>& sourceImage,
    const std::shared_ptr<NNGradientStateNode>& gradientState, std::size_t kernelWidth,
    std::size_t kernelHeight, std::size_t strideInPixelsX, std::size_t strideInPixelsY,
    const std::shared_ptr<NNPadding>& paddingPolicy)
    : CNNPoolingGradientNode("CNNPoolingMaxGradientNode", sourceGradient, sourceImage, gradientState,
                             kernelWidth, kernelHeight, strideInPixelsX, strideInPixelsY, paddingPolicy) {}

std::unique_ptr<Step> CNNPoolingMaxGradientNode::compile(Compilation& compilation) const {
    return std::make_unique<GradientStep>(
        prepared(std::make_shared<CNNPoolingMaxGradient>(compilation.device(), kernelWidth(), kernelHeight(),
                                                         strideInPixelsX(), strideInPixelsY()),
                 *this));
}

std::shared_ptr<CNNPoolingL2NormNode> CNNPoolingL2NormNode::node(const std::shared_ptr<NNImageNode>& source,
                                                                 std::size_t filterSize) {
    return node(source, filterSize, filterSize);
}

std::shared_ptr<CNNPoolingL2NormNode> CNNPoolingL2NormNode::node(const std::shared_ptr<NNImageNode>& source,
                                                                 std::size_t filterSize, std::size_t stride) {
    return node(source, filterSize, filterSize, stride, stride);
}

std::shared_ptr<CNNPoolingL2NormNode> CNNPoolingL2NormNode::node(const std::shared_ptr<NNImageNode>& source,
                                                                 std::size_t kernelWidth,
                                                                 std::size_t kernelHeight,
                                                                 std::size_t strideInPixelsX,
                                                                 std::size_t strideInPixelsY) {
    return std::make_shared<CNNPoolingL2NormNode>(source, kernelWidth, kernelHeight, strideInPixelsX,
                                                  strideInPixelsY);
}

CNNPoolingL2NormNode::CNNPoolingL2NormNode(const std::shared_ptr<NNImageNode>& source,
                                           std::size_t kernelWidth, std::size_t kernelHeight,
                                           std::size_t strideInPixelsX, std::size_t strideInPixelsY)
    : CNNPoolingNode("CNNPoolingL2NormNode", source, kernelWidth, kernelHeight, strideInPixelsX,
                     strideInPixelsY) {}

NNGradientFilterNodes CNNPoolingL2NormNode::newGradientFilters(
    const std::shared_ptr<NNImageNode>& gradientImage) {
    return {CNNPoolingL2NormGradientNode::node(gradientImage, sources()[0], stateAs<NNGradientStateNode>(),
                                               kernelWidth(), kernelHeight(), strideInPixelsX(),
                                               strideInPixelsY())};
}

std::unique_ptr<Step> CNNPoolingL2NormNode::compile(Compilation& compilation) const {
    return forwardStep(std::make_shared<CNNPoolingL2Norm>(compilation.device(), kernelWidth(), kernelHeight(),
                                                          strideInPixelsX(), strideInPixelsY()),
                       *this);
}

std::shared_ptr<CNNPoolingL2NormGradientNode> CNNPoolingL2NormGradientNode::node(
    const std::shared_ptr<NNImageNode>& sourceGradient, const std::shared_ptr<NNImageNode>& sourceImage,
    const std::shared_ptr<NNGradientStateNode>& gradientState, std::size_t kernelWidth,
    std::size_t kernelHeight, std::size_t strideInPixelsX, std::size_t strideInPixelsY,
    const std::shared_ptr<NNPadding>& paddingPolicy) {
    return std::make_shared<CNNPoolingL2NormGradientNode>(sourceGradient, sourceImage, gradientState,
                                                          kernelWidth, kernelHeight, strideInPixelsX,
                                                          strideInPixelsY, paddingPolicy);
}

CNNPoolingL2NormGradientNode::CNNPoolingL2NormGradientNode(
    const std::shared_ptr<NNImageNode>& sourceGradient, const std::shared_ptr<NNImageNode>& sourceImage,
    const std::shared_ptr<NNGradientStateNode>& gradientState, std::size_t kernelWidth,
    std::size_t kernelHeight, std::size_t strideInPixelsX, std::size_t strideInPixelsY,
    const std::shared_ptr<NNPadding>& paddingPolicy)
    : CNNPoolingGradientNode("CNNPoolingL2NormGradientNode", sourceGradient, sourceImage, gradientState,
                             kernelWidth, kernelHeight, strideInPixelsX, strideInPixelsY, paddingPolicy) {}

std::unique_ptr<Step> CNNPoolingL2NormGradientNode::compile(Compilation& compilation) const {
    return std::make_unique<GradientStep>(prepared(
        std::make_shared<CNNPoolingL2NormGradient>(compilation.device(), kernelWidth(), kernelHeight(),
                                                   strideInPixelsX(), strideInPixelsY()),
        *this));
}

std::shared_ptr<CNNDilatedPoolingMaxNode> CNNDilatedPoolingMaxNode::node(
    const std::shared_ptr<NNImageNode>& source, std::size_t filterSize) {
    return node(source, filterSize, filterSize, filterSize);
}

std::shared_ptr<CNNDilatedPoolingMaxNode> CNNDilatedPoolingMaxNode::node(
    const std::shared_ptr<NNImageNode>& source, std::size_t filterSize, std::size_t stride,
    std::size_t dilationRate) {
    return node(source, filterSize, filterSize, stride, stride, dilationRate, dilationRate);
}

std::shared_ptr<CNNDilatedPoolingMaxNode> CNNDilatedPoolingMaxNode::node(
    const std::shared_ptr<NNImageNode>& source, std::size_t kernelWidth, std::size_t kernelHeight,
    std::size_t strideInPixelsX, std::size_t strideInPixelsY, std::size_t dilationRateX,
    std::size_t dilationRateY) {
    return std::make_shared<CNNDilatedPoolingMaxNode>(source, kernelWidth, kernelHeight, strideInPixelsX,
                                                      strideInPixelsY, dilationRateX, dilationRateY);
}

CNNDilatedPoolingMaxNode::CNNDilatedPoolingMaxNode(const std::shared_ptr<NNImageNode>& source,
                                                   std::size_t kernelWidth, std::size_t kernelHeight,
                                                   std::size_t strideInPixelsX, std::size_t strideInPixelsY,
                                                   std::size_t dilationRateX, std::size_t dilationRateY)
    : NNFilterNode("CNNDilatedPoolingMaxNode", {{"source", source}}),
      kernelWidth_(kernelWidth),
      kernelHeight_(kernelHeight),
      strideX_(strideInPixelsX),
      strideY_(strideInPixelsY),
      dilationX_(dilationRateX),
      dilationY_(dilationRateY) {
    checkWindow(className(), kernelWidth_, kernelHeight_, strideX_, strideY_);
    checkPositive(className(), "dilationRateX", dilationX_);
    checkPositive(className(), "dilationRateY", dilationY_);
}

std::vector<std::unique_ptr<NNStateNode>> CNNDilatedPoolingMaxNode::newStates() {
    return oneState<NNGradientStateNode>();
}

NNGradientFilterNodes CNNDilatedPoolingMaxNode::newGradientFilters(
    const std::shared_ptr<NNImageNode>& gradientImage) {
    return {CNNDilatedPoolingMaxGradientNode::node(
        gradientImage, sources()[0], stateAs<NNGradientStateNode>(), kernelWidth_, kernelHeight_, strideX_,
        strideY_, dilationX_, dilationY_)};
}

std::unique_ptr<Step> CNNDilatedPoolingMaxNode::compile(Compilation& compilation) const {
    return forwardStep(
        std::make_shared<CNNDilatedPoolingMax>(compilation.device(), kernelWidth_, kernelHeight_, dilationX_,
                                               dilationY_, strideX_, strideY_),
        *this);
}

std::shared_ptr<CNNDilatedPoolingMaxGradientNode> CNNDilatedPoolingMaxGradientNode::node(
    const std::shared_ptr<NNImageNode>& sourceGradient, const std::shared_ptr<NNImageNode>& sourceImage,
    const std::shared_ptr<NNGradientStateNode>& gradientState, std::size_t kernelWidth,
    std::size_t kernelHeight, std::size_t strideInPixelsX, std::size_t strideInPixelsY,
    std::size_t dilationRateX, std::size_t dilationRateY) {
    return std::make_shared<CNNDilatedPoolingMaxGradientNode>(sourceGradient, sourceImage, gradientState,
                                                              kernelWidth, kernelHeight, strideInPixelsX,
                                                              strideInPixelsY, dilationRateX, dilationRateY);
}

CNNDilatedPoolingMaxGradientNode::CNNDilatedPoolingMaxGradientNode(
    const std::shared_ptr<NNImageNode>& sourceGradient, const std::shared_ptr<NNImageNode>& sourceImage,
    const std::shared_ptr<NNGradientStateNode>& gradientState, std::size_t kernelWidth,
    std::size_t kernelHeight, std::size_t strideInPixelsX, std::size_t strideInPixelsY,
    std::size_t dilationRateX, std::size_t dilationRateY)
    : CNNPoolingGradientNode("CNNDilatedPoolingMaxGradientNode", sourceGradient, sourceImage, gradientState,
                             kernelWidth, kernelHeight, strideInPixelsX, strideInPixelsY, nullptr),
      dilationX_(dilationRateX),
      dilationY_(dilationRateY) {
    checkPositive(className(), "dilationRateX", dilationX_);
    checkPositive(className(), "dilationRateY", dilationY_);
}

std::unique_ptr<Step> CNNDilatedPoolingMaxGradientNode::compile(Compilation& compilation) const {
    return std::make_unique<GradientStep>(
        prepared(std::make_shared<CNNDilatedPoolingMaxGradient>(compilation.device(), kernelWidth(),
                                                                kernelHeight(), dilationX_, dilationY_,
                                                                strideInPixelsX(), strideInPixelsY()),
                 *this));
}

}  // namespace MPS
