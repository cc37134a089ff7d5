#include <fmt/format.h>

#include <MPS/CNNConvolutionDescriptor.hpp>
#include <MPS/CNNNeuron.hpp>
#include <MTL/Error.hpp>

namespace MPS {

CNNConvolutionDescriptor::CNNConvolutionDescriptor(const char* className, std::size_t kernelWidth,
                                                   std::size_t kernelHeight, std::size_t inputFeatureChannels,
                                                   std::size_t outputFeatureChannels)
    : kernelWidth_(kernelWidth),
      kernelHeight_(kernelHeight),
      inputFeatureChannels_(inputFeatureChannels),
      outputFeatureChannels_(outputFeatureChannels) {
    for (const auto& [argument, value] : {std::pair{"kernelWidth", kernelWidth},
                                          {"kernelHeight", kernelHeight},
                                          {"inputFeatureChannels", inputFeatureChannels},
                                          {"outputFeatureChannels", outputFeatureChannels}})
        if (value == 0) throw Error(className, argument, "at least 1", "0");
}

CNNConvolutionDescriptor::~CNNConvolutionDescriptor() = default;

std::shared_ptr<CNNConvolutionDescriptor> CNNConvolutionDescriptor::cnnConvolutionDescriptor(
    std::size_t kernelWidth, std::size_t kernelHeight, std::size_t inputFeatureChannels,
    std::size_t outputFeatureChannels) {
    return std::shared_ptr<CNNConvolutionDescriptor>(new CNNConvolutionDescriptor(
        "CNNConvolutionDescriptor", kernelWidth, kernelHeight, inputFeatureChannels, outputFeatureChannels));
}

std::shared_ptr<CNNConvolutionDescriptor> CNNConvolutionDescriptor::cnnConvolutionDescriptor(
    std::size_t kernelWidth, std::size_t kernelHeight, std::size_t inputFeatureChannels,
    std::size_t outputFeatureChannels, std::shared_ptr<const CNNNeuron> neuronFilter) {
    auto descriptor =
        cnnConvolutionDescriptor(kernelWidth, kernelHeight, inputFeatureChannels, outputFeatureChannels);
    descriptor->setNeuron(std::move(neuronFilter));
    return descriptor;
}

void CNNConvolutionDescriptor::setNeuron(std::shared_ptr<const CNNNeuron> filter) {
    neuron_ = filter ? filter->neuronDescriptor() : NNNeuronDescriptor();
    filter_ = std::move(filter);
}

void CNNConvolutionDescriptor::setNeuronType(CNNNeuronType type, float parameterA, float parameterB) {
    setFusedNeuronDescriptor(NNNeuronDescriptor::cnnNeuronDescriptor(type, parameterA, parameterB));
}

void CNNConvolutionDescriptor::setNeuronToPReLU(std::vector<float> parametersA) {
    if (parametersA.size() != outputFeatureChannels_)
        throw Error(className(), "parametersA",
                    fmt::format("{} values, one an output channel", outputFeatureChannels_),
                    fmt::format("{}", parametersA.size()));
    setFusedNeuronDescriptor(NNNeuronDescriptor::cnnNeuronPReLUDescriptor(std::move(parametersA)));
}

std::shared_ptr<CNNConvolutionDescriptor> CNNConvolutionDescriptor::copy() const {
    return std::shared_ptr<CNNConvolutionDescriptor>(new CNNConvolutionDescriptor(*this));
}

std::size_t CNNConvolutionDescriptor::inputChannelsPerGroup() const {
    return channelMultiplier() > 0 ? 1 : inputFeatureChannels_ / groups_;
}

std::size_t CNNConvolutionDescriptor::weightCount() const {
    return outputFeatureChannels_ * kernelHeight_ * kernelWidth_ * inputChannelsPerGroup();
}

void CNNConvolutionDescriptor::setBatchNormalizationParametersForInference(std::vector<float> mean,
                                                                           std::vector<float> variance,
                                                                           std::vector<float> gamma,
                                                                           std::vector<float> beta,
                                                                           float epsilon) {
    for (const auto& [argument, list] :
         {std::pair{"mean", &mean}, {"variance", &variance}, {"gamma", &gamma}, {"beta", &beta}})
        if (!list->empty() && list->size() != outputFeatureChannels_)
            throw Error(className(), argument,
                        fmt::format("{} values, one an output channel, or none", outputFeatureChannels_),
                        fmt::format("{}", list->size()));
    const auto given = [this](std::vector<float>& list, float otherwise) {
        return list.empty() ? std::vector<float>(outputFeatureChannels_, otherwise) : std::move(list);
    };
    BatchNormalization fold;
    fold.mean = given(mean, 0);
    fold.variance = given(variance, 1);
    fold.gamma = given(gamma, 1);
    fold.beta = given(beta, 0);
    fold.epsilon = epsilon;
    fold_ = std::make_shared<const BatchNormalization>(std::move(fold));
}

std::shared_ptr<CNNDepthWiseConvolutionDescriptor>
CNNDepthWiseConvolutionDescriptor::cnnConvolutionDescriptor(std::size_t kernelWidth, std::size_t kernelHeight,
                                                            std::size_t inputFeatureChannels,
                                                            std::size_t outputFeatureChannels) {
    return std::shared_ptr<CNNDepthWiseConvolutionDescriptor>(
        new CNNDepthWiseConvolutionDescriptor("CNNDepthWiseConvolutionDescriptor", kernelWidth, kernelHeight,
                                              inputFeatureChannels, outputFeatureChannels));
}

std::shared_ptr<CNNConvolutionDescriptor> CNNDepthWiseConvolutionDescriptor::copy() const {
    return std::shared_ptr<CNNConvolutionDescriptor>(new CNNDepthWiseConvolutionDescriptor(*this));
}

std::shared_ptr<CNNSubPixelConvolutionDescriptor> CNNSubPixelConvolutionDescriptor::cnnConvolutionDescriptor(
    std::size_t kernelWidth, std::size_t kernelHeight, std::size_t inputFeatureChannels,
    std::size_t outputFeatureChannels) {
    return std::shared_ptr<CNNSubPixelConvolutionDescriptor>(
        new CNNSubPixelConvolutionDescriptor("CNNSubPixelConvolutionDescriptor", kernelWidth, kernelHeight,
                                             inputFeatureChannels, outputFeatureChannels));
}

std::shared_ptr<CNNConvolutionDescriptor> CNNSubPixelConvolutionDescriptor::copy() const {
    return std::shared_ptr<CNNConvolutionDescriptor>(new CNNSubPixelConvolutionDescriptor(*this));
}

}  // namespace MPS
