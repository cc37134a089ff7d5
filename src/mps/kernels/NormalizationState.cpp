#include <MPS/CNNNormalizationState.hpp>
#include <MTL/CommandBuffer.hpp>
#include <MTL/Device.hpp>
#include <MTL/Error.hpp>

#include "mps/core/StateAccess.h"

namespace MPS {

using pewter::mps::StateAccess;

namespace {

std::vector<std::shared_ptr<MTL::Resource>> required(const char* who, const char* first,
                                                     std::shared_ptr<MTL::Buffer> a, const char* second,
                                                     std::shared_ptr<MTL::Buffer> b) {
    if (!a) throw Error(who, first, "a buffer", "null");
    if (!b) throw Error(who, second, "a buffer", "null");
    return {std::move(a), std::move(b)};
}

StateResourceList pairOf(const char* who, std::size_t channels) {
    if (channels == 0) throw Error(who, "numberOfFeatureChannels", "at least 1", "0");
    return StateResourceList::bufferSizes({channels * sizeof(float), channels * sizeof(float)});
}

}  // namespace

CNNNormalizationGammaAndBetaState::CNNNormalizationGammaAndBetaState(std::shared_ptr<MTL::Buffer> gamma,
                                                                     std::shared_ptr<MTL::Buffer> beta)
    : State(required("CNNNormalizationGammaAndBetaState", "gamma", std::move(gamma), "beta",
                     std::move(beta))) {}

CNNNormalizationGammaAndBetaState::CNNNormalizationGammaAndBetaState(const StateOwner& owner,
                                                                     std::size_t channels)
    : State(owner, pairOf("CNNNormalizationGammaAndBetaState", channels)) {}

std::shared_ptr<CNNNormalizationGammaAndBetaState> CNNNormalizationGammaAndBetaState::temporaryState(
    const std::shared_ptr<MTL::CommandBuffer>& commandBuffer, std::size_t numberOfFeatureChannels) {
    return std::shared_ptr<CNNNormalizationGammaAndBetaState>(
        new CNNNormalizationGammaAndBetaState(StateOwner::of(commandBuffer), numberOfFeatureChannels));
}

std::shared_ptr<MTL::Buffer> CNNNormalizationGammaAndBetaState::gamma() {
    return StateAccess::buffer(*this, 0);
}
std::shared_ptr<MTL::Buffer> CNNNormalizationGammaAndBetaState::beta() {
    return StateAccess::buffer(*this, 1);
}

CNNNormalizationMeanAndVarianceState::CNNNormalizationMeanAndVarianceState(
    std::shared_ptr<MTL::Buffer> mean, std::shared_ptr<MTL::Buffer> variance)
    : State(required("CNNNormalizationMeanAndVarianceState", "mean", std::move(mean), "variance",
                     std::move(variance))) {}

CNNNormalizationMeanAndVarianceState::CNNNormalizationMeanAndVarianceState(const StateOwner& owner,
                                                                           std::size_t channels)
    : State(owner, pairOf("CNNNormalizationMeanAndVarianceState", channels)) {}

std::shared_ptr<CNNNormalizationMeanAndVarianceState> CNNNormalizationMeanAndVarianceState::temporaryState(
    const std::shared_ptr<MTL::CommandBuffer>& commandBuffer, std::size_t numberOfFeatureChannels) {
    return std::shared_ptr<CNNNormalizationMeanAndVarianceState>(
        new CNNNormalizationMeanAndVarianceState(StateOwner::of(commandBuffer), numberOfFeatureChannels));
}

std::shared_ptr<MTL::Buffer> CNNNormalizationMeanAndVarianceState::mean() {
    return StateAccess::buffer(*this, 0);
}
std::shared_ptr<MTL::Buffer> CNNNormalizationMeanAndVarianceState::variance() {
    return StateAccess::buffer(*this, 1);
}

}  // namespace MPS
