#include "mps/graph/steps/ScaleStep.h"

#include <fmt/format.h>

#include <MTL/Error.hpp>

#include "mps/kernels/ImageScaleAccess.h"

namespace pewter::mps {

MPS::ImageDescriptor ScaleStep::describe(const std::vector<std::shared_ptr<MPS::Image>>& images,
                                         const MPS::StateBatch& states) {
    auto descriptor = kernel_->destinationImageDescriptor(images, states);
    if (size_.depth > 1 && size_.depth != descriptor.featureChannels)
        throw MPS::Error(
            kernel_->name(), "outputSize.depth",
            fmt::format("0, 1 or {}, the feature channels of the source", descriptor.featureChannels),
            fmt::format("{}", size_.depth));
    descriptor.width = size_.width;
    descriptor.height = size_.height;
    // The kernel's own policy is the default, so that one call is made, about the size above.
    if (padding_->paddingMethod() & MPS::NNPaddingMethodCustom)
        descriptor = padding_->destinationImageDescriptor(images, states, *kernel_, descriptor);
    return descriptor;
}

void ScaleStep::encode(const StepArguments& arguments) {
    std::vector<MPS::ScaleTransform> transforms;
    if (provider_)
        for (const auto& image : arguments.images[0])
            transforms.push_back(provider_->transform(image, handle_));
    ImageScaleAccess::setTransforms(*kernel_, transforms);
    UnaryStep::encode(arguments);
}

}  // namespace pewter::mps
