#include "mps/graph/steps/ArithmeticStep.h"

namespace pewter::mps {

MPS::ImageDescriptor ArithmeticStep::describe(const std::vector<std::shared_ptr<MPS::Image>>& images,
                                              const MPS::StateBatch& states) {
    return kernel_->destinationImageDescriptor(images, states);
}

MPS::StateBatch ArithmeticStep::makeStates(const MPS::StateOwner& owner, const StepArguments& arguments) {
    const auto &left = arguments.images[0], &right = arguments.images[1];
    if (owner.commandBuffer)
        return kernel_->temporaryResultStateBatch(owner.commandBuffer, left, right, {},
                                                  arguments.destinations);
    return kernel_->resultStateBatch(left, right, {}, arguments.destinations);
}

void ArithmeticStep::encode(const StepArguments& arguments) {
    const auto &left = arguments.images[0], &right = arguments.images[1];
    const auto& states = arguments.resultStates;
    const auto& results = arguments.destinations;
    const auto& commandBuffer = arguments.commandBuffer;
    if (arguments.batch && states.empty())
        kernel_->encodeBatch(commandBuffer, left, right, results);
    else if (arguments.batch)
        kernel_->encodeBatch(commandBuffer, left, right, states, results);
    else if (states.empty())
        kernel_->encode(commandBuffer, left[0], right[0], results[0]);
    else
        kernel_->encode(commandBuffer, left[0], right[0],
                        std::dynamic_pointer_cast<MPS::CNNArithmeticGradientState>(states[0]), results[0]);
}

bool ArithmeticStep::canOverwrite(std::size_t index) const {
    return index == 0 ? kernel_->primaryStrideInPixelsX() == 1 && kernel_->primaryStrideInPixelsY() == 1 &&
                            kernel_->primaryStrideInFeatureChannels() == 1
                      : kernel_->secondaryStrideInPixelsX() == 1 && kernel_->secondaryStrideInPixelsY() == 1 &&
                            kernel_->secondaryStrideInFeatureChannels() == 1;
}

}  // namespace pewter::mps
