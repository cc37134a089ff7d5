#include "Parameters.h"

#include <fmt/format.h>

#include <MPS/CNNConvolutionState.hpp>
#include <MTL/MTL.hpp>
#include <stdexcept>

namespace pewter::fuzz {

void Parameter::note(const CommandBuffer& commandBuffer, const std::shared_ptr<MPS::State>& state,
                     const std::shared_ptr<MTL::Buffer>& buffer) {
    // Memory of a temporary state is the device's own, and only for now.
    const auto kept = commandBuffer->device()->newBuffer(buffer->length());
    const auto encoder = commandBuffer->blitCommandEncoder();
    encoder->copy(buffer, 0, kept, 0, buffer->length());
    encoder->endEncoding();
    take(state, kept);
}

std::vector<double> Parameter::gradient() const {
    std::vector<double> sum(values.size());
    for (const auto& [state, buffer] : given_) {
        const std::size_t bytes = buffer->length() / sum.size();
        if (bytes * sum.size() != buffer->length() || (bytes != sizeof(float) && bytes != sizeof(double)))
            throw std::runtime_error(
                fmt::format("a gradient buffer of {} bytes for {} parameters", buffer->length(), sum.size()));
        const void* const data = buffer->contents();
        for (std::size_t i = 0; i < sum.size(); ++i)
            sum[i] += bytes == sizeof(double) ? static_cast<const double*>(data)[i] : static_cast<const float*>(data)[i];
    }
    return sum;
}

namespace {

void consume(MPS::State& state) {
    if (state.isTemporary()) state.setReadCount(state.readCount() - 1);
}

}  // namespace

std::shared_ptr<MPS::CNNConvolutionWeightsAndBiasesState> ConvolutionWeights::update(
    const CommandBuffer& commandBuffer, const std::shared_ptr<MPS::CNNConvolutionGradientState>& gradientState,
    const std::shared_ptr<MPS::CNNConvolutionWeightsAndBiasesState>& sourceState) {
    startUpdate();
    noteExported(commandBuffer, {gradientState});
    consume(*gradientState);
    consume(*sourceState);
    return nullptr;
}

bool ConvolutionWeights::update(const std::shared_ptr<MPS::CNNConvolutionGradientState>& gradientState,
                                const std::shared_ptr<MPS::CNNConvolutionWeightsAndBiasesState>&) {
    ++updates;
    first.take(gradientState, gradientState->gradientForWeights());
    second.take(gradientState, gradientState->gradientForBiases());
    return true;
}

void ConvolutionWeights::noteExported(const CommandBuffer& commandBuffer, const MPS::StateBatch& states) {
    const auto state = std::dynamic_pointer_cast<MPS::CNNConvolutionGradientState>(states.at(0));
    if (!state) throw std::runtime_error("not a state of a convolution");
    first.note(commandBuffer, state, state->gradientForWeights());
    second.note(commandBuffer, state, state->gradientForBiases());
}

std::shared_ptr<MPS::CNNNormalizationGammaAndBetaState> NormalizationWeights::updateGammaAndBeta(
    const CommandBuffer& commandBuffer, const std::shared_ptr<MPS::CNNBatchNormalizationState>& state) {
    startUpdate();
    noteExported(commandBuffer, {state});
    consume(*state);
    return nullptr;
}

bool NormalizationWeights::updateGammaAndBeta(const std::shared_ptr<MPS::CNNBatchNormalizationState>& state) {
    ++updates;
    first.take(state, state->gradientForGamma());
    second.take(state, state->gradientForBeta());
    return true;
}

void NormalizationWeights::noteExported(const CommandBuffer& commandBuffer, const MPS::StateBatch& states) {
    const auto state = std::dynamic_pointer_cast<MPS::CNNBatchNormalizationState>(states.at(0));
    if (!state) throw std::runtime_error("not a state of a batch normalisation");
    first.note(commandBuffer, state, state->gradientForGamma());
    second.note(commandBuffer, state, state->gradientForBeta());
}

}  // namespace pewter::fuzz
