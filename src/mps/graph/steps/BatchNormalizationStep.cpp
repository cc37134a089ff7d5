#include "mps/graph/steps/BatchNormalizationStep.h"

#include "mps/core/Checks.h"
#include "mps/graph/steps/Prepare.h"
#include "mps/graph/steps/Update.h"
#include "mps/kernels/BatchNormalizationAccess.h"
#include "mps/kernels/NormalizationSum.h"

namespace pewter::mps {

namespace {

std::shared_ptr<MPS::CNNBatchNormalizationState> stateOf(const MPS::StateBatch& states) {
    return std::dynamic_pointer_cast<MPS::CNNBatchNormalizationState>(states.at(0));
}

}  // namespace

BatchNormalizationStep::BatchNormalizationStep(std::shared_ptr<MPS::CNNBatchNormalization> kernel,
                                               bool calculatesStatistics, Sharing& sharing)
    : kernel_(std::move(kernel)) {
    auto& shared = sharing.shared(kernel_->dataSource().get());
    if (!shared) shared = std::make_shared<BatchNormalizationGroup>();
    group_ = std::static_pointer_cast<BatchNormalizationGroup>(shared);
    group_->addForward(kernel_);
    if (!calculatesStatistics) return;
    statistics_ = std::make_shared<MPS::CNNBatchNormalizationStatistics>(kernel_->device());
    statistics_->setLabel(kernel_->label());
}

void BatchNormalizationStep::absorb(const MPS::NNNeuronDescriptor& neuron) {
    BatchNormalizationAccess::fuseNeuron(*kernel_, neuron);
}

void BatchNormalizationStep::absorbSum(const MPS::NNNeuronDescriptor& neuron) {
    absorb(neuron);
    hasSum_ = true;
}

MPS::ImageDescriptor BatchNormalizationStep::describe(const std::vector<std::shared_ptr<MPS::Image>>& images,
                                                      const MPS::StateBatch& states) {
    return kernel_->destinationImageDescriptor({images[0]}, states);
}

MPS::StateBatch BatchNormalizationStep::makeStates(const MPS::StateOwner& owner,
                                                   const StepArguments& arguments) {
    const auto &sources = arguments.images[0], &destinations = arguments.destinations;
    if (owner.commandBuffer)
        return kernel_->temporaryResultStateBatch(owner.commandBuffer, sources, {}, destinations);
    return kernel_->resultStateBatch(sources, {}, destinations);
}

void BatchNormalizationStep::encode(const StepArguments& arguments) {
    const auto& sources = arguments.images[0];
    const auto& commandBuffer = arguments.commandBuffer;
    auto states = arguments.resultStates;
    // Statistics without anybody who wants the state (flag Always): it lives here only.
    if (statistics_ && states.empty()) states = makeStates(MPS::StateOwner::of(commandBuffer), arguments);
    const auto state = states.empty() ? nullptr : stateOf(states);
    if (statistics_) statistics_->encodeBatch(commandBuffer, singlePictures(sources), state);
    normalize(arguments, state);
}

void BatchNormalizationStep::normalize(const StepArguments& arguments,
                                       const std::shared_ptr<MPS::CNNBatchNormalizationState>& state) {
    const auto &sources = arguments.images[0], &destinations = arguments.destinations;
    const auto& commandBuffer = arguments.commandBuffer;
    if (hasSum_) {
        encodeNormalizationSum(commandBuffer, *kernel_, sources, arguments.images[1], state, destinations);
        for (const auto& images : arguments.images) consumeImages(images, kernel_->name());
        if (state) consumeStates({state}, kernel_->name());
    } else if (arguments.batch && state) {
        kernel_->encodeBatch(commandBuffer, sources, state, destinations);
    } else if (arguments.batch) {
        kernel_->encodeBatch(commandBuffer, sources, destinations);
    } else if (state) {
        kernel_->encode(commandBuffer, sources[0], state, destinations[0]);
    } else {
        kernel_->encode(commandBuffer, sources[0], destinations[0]);
    }
}

void BatchNormalizationStep::recompute(const StepArguments& arguments) {
    if (arguments.states.empty()) return encode(arguments);
    normalize(arguments, stateOf(arguments.states[0]));
}

void BatchNormalizationStep::reloadFromDataSource() {
    kernel_->reloadGammaAndBetaFromDataSource();
    kernel_->reloadMeanAndVarianceFromDataSource();
}

BatchNormalizationGradientStep::BatchNormalizationGradientStep(
    std::shared_ptr<MPS::CNNBatchNormalizationGradient> kernel, BatchNormalizationStep& forward,
    MPS::NNTrainingStyle style)
    : kernel_(std::move(kernel)),
      statistics_(std::make_shared<MPS::CNNBatchNormalizationStatisticsGradient>(kernel_->device(),
                                                                                 kernel_->fusedNeuronDescriptor())),
      forwardStep_(&forward),
      forward_(forward.normalization()),
      group_(forward.group()),
      style_(style) {
    statistics_->setLabel(kernel_->label());
    group_->addGradient();
}

MPS::ImageDescriptor BatchNormalizationGradientStep::describe(
    const std::vector<std::shared_ptr<MPS::Image>>& images, const MPS::StateBatch& states) {
    return kernel_->destinationImageDescriptor(images, states);
}

bool BatchNormalizationGradientStep::dropResult() {
    statisticsOnly_ = true;
    return true;
}

void BatchNormalizationGradientStep::encode(const StepArguments& arguments) {
    const auto &gradients = arguments.images[0], &sources = arguments.images[1];
    const auto& commandBuffer = arguments.commandBuffer;
    const auto& states = arguments.states[0];
    if (hasStatistics_)
        statistics_->encodeBatch(commandBuffer, singlePictures(gradients), singlePictures(sources), stateOf(states));
    if (!statisticsOnly_ && arguments.batch)
        kernel_->encodeBatch(commandBuffer, gradients, sources, states, arguments.destinations);
    else if (!statisticsOnly_)
        kernel_->encode(commandBuffer, gradients[0], sources[0], states[0], arguments.destinations[0]);
}

void BatchNormalizationGradientStep::absorb(const MPS::NNNeuronDescriptor& neuron) {
    const auto before = std::move(kernel_);
    kernel_ = std::make_shared<MPS::CNNBatchNormalizationGradient>(before->device(), neuron);
    kernel_->setLabel(before->label());
    kernel_->setPadding(before->padding());
    kernel_->setOptions(before->options());
    statistics_ = std::make_shared<MPS::CNNBatchNormalizationStatisticsGradient>(kernel_->device(), neuron);
    statistics_->setLabel(kernel_->label());
}

void BatchNormalizationGradientStep::encoded(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer) {
    group_->encoded(this);
    if (!updates()) group_->reloadIfComplete(commandBuffer);
}

void BatchNormalizationGradientStep::update(const StepArguments& arguments) {
    const auto state = stateOf(arguments.states[0]);
    const auto& commandBuffer = arguments.commandBuffer;
    const auto& dataSource = forward_->dataSource();
    if (style_ == MPS::NNTrainingStyle::UpdateDeviceGPU) {
        const ReadDuty first("batchNormalizationState", state);
        const auto gammaAndBeta = dataSource->updateGammaAndBeta(commandBuffer, state);
        first.check(kernel_->name(), "updateGammaAndBeta");
        const ReadDuty second("batchNormalizationState", state);
        const auto meanAndVariance = dataSource->updateMeanAndVariance(commandBuffer, state);
        second.check(kernel_->name(), "updateMeanAndVariance");
        group_->returned(gammaAndBeta, meanAndVariance);
        group_->reloadIfComplete(commandBuffer);
        return;
    }
    state->synchronize(commandBuffer);
    whenCompleted(*commandBuffer, kernel_->name(), [source = dataSource, group = group_, state] {
        if (source->updateGammaAndBeta(state)) group->reloadGammaAndBetaFromDataSource();
        if (source->updateMeanAndVariance(state)) group->reloadMeanAndVarianceFromDataSource();
    });
}

}  // namespace pewter::mps
