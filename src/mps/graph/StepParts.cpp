#include "mps/graph/StepParts.h"

#include <MTL/Error.hpp>

#include "mps/core/SharedSources.h"
#include "mps/graph/steps/ArithmeticStep.h"
#include "mps/graph/steps/BatchNormalizationStep.h"
#include "mps/graph/steps/BinaryConvolutionStep.h"
#include "mps/graph/steps/ConcatenationStep.h"
#include "mps/graph/steps/ConvolutionStep.h"
#include "mps/graph/steps/ConvolutionTransposeStep.h"
#include "mps/graph/steps/CrossChannelGradientStep.h"
#include "mps/graph/steps/DropoutStep.h"
#include "mps/graph/steps/ForwardLossStep.h"
#include "mps/graph/steps/KernelStep.h"
#include "mps/graph/steps/LossStep.h"
#include "mps/graph/steps/NormalizationSumGradientStep.h"
#include "mps/graph/steps/ReshapeStep.h"
#include "mps/graph/steps/SampleNormalizationStep.h"
#include "mps/graph/steps/ScaleStep.h"

namespace pewter::mps {

namespace {

std::int64_t integer(std::uint64_t value) { return static_cast<std::int64_t>(value); }

}  // namespace

StepParts Step::parts() {
    throw MPS::Error(kernel().name(), "step", "one that can be copied and archived", "one that cannot");
}

StepParts UnaryStep::parts() { return {.type = "Unary", .kernels = {kernel_}}; }
StepParts KernelStep::parts() { return {.type = "Kernel", .kernels = {stateful_}}; }
StepParts DropoutStep::parts() { return {.type = "Dropout", .kernels = {dropout_}}; }
StepParts ArithmeticStep::parts() { return {.type = "Arithmetic", .kernels = {kernel_}}; }
StepParts GradientStep::parts() { return {.type = "Gradient", .kernels = {kernel_}}; }
StepParts CrossChannelGradientStep::parts() { return {.type = "CrossChannelGradient", .kernels = {kernel_}}; }
StepParts LossStep::parts() { return {.type = "Loss", .kernels = {kernel_}}; }

StepParts ReshapeStep::parts() {
    return {.type = "Reshape", .kernels = {kernel_}, .numbers = {integer(width_), integer(height_), integer(channels_)}};
}

StepParts ScaleStep::parts() {
    return {.type = "Scale",
            .kernels = {kernel_},
            .numbers = {integer(size_.width), integer(size_.height), integer(size_.depth)},
            .padding = padding_,
            .provider = provider_,
            .handle = handle_};
}

StepParts ConcatenationStep::parts() {
    StepParts parts{.type = "Concatenation", .padding = padding_};
    parts.kernels.assign(kernels_.begin(), kernels_.end());
    return parts;
}

StepParts ForwardLossStep::parts() {
    return {.type = "ForwardLoss", .kernels = {kernel_}, .callback = kernel_->propertyCallBack()};
}
StepParts LossGradientStep::parts() {
    return {.type = "LossGradient", .kernels = {kernel_}, .callback = callback_};
}

// --- convolutions ---

StepParts BinaryConvolutionStep::parts() {
    return {.type = "BinaryConvolution",
            .kernels = {convolution_},
            .numbers = {terms_.hasScaleValue},
            .lists = {{terms_.scaleValue}, terms_.outputBias, terms_.outputScale, terms_.inputBias, terms_.inputScale}};
}

StepParts ConvolutionStep::parts() {
    StepParts parts{.type = "Convolution", .kernels = {convolution_}};
    if (normalization_) parts.kernels.push_back(normalization_);
    const auto neuron = convolution_->fusedNeuronDescriptor();
    if (neuron.neuronType() != MPS::CNNNeuronType::None)
        parts.neuron = std::make_shared<MPS::NNNeuronDescriptor>(neuron);
    return parts;
}

StepParts ConvolutionTransposeStep::parts() { return {.type = "ConvolutionTranspose", .kernels = {kernel_}}; }

template <class Kernel>
StepParts WeightedGradientStep<Kernel>::parts() {
    constexpr bool transposed = std::is_same_v<Kernel, MPS::CNNConvolutionTransposeGradient>;
    return {.type = transposed ? "ConvolutionTransposeGradient" : "ConvolutionGradient",
            .kernels = {kernel_},
            .forward = forward_,
            .style = update_.style(),
            .keepsUpdates = codedSource(kernel_->dataSource()) != nullptr,
            .resultDropped = weightsOnly_,
            .numbers = {addsToResult_},
            .neuron = neuron_ ? std::make_shared<MPS::NNNeuronDescriptor>(*neuron_) : nullptr};
}
template StepParts WeightedGradientStep<MPS::CNNConvolutionGradient>::parts();
template StepParts WeightedGradientStep<MPS::CNNConvolutionTransposeGradient>::parts();

// --- normalisations ---

StepParts BatchNormalizationStep::parts() {
    return {.type = "BatchNormalization", .kernels = {kernel_}, .numbers = {calculatesStatistics(), hasSum_}};
}

StepParts BatchNormalizationGradientStep::parts() {
    return {.type = "BatchNormalizationGradient",
            .kernels = {kernel_},
            .forward = forwardStep_,
            .style = style_,
            .keepsUpdates = codedSource(forward_->dataSource()) != nullptr,
            .resultDropped = statisticsOnly_,
            .numbers = {hasStatistics_}};
}

StepParts NormalizationSumGradientStep::parts() { return {.type = "NormalizationSumGradient", .kernels = {kernel_}}; }

template <class Kind>
StepParts SampleNormalizationStep<Kind>::parts() {
    return {.type = Kind::kType, .kernels = {kernel_}};
}
template <class Kind>
StepParts SampleNormalizationGradientStep<Kind>::parts() {
    return {.type = std::string(Kind::kType) + "Gradient",
            .kernels = {kernel_},
            .forward = forwardStep_,
            .style = style_,
            .keepsUpdates = codedSource(forward_->dataSource()) != nullptr,
            .resultDropped = parametersOnly_};
}
template StepParts SampleNormalizationStep<InstanceNormalizationKind>::parts();
template StepParts SampleNormalizationStep<GroupNormalizationKind>::parts();
template StepParts SampleNormalizationGradientStep<InstanceNormalizationKind>::parts();
template StepParts SampleNormalizationGradientStep<GroupNormalizationKind>::parts();

}  // namespace pewter::mps
