#include "mps/graph/steps/ConcatenationStep.h"

#include <fmt/format.h>

#include <MTL/Error.hpp>

namespace pewter::mps {

MPS::ImageDescriptor ConcatenationStep::describe(const std::vector<std::shared_ptr<MPS::Image>>& images,
                                                 const MPS::StateBatch& states) {
    auto descriptor = kernels_[0]->destinationImageDescriptor({images[0]}, states);
    std::size_t channels = 0;
    for (std::size_t i = 0; i < images.size(); ++i) {
        const auto& image = *images[i];
        if (image.width() != images[0]->width() || image.height() != images[0]->height())
            throw MPS::Error(kernel().name(), fmt::format("sources[{}]", i),
                             fmt::format("{} x {} pixels, as the first source has", images[0]->width(),
                                         images[0]->height()),
                             fmt::format("{} x {}", image.width(), image.height()));
        if (image.numberOfImages() != images[0]->numberOfImages())
            throw MPS::Error(
                kernel().name(), fmt::format("sources[{}]", i),
                fmt::format("{} pictures in an image, as the first source has", images[0]->numberOfImages()),
                fmt::format("{}", image.numberOfImages()));
        kernels_[i]->setDestinationFeatureChannelOffset(channels);
        channels += (image.featureChannels() + 3) / 4 * 4;
    }
    descriptor.featureChannels = channels;
    // The one policy of the filter; those of the kernels are the default.
    if (padding_->paddingMethod() & MPS::NNPaddingMethodCustom)
        descriptor = padding_->destinationImageDescriptor(images, states, kernel(), descriptor);
    return descriptor;
}

MPS::StateBatch ConcatenationStep::statesOf(std::size_t index, const MPS::StateOwner& owner,
                                            const StepArguments& arguments) const {
    const auto& sources = arguments.images[index];
    if (owner.commandBuffer)
        return kernels_[index]->temporaryResultStateBatch(owner.commandBuffer, sources, {},
                                                          arguments.destinations);
    return kernels_[index]->resultStateBatch(sources, {}, arguments.destinations);
}

MPS::StateBatch ConcatenationStep::makeStates(const MPS::StateOwner& owner, const StepArguments& arguments) {
    return statesOf(0, owner, arguments);
}

std::vector<MPS::StateBatch> ConcatenationStep::makeFurtherStates(const MPS::StateOwner& owner,
                                                                  const StepArguments& arguments,
                                                                  const std::vector<bool>& wanted) {
    std::vector<MPS::StateBatch> states(wanted.size());
    for (std::size_t i = 0; i < wanted.size(); ++i)
        if (wanted[i]) states[i] = statesOf(i + 1, owner, arguments);
    return states;
}

void ConcatenationStep::encode(const StepArguments& arguments) {
    for (std::size_t i = 0; i < kernels_.size(); ++i) {
        MPS::StateBatch states;
        if (i == 0)
            states = arguments.resultStates;
        else if (i <= arguments.furtherStates.size())
            states = arguments.furtherStates[i - 1];
        auto& kernel = *kernels_[i];
        kernel.setCopies(arguments.isThere.empty() || !arguments.isThere[i]);
        const auto& sources = arguments.images[i];
        if (arguments.batch)
            kernel.encodeBatch(arguments.commandBuffer, sources, states, arguments.destinations);
        else if (states.empty())
            kernel.encode(arguments.commandBuffer, sources[0], arguments.destinations[0]);
        else
            kernel.encode(arguments.commandBuffer, sources[0], states[0], arguments.destinations[0]);
    }
}

}  // namespace pewter::mps
