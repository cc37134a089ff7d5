#include "mps/graph/steps/ConvolutionStep.h"

#include "mps/graph/steps/Update.h"
#include "mps/kernels/ConvolutionAccess.h"

namespace pewter::mps {

ConvolutionStep::ConvolutionStep(std::shared_ptr<MPS::CNNConvolution> kernel, Compilation& compilation)
    : UnaryStep(kernel), convolution_(std::move(kernel)) {
    auto& shared = compilation.shared(convolution_->dataSource().get());
    if (!shared) shared = std::make_shared<ConvolutionGroup>();
    group_ = std::static_pointer_cast<ConvolutionGroup>(shared);
    group_->addForward(convolution_);
}

ConvolutionGradientStep::ConvolutionGradientStep(std::shared_ptr<MPS::CNNConvolutionGradient> kernel,
                                                 const ConvolutionStep& forward, MPS::NNTrainingStyle style,
                                                 bool isStateExported)
    : kernel_(std::move(kernel)),
      forward_(forward.convolution()),
      group_(forward.group()),
      style_(style),
      shared_(kernel_->dataSource() == forward_->dataSource()) {
    if (shared_) ConvolutionAccess::shareParameters(*kernel_, *forward_);
    group_->addGradient(shared_ ? nullptr : kernel_);
    if (!updates() && !isStateExported)
        kernel_->setGradientOption(MPS::CNNConvolutionGradientOptionGradientWithData);
}

MPS::ImageDescriptor ConvolutionGradientStep::describe(const std::vector<std::shared_ptr<MPS::Image>>& images,
                                                       const MPS::StateBatch& states) {
    return kernel_->destinationImageDescriptor(images, states);
}

bool ConvolutionGradientStep::dropResult() {
    weightsOnly_ = true;
    return true;
}

void ConvolutionGradientStep::encode(const StepArguments& arguments) {
    const auto &gradients = arguments.images[0], &sources = arguments.images[1];
    const auto& states = arguments.states[0];
    const auto& commandBuffer = arguments.commandBuffer;
    if (weightsOnly_ && arguments.destinations.empty())
        kernel_->encodeWeightGradients(commandBuffer, gradients, sources, states);
    else if (arguments.batch)
        kernel_->encodeBatch(commandBuffer, gradients, sources, states, arguments.destinations);
    else
        kernel_->encode(commandBuffer, gradients[0], sources[0], states[0], arguments.destinations[0]);
    group_->encoded(this);
    if (!updates()) group_->reloadIfComplete(commandBuffer);
}

void ConvolutionGradientStep::update(const StepArguments& arguments) {
    const auto state = std::dynamic_pointer_cast<MPS::CNNConvolutionGradientState>(arguments.states[0].at(0));
    if (style_ == MPS::NNTrainingStyle::UpdateDeviceGPU)
        updateOnDevice(arguments.commandBuffer, state);
    else
        updateOnHost(arguments.commandBuffer, state);
}

void ConvolutionGradientStep::planUpdate(const StepArguments& arguments) {
    const auto source = style_ == MPS::NNTrainingStyle::UpdateDeviceGPU
                            ? exportOnDevice(arguments.commandBuffer)
                            : nullptr;
    Step::planUpdate(arguments);
    if (source && source->isTemporary()) source->setReadCount(0);
}

std::shared_ptr<MPS::CNNConvolutionWeightsAndBiasesState> ConvolutionGradientStep::exportOnDevice(
    const std::shared_ptr<MTL::CommandBuffer>& commandBuffer) {
    return group_->isSingle() ? ConvolutionAccess::exportForUpdate(*forward_, commandBuffer)
                              : forward_->exportWeightsAndBiases(commandBuffer, true);
}

void ConvolutionGradientStep::updateOnDevice(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
                                             const State& state) {
    const auto source = exportOnDevice(commandBuffer);
    const ReadDuty ofGradient("gradientState", state), ofSource("sourceState", source);
    const auto result = kernel_->dataSource()->update(commandBuffer, state, source);
    ofGradient.check(kernel_->name(), "update");
    ofSource.check(kernel_->name(), "update", result == source ? 1 : 0);
    if (result) group_->returned(result);
    group_->reloadIfComplete(commandBuffer);
}

void ConvolutionGradientStep::updateOnHost(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
                                           const State& state) {
    const auto source = forward_->exportWeightsAndBiases(commandBuffer, false);
    state->synchronize(commandBuffer);
    source->synchronize(commandBuffer);
    whenCompleted(*commandBuffer, kernel_->name(),
                  [dataSource = kernel_->dataSource(), group = group_, state, source] {
                      if (dataSource->update(state, source)) group->reloadFromDataSource();
                  });
}

void ConvolutionGradientStep::reloadFromDataSource() {
    if (!shared_) kernel_->reloadWeightsAndBiasesFromDataSource();
}

}  // namespace pewter::mps
