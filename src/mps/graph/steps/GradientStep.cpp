#include "mps/graph/steps/GradientStep.h"

#include <MPS/CNNArithmetic.hpp>
#include <MPS/CNNDropout.hpp>
#include <MPS/CNNNeuron.hpp>

#include "mps/kernels/Concatenation.h"

namespace pewter::mps {

MPS::ImageDescriptor GradientStep::describe(const std::vector<std::shared_ptr<MPS::Image>>& images,
                                            const MPS::StateBatch& states) {
    // The states' hook configures the kernel as the forward kernel was.
    return kernel_->destinationImageDescriptor(images, states);
}

void GradientStep::encode(const StepArguments& arguments) {
    if (auto* slice = dynamic_cast<ConcatenationGradient*>(kernel_.get()))
        slice->setCopies(arguments.isThere.empty() || !arguments.isThere[0]);
    const auto &gradients = arguments.images[0], &sources = arguments.images[1];
    const auto& states = arguments.states[0];
    if (arguments.batch)
        kernel_->encodeBatch(arguments.commandBuffer, gradients, sources, states, arguments.destinations);
    else
        kernel_->encode(arguments.commandBuffer, gradients[0], sources[0], states[0],
                        arguments.destinations[0]);
}

bool GradientStep::canOverwrite(std::size_t index) const {
    if (index != 0) return false;
    if (const auto* arithmetic = dynamic_cast<const MPS::CNNArithmeticGradient*>(kernel_.get()))
        return arithmetic->secondaryStrideInPixelsX() == 1 && arithmetic->secondaryStrideInPixelsY() == 1 &&
               arithmetic->secondaryStrideInFeatureChannels() == 1;
    return dynamic_cast<const MPS::CNNNeuronGradient*>(kernel_.get()) ||
           dynamic_cast<const MPS::CNNDropoutGradient*>(kernel_.get());
}

}  // namespace pewter::mps
