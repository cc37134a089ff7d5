#include <fmt/format.h>

#include <MPS/CNNNormalizationState.hpp>
#include <MTL/CommandBuffer.hpp>
#include <MTL/Device.hpp>
#include <MTL/Error.hpp>
#include <algorithm>
#include <atomic>

#include "mps/core/Checks.h"
#include "mps/core/Encoder.h"
#include "mps/core/StateAccess.h"
#include "mps/kernels/GroupNormalizationAccess.h"
#include "mps/kernels/NormalizationReload.h"
#include "mtl/Buffer.h"
#include "mtl/Diagnostics.h"

namespace pewter::mps {

using MTL::Error;

std::shared_ptr<MTL::Buffer> parameterBuffer(const std::shared_ptr<MTL::Device>& device, const float* values,
                                             float missing, std::size_t count) {
    auto buffer = device->newBuffer(count * sizeof(float), MTL::ResourceStorageModeManaged);
    const std::vector<float> constant(values ? 0 : count, missing);
    mtl::writeBytes(*buffer, 0, values ? values : constant.data(), count * sizeof(float));
    return buffer;
}

std::shared_ptr<MTL::Buffer> parameterBuffer(const std::shared_ptr<MTL::Device>& device, MTL::Buffer& values,
                                             std::size_t count) {
    return device->newBuffer(mtl::currentContents(values), count * sizeof(float), MTL::ResourceStorageModeManaged);
}

void reportMissingUpdate(bool& reported, const char* protocol, const std::string& label) {
    // Graphs on several threads may share the source.
    if (std::atomic_ref<bool>(reported).exchange(true)) return;
    mtl::diagnose(
        fmt::format("{} '{}': no update on the device is implemented, gamma and beta stay as they are.",
                    protocol, label));
}

void encodeReload(const MPS::Kernel& kernel, std::size_t channels,
                  const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
                  const std::shared_ptr<MPS::State>& state, const char* argument,
                  const std::pair<std::shared_ptr<MTL::Buffer>, std::shared_ptr<MTL::Buffer>>& to) {
    checkCommandBuffer(kernel, commandBuffer);
    if (!state) throw Error(kernel.name(), argument, "a state", "null");
    requireState(*state, kernel.name(), argument, *commandBuffer, 1);
    for (const std::size_t i : {0u, 1u})
        if (state->bufferSize(i) < channels * sizeof(float))
            throw Error(kernel.name(), argument, fmt::format("{} values of float32", channels),
                        fmt::format("{} bytes", state->bufferSize(i)));
    Encoder encoder(*commandBuffer, kernel);
    for (const std::size_t i : {0u, 1u}) {
        const auto count = static_cast<std::int64_t>(channels);
        const auto from = StateAccess::array(*state, i, count);
        const ArrayRef target{i == 0 ? to.first : to.second, 0, ops::Type::Float32, count};
        // Some clients write into the kernel's own buffers.
        if (from.buffer == target.buffer) continue;
        encoder.run([from, target] {
            ops::ArrayCopy op;
            op.src = from.array();
            op.dst = target.array();
            return op;
        });
    }
    encoder.finish();
    consumeStates({state}, kernel.name());
}

}  // namespace pewter::mps

