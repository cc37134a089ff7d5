#include <fmt/format.h>

#include <MPS/CNNBinaryConvolutionNode.hpp>
#include <MPS/NNPadding.hpp>
#include <MTL/Error.hpp>

#include "mps/graph/steps/BinaryConvolutionStep.h"
#include "mps/graph/steps/Prepare.h"

namespace MPS {

using namespace pewter::mps;

std::shared_ptr<CNNBinaryConvolutionNode> CNNBinaryConvolutionNode::node(
    const std::shared_ptr<NNImageNode>& source, const std::shared_ptr<CNNConvolutionDataSource>& weights,
    float scaleValue, CNNBinaryConvolutionType type, CNNBinaryConvolutionFlags flags) {
    return std::make_shared<CNNBinaryConvolutionNode>(source, weights, scaleValue, type, flags);
}

std::shared_ptr<CNNBinaryConvolutionNode> CNNBinaryConvolutionNode::node(
    const std::shared_ptr<NNImageNode>& source, const std::shared_ptr<CNNConvolutionDataSource>& weights,
    const float* outputBiasTerms, const float* outputScaleTerms, const float* inputBiasTerms,
    const float* inputScaleTerms, CNNBinaryConvolutionType type, CNNBinaryConvolutionFlags flags) {
    return std::make_shared<CNNBinaryConvolutionNode>(source, weights, outputBiasTerms, outputScaleTerms,
                                                      inputBiasTerms, inputScaleTerms, type, flags);
}

CNNBinaryConvolutionNode::CNNBinaryConvolutionNode(const std::shared_ptr<NNImageNode>& source,
                                                   const std::shared_ptr<CNNConvolutionDataSource>& weights,
                                                   float scaleValue, CNNBinaryConvolutionType type,
                                                   CNNBinaryConvolutionFlags flags)
    : CNNBinaryConvolutionNode(
          "CNNBinaryConvolutionNode", source, weights,
          {.hasScaleValue = true, .scaleValue = scaleValue, .type = type, .flags = flags}) {}

CNNBinaryConvolutionNode::CNNBinaryConvolutionNode(
    const std::shared_ptr<NNImageNode>& source, const std::shared_ptr<CNNConvolutionDataSource>& weights,
    const float* outputBiasTerms, const float* outputScaleTerms, const float* inputBiasTerms,
    const float* inputScaleTerms, CNNBinaryConvolutionType type, CNNBinaryConvolutionFlags flags)
    : CNNBinaryConvolutionNode("CNNBinaryConvolutionNode", source, weights,
                               {.outputBias = outputBiasTerms,
                                .outputScale = outputScaleTerms,
                                .inputBias = inputBiasTerms,
                                .inputScale = inputScaleTerms,
                                .type = type,
                                .flags = flags}) {}

std::shared_ptr<CNNConvolutionGradientStateNode> CNNBinaryConvolutionNode::convolutionGradientState() {
    throw Error(name(), "convolutionGradientState", "a filter with a gradient",
                fmt::format("a {}, which is for inference", className()));
}

std::vector<std::unique_ptr<NNStateNode>> CNNBinaryConvolutionNode::newStates() { return {}; }

NNGradientFilterNodes CNNBinaryConvolutionNode::newGradientFilters(
    const std::shared_ptr<NNImageNode>& gradientImage) {
    return NNFilterNode::newGradientFilters(gradientImage);
}

template <class Kernel>
std::unique_ptr<Step> CNNBinaryConvolutionNode::compileAs(Compilation& compilation) const {
    const auto& t = terms_;
    auto kernel = t.hasScaleValue ? made<Kernel>(*this, compilation.device(), weights(), t.scaleValue, t.type, t.flags)
                                  : made<Kernel>(*this, compilation.device(), weights(), t.outputBias, t.outputScale,
                                                 t.inputBias, t.inputScale, t.type, t.flags);
    const std::size_t inputs = kernel->inputFeatureChannels(), outputs = kernel->outputFeatureChannels();
    const auto copied = [](const float* terms, std::size_t count) {
        return terms ? std::vector<float>(terms, terms + count) : std::vector<float>();
    };
    return std::make_unique<BinaryConvolutionStep>(
        std::move(kernel),
        BinaryTerms{t.hasScaleValue, t.scaleValue, copied(t.outputBias, outputs), copied(t.outputScale, outputs),
                    copied(t.inputBias, inputs), copied(t.inputScale, inputs)});
}

std::unique_ptr<Step> CNNBinaryConvolutionNode::compile(Compilation& compilation) const {
    return compileAs<CNNBinaryConvolution>(compilation);
}

std::shared_ptr<CNNBinaryFullyConnectedNode> CNNBinaryFullyConnectedNode::node(
    const std::shared_ptr<NNImageNode>& source, const std::shared_ptr<CNNConvolutionDataSource>& weights,
    float scaleValue, CNNBinaryConvolutionType type, CNNBinaryConvolutionFlags flags) {
    return std::make_shared<CNNBinaryFullyConnectedNode>(source, weights, scaleValue, type, flags);
}

std::shared_ptr<CNNBinaryFullyConnectedNode> CNNBinaryFullyConnectedNode::node(
    const std::shared_ptr<NNImageNode>& source, const std::shared_ptr<CNNConvolutionDataSource>& weights,
    const float* outputBiasTerms, const float* outputScaleTerms, const float* inputBiasTerms,
    const float* inputScaleTerms, CNNBinaryConvolutionType type, CNNBinaryConvolutionFlags flags) {
    return std::make_shared<CNNBinaryFullyConnectedNode>(source, weights, outputBiasTerms, outputScaleTerms,
                                                         inputBiasTerms, inputScaleTerms, type, flags);
}

CNNBinaryFullyConnectedNode::CNNBinaryFullyConnectedNode(
    const std::shared_ptr<NNImageNode>& source, const std::shared_ptr<CNNConvolutionDataSource>& weights,
    float scaleValue, CNNBinaryConvolutionType type, CNNBinaryConvolutionFlags flags)
    : CNNBinaryConvolutionNode(
          "CNNBinaryFullyConnectedNode", source, weights,
          {.hasScaleValue = true, .scaleValue = scaleValue, .type = type, .flags = flags}) {
    setPaddingPolicy(NNDefaultPadding::padding(NNPaddingMethodSizeValidOnly));
}

CNNBinaryFullyConnectedNode::CNNBinaryFullyConnectedNode(
    const std::shared_ptr<NNImageNode>& source, const std::shared_ptr<CNNConvolutionDataSource>& weights,
    const float* outputBiasTerms, const float* outputScaleTerms, const float* inputBiasTerms,
    const float* inputScaleTerms, CNNBinaryConvolutionType type, CNNBinaryConvolutionFlags flags)
    : CNNBinaryConvolutionNode("CNNBinaryFullyConnectedNode", source, weights,
                               {.outputBias = outputBiasTerms,
                                .outputScale = outputScaleTerms,
                                .inputBias = inputBiasTerms,
                                .inputScale = inputScaleTerms,
                                .type = type,
                                .flags = flags}) {
    setPaddingPolicy(NNDefaultPadding::padding(NNPaddingMethodSizeValidOnly));
}

std::unique_ptr<Step> CNNBinaryFullyConnectedNode::compile(Compilation& compilation) const {
    return compileAs<CNNBinaryFullyConnected>(compilation);
}

}  // namespace MPS
