#include "mps/graph/steps/ConvolutionStep.h"

namespace pewter::mps {

ConvolutionStep::ConvolutionStep(std::shared_ptr<MPS::CNNConvolution> kernel, Compilation& compilation)
    : UnaryStep(kernel),
      convolution_(std::move(kernel)),
      weights_(std::make_shared<ForwardWeightsOf<MPS::CNNConvolution>>(convolution_)),
      group_(ConvolutionGroup::of(compilation, convolution_->dataSource().get())) {
    group_->addForward(weights_);
}

ConvolutionGradientStep::ConvolutionGradientStep(std::shared_ptr<MPS::CNNConvolutionGradient> kernel,
                                                 const ConvolutionStep& forward, MPS::NNTrainingStyle style,
                                                 bool isStateExported)
    : WeightedGradientStep(std::move(kernel), forward, *forward.convolution(), style, isStateExported) {}

}  // namespace pewter::mps