namespace MPS {

using namespace pewter::mps;
namespace ops = pewter::ops;

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

// --- gradient states of instance and group normalisation ---

using Access = GroupNormalizationAccess;

namespace {

std::vector<std::size_t> sizesOf(const GroupNormalizationParameters& p, std::size_t images,
                                 std::size_t bytesPerValue) {
    const std::size_t statistics = images * p.groups * sizeof(double), gradient = p.channels * bytesPerValue;
    return {statistics, statistics, gradient, gradient};
}

}  // namespace

CNNNormalizationGradientState::CNNNormalizationGradientState(
    const StateOwner& owner, std::shared_ptr<GroupNormalizationParameters> parameters, std::size_t images,
    std::size_t bytesPerValue)
    : NNGradientState(owner, StateResourceList::bufferSizes(sizesOf(*parameters, images, bytesPerValue))),
      parameters_(std::move(parameters)),
      gamma_(parameters_->gamma),
      beta_(parameters_->beta),
      groups_(parameters_->groups),
      images_(images) {}

std::shared_ptr<MTL::Buffer> CNNNormalizationGradientState::gamma() const {
    return filled_ ? gamma_ : parameters_->gamma;
}
std::shared_ptr<MTL::Buffer> CNNNormalizationGradientState::beta() const {
    return filled_ ? beta_ : parameters_->beta;
}
std::shared_ptr<MTL::Buffer> CNNNormalizationGradientState::gradientForGamma() {
    return StateAccess::buffer(*this, Access::GradientForGamma);
}
std::shared_ptr<MTL::Buffer> CNNNormalizationGradientState::gradientForBeta() {
    return StateAccess::buffer(*this, Access::GradientForBeta);
}

void CNNNormalizationGradientState::describe(Facts& facts) const {
    NNGradientState::describe(facts);
    facts.emplace_back("channels", fmt::format("{}", parameters_->channels));
    facts.emplace_back("groups", fmt::format("{}", groups_));
    facts.emplace_back("has gradients", differentiated_ ? "yes" : "no");
}

std::shared_ptr<CNNNormalizationGammaAndBetaState> CNNNormalizationGradientState::sumOf(
    const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
    const std::vector<std::shared_ptr<CNNNormalizationGradientState>>& states) {
    const char* const who = "CNNNormalizationGradientState batchGradient";
    if (!commandBuffer) throw Error(who, "commandBuffer", "a command buffer", "null");
    if (states.empty()) throw Error(who, "states", "at least one state", "none");
    StateBatch batch;
    for (const auto& state : states) {
        if (!state) throw Error(who, "states", "states", "null");
        requireState(*state, who, "states", *commandBuffer, 1);
        if (!Access::hasGradients(*state))
            throw Error(who, "states", "states that a gradient encode has filled", state->description());
        if (state->parameters_->channels != states[0]->parameters_->channels ||
            Access::gradientType(*state) != Access::gradientType(*states[0]))
            throw Error(who, "states", fmt::format("{} channels in each", states[0]->parameters_->channels),
                        fmt::format("{}", state->parameters_->channels));
        if (std::find(batch.begin(), batch.end(), state) == batch.end()) batch.push_back(state);
    }
    const auto channels = static_cast<std::int64_t>(states[0]->parameters_->channels);
    const auto type = Access::gradientType(*states[0]);
    auto result =
        CNNNormalizationGammaAndBetaState::temporaryState(commandBuffer, static_cast<std::size_t>(channels));
    Encoder encoder(*commandBuffer, who, StateAccess::device(*states[0]));
    for (const std::size_t i : {0u, 1u}) {
        const std::size_t slot = i == 0 ? Access::GradientForGamma : Access::GradientForBeta;
        auto all = StateAccess::together(batch, slot, type, 1, 1, channels);
        if (!all) {
            all = encoder.scratch(type, static_cast<std::int64_t>(batch.size()), 1, 1, channels);
            for (std::size_t k = 0; k < batch.size(); ++k)
                encoder.run([from = StateAccess::array(*batch[k], slot, channels, type),
                             to = all.images(static_cast<std::int64_t>(k), 1), channels] {
                    ops::Copy op;
                    op.src = from.tensor(1, 1, 1, channels);
                    op.dst = to.tensor();
                    return op;
                });
        }
        encoder.run([all, sum = StateAccess::array(*result, i, channels), channels] {
            ops::ArithmeticGradient op;
            op.diffDst = all.tensor();
            op.diffSrc = sum.tensor(1, 1, 1, channels);
            return op;
        });
    }
    encoder.finish();
    consumeStates(batch, who);
    return result;
}

}  // namespace MPS
