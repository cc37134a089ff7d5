#include "mps/graph/steps/ConvolutionTransposeStep.h"

namespace pewter::mps {

ConvolutionTransposeStep::ConvolutionTransposeStep(std::shared_ptr<MPS::CNNConvolutionTranspose> kernel,
                                                   Sharing& sharing)
    : kernel_(std::move(kernel)),
      weights_(std::make_shared<ForwardWeightsOf<MPS::CNNConvolutionTranspose>>(kernel_)),
      group_(ConvolutionGroup::of(sharing, kernel_->dataSource().get())) {
    group_->addForward(weights_);
}

MPS::ImageDescriptor ConvolutionTransposeStep::describe(
    const std::vector<std::shared_ptr<MPS::Image>>& images, const MPS::StateBatch& states) {
    return kernel_->destinationImageDescriptor(images, states);
}

MPS::StateBatch ConvolutionTransposeStep::makeStates(const MPS::StateOwner& owner,
                                                     const StepArguments& arguments) {
    const auto &sources = arguments.images[0], &destinations = arguments.destinations;
    if (owner.commandBuffer)
        return kernel_->temporaryResultStateBatch(owner.commandBuffer, sources, arguments.states,
                                                  destinations);
    return kernel_->resultStateBatch(sources, arguments.states, destinations);
}

void ConvolutionTransposeStep::encode(const StepArguments& arguments) {
    ConvolutionAccess::encodeLinked(*kernel_, arguments.commandBuffer, arguments.images[0],
                                    arguments.states.empty() ? MPS::StateBatch{} : arguments.states[0],
                                    arguments.resultStates, arguments.destinations, arguments.batch);
}

ConvolutionTransposeGradientStep::ConvolutionTransposeGradientStep(
    std::shared_ptr<MPS::CNNConvolutionTransposeGradient> kernel, ConvolutionTransposeStep& forward,
    MPS::NNTrainingStyle style, bool isStateExported)
    : WeightedGradientStep(std::move(kernel), forward, *forward.transpose(), style, isStateExported) {}

}  // namespace pewter::mps
