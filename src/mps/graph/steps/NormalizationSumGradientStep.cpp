#include "mps/graph/steps/NormalizationSumGradientStep.h"

#include <MTL/Error.hpp>

#include "mps/core/Checks.h"
#include "mps/core/StateAccess.h"
#include "mps/kernels/NormalizationSum.h"

namespace pewter::mps {

MPS::ImageDescriptor NormalizationSumGradientStep::describe(const std::vector<std::shared_ptr<MPS::Image>>& images,
                                                            const MPS::StateBatch&) {
    const auto& source = *images.at(1);
    auto descriptor = MPS::ImageDescriptor::imageDescriptor(images[0]->featureChannelFormat(), source.width(),
                                                            source.height(), source.featureChannels());
    descriptor.numberOfImages = source.numberOfImages();
    return descriptor;
}

void NormalizationSumGradientStep::encode(const StepArguments& arguments) {
    const auto& images = arguments.images;
    const auto& states = arguments.states.at(0);
    auto state = std::dynamic_pointer_cast<MPS::CNNBatchNormalizationState>(states.at(0));
    if (!state)
        throw MTL::Error(kernel_->name(), "gradientState", "a CNNBatchNormalizationState",
                         std::string("a ") + states[0]->className());
    encodeNormalizationSumGradient(*arguments.commandBuffer, *kernel_, kernel_->neuronDescriptor(),
                                   {images.at(0), images.at(1), images.at(2), arguments.destinations, std::move(state)});
    for (const auto& batch : images) consumeImages(batch, kernel_->name());
    consumeStates(states, kernel_->name());
}

}  // namespace pewter::mps
