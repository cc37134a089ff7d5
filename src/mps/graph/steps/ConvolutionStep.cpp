#include "mps/graph/steps/ConvolutionStep.h"

#include <MTL/Resource.hpp>

#include "mps/core/Checks.h"
#include "mps/core/ResultStates.h"
#include "mps/kernels/BatchNormalizationAccess.h"
#include "mps/kernels/ConvolutionAccess.h"
#include "mps/kernels/NeuronAccess.h"

namespace pewter::mps {

namespace {

std::vector<float> valuesOf(MTL::Buffer& buffer, std::size_t count) {
    return mtl::valuesOf<float>(buffer, count);
}

void fold(MPS::CNNConvolution& convolution, const MPS::CNNBatchNormalization& normalization) {
    const auto& p = BatchNormalizationAccess::parameters(normalization);
    ConvolutionAccess::fold(convolution, {valuesOf(*p.mean, p.channels), valuesOf(*p.variance, p.channels),
                                          valuesOf(*p.gamma, p.channels), valuesOf(*p.beta, p.channels), p.epsilon});
}

}  // namespace

ConvolutionStep::ConvolutionStep(std::shared_ptr<MPS::CNNConvolution> kernel, Sharing& sharing)
    : UnaryStep(kernel),
      convolution_(std::move(kernel)),
      weights_(std::make_shared<ForwardWeightsOf<MPS::CNNConvolution>>(convolution_)),
      group_(ConvolutionGroup::of(sharing, convolution_->dataSource().get())) {
    group_->addForward(weights_);
}

void ConvolutionStep::absorb(std::shared_ptr<MPS::CNNBatchNormalization> normalization) {
    normalization_ = std::move(normalization);
    fold(*convolution_, *normalization_);
}

void ConvolutionStep::reloadFromDataSource() {
    if (normalization_) {
        normalization_->reloadGammaAndBetaFromDataSource();
        normalization_->reloadMeanAndVarianceFromDataSource();
    }
    convolution_->reloadWeightsAndBiasesFromDataSource();
    if (normalization_) fold(*convolution_, *normalization_);
}

MPS::ImageBatch throughNeuron(const MPS::Kernel& kernel, const MPS::NNNeuronDescriptor& neuron,
                              const StepArguments& arguments) {
    const auto &gradients = arguments.images[0], &sources = arguments.images[2];
    auto results = gradients;
    if (!arguments.mayOverwriteFirst) {
        const auto& first = *gradients[0];
        auto descriptor = MPS::ImageDescriptor::imageDescriptor(first.featureChannelFormat(), first.width(),
                                                                first.height(), first.featureChannels());
        descriptor.numberOfImages = first.numberOfImages();
        results = allocateDestinations(kernel, *MPS::TemporaryImage::defaultAllocator(), arguments.commandBuffer,
                                       descriptor, gradients.size());
    }
    encodeNeuronGradient(*arguments.commandBuffer, kernel, neuron, gradients, sources, results);
    if (!arguments.mayOverwriteFirst) consumeImages(gradients, kernel.name());
    consumeImages(sources, kernel.name());
    return results;
}

ConvolutionGradientStep::ConvolutionGradientStep(std::shared_ptr<MPS::CNNConvolutionGradient> kernel,
                                                 ConvolutionStep& forward, MPS::NNTrainingStyle style,
                                                 bool isStateExported)
    : WeightedGradientStep(std::move(kernel), forward, *forward.convolution(), style, isStateExported) {}

}  // namespace pewter::mps
