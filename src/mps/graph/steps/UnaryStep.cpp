#include "mps/graph/steps/UnaryStep.h"

#include <MPS/CNNDropout.hpp>
#include <MPS/CNNNeuron.hpp>

namespace pewter::mps {

MPS::ImageDescriptor UnaryStep::describe(const std::vector<std::shared_ptr<MPS::Image>>& images,
                                         const MPS::StateBatch& states) {
    return kernel_->destinationImageDescriptor(images, states);
}

MPS::StateBatch UnaryStep::makeStates(const MPS::StateOwner& owner, const StepArguments& arguments) {
    const auto &sources = arguments.images[0], &destinations = arguments.destinations;
    if (owner.commandBuffer)
        return kernel_->temporaryResultStateBatch(owner.commandBuffer, sources, arguments.states,
                                                  destinations);
    return kernel_->resultStateBatch(sources, arguments.states, destinations);
}

void UnaryStep::encode(const StepArguments& arguments) {
    const auto &sources = arguments.images[0], &destinations = arguments.destinations;
    const auto& states = arguments.resultStates;
    if (arguments.batch)
        kernel_->encodeBatch(arguments.commandBuffer, sources, states, destinations);
    else if (states.empty())
        kernel_->encode(arguments.commandBuffer, sources[0], destinations[0]);
    else
        kernel_->encode(arguments.commandBuffer, sources[0], states[0], destinations[0]);
}

bool UnaryStep::canOverwrite(std::size_t) const {
    return dynamic_cast<const MPS::CNNNeuron*>(kernel_.get()) || dynamic_cast<const MPS::CNNDropout*>(kernel_.get());
}

}  // namespace pewter::mps
