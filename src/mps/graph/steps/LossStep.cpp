#include "mps/graph/steps/LossStep.h"

#include <fmt/format.h>

#include <MTL/Error.hpp>

namespace pewter::mps {

MPS::ImageDescriptor LossStep::describe(const std::vector<std::shared_ptr<MPS::Image>>& images,
                                        const MPS::StateBatch& states) {
    return kernel_->destinationImageDescriptor(images, states);
}

void LossStep::encode(const StepArguments& arguments) {
    MPS::CNNLossLabelsBatch labels;
    for (const auto& state : arguments.states[0]) {
        labels.push_back(std::dynamic_pointer_cast<MPS::CNNLossLabels>(state));
        if (!labels.back())
            throw MPS::Error(kernel_->name(), "labels", "a CNNLossLabels an image",
                             state ? fmt::format("a {}", state->className()) : "null");
    }
    if (arguments.batch)
        kernel_->encodeBatch(arguments.commandBuffer, arguments.images[0], labels, arguments.destinations);
    else
        kernel_->encode(arguments.commandBuffer, arguments.images[0][0], labels.at(0),
                        arguments.destinations[0]);
}

}  // namespace pewter::mps
