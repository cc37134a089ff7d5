#include "mps/graph/steps/ForwardLossStep.h"

#include "mps/graph/steps/Prepare.h"

namespace pewter::mps {

namespace {

/// Weights, the last and optional source.
MPS::ImageBatch weightsOf(const StepArguments& arguments, std::size_t index) {
    return arguments.images.size() > index ? singlePictures(arguments.images[index]) : MPS::ImageBatch{};
}

/// One state for each picture: an image that holds several has one state for all.
MPS::StateBatch statesOf(const MPS::StateBatch& states, std::size_t pictures) {
    return states.size() == 1 ? MPS::StateBatch(pictures, states[0]) : states;
}

}  // namespace

MPS::ImageDescriptor ForwardLossStep::describe(const std::vector<std::shared_ptr<MPS::Image>>& images,
                                               const MPS::StateBatch& states) {
    return kernel_->destinationImageDescriptor({images[0]}, states);
}

MPS::StateBatch ForwardLossStep::makeStates(const MPS::StateOwner& owner, const StepArguments& arguments) {
    const auto &sources = arguments.images[0], &destinations = arguments.destinations;
    if (owner.commandBuffer)
        return kernel_->temporaryResultStateBatch(owner.commandBuffer, sources, {}, destinations);
    return kernel_->resultStateBatch(sources, {}, destinations);
}

void ForwardLossStep::encode(const StepArguments& arguments) {
    const auto sources = singlePictures(arguments.images[0]);
    kernel_->encodeBatch(arguments.commandBuffer, sources, singlePictures(arguments.images[1]),
                         weightsOf(arguments, 2), statesOf(arguments.resultStates, sources.size()),
                         singlePictures(arguments.destinations));
}

MPS::ImageDescriptor LossGradientStep::describe(const std::vector<std::shared_ptr<MPS::Image>>& images,
                                                const MPS::StateBatch& states) {
    return kernel_->destinationImageDescriptor({images[0], images[1]}, states);
}

void LossGradientStep::encode(const StepArguments& arguments) {
    const auto& images = arguments.images;
    const auto sources = singlePictures(images[1]), destinations = singlePictures(arguments.destinations);
    if (callback_) kernel_->setWeight(callback_->scalarWeight(sources[0], destinations[0]));
    kernel_->encodeBatch(
        arguments.commandBuffer, singlePictures(images[0]), sources, singlePictures(images[2]),
        weightsOf(arguments, 3),
        arguments.states.empty() ? MPS::StateBatch{} : statesOf(arguments.states[0], sources.size()),
        destinations);
}

}  // namespace pewter::mps
