#include <fmt/format.h>

#include <MPS/CNNConvolution.hpp>
#include <MPS/CNNConvolutionTranspose.hpp>
#include <MTL/CommandBuffer.hpp>
#include <MTL/Device.hpp>
#include <MTL/Error.hpp>

#include "mps/core/ForwardRecord.h"
#include "mps/core/StateAccess.h"
#include "mps/kernels/ConvolutionAccess.h"
#include "mps/kernels/ConvolutionParameters.h"

namespace MPS {

using pewter::mps::ConvolutionAccess;
using pewter::mps::StateAccess;

namespace {

constexpr const char* kWeightsState = "CNNConvolutionWeightsAndBiasesState";

StateResourceList floatBuffers(std::size_t weights, std::size_t biases) {
    StateResourceList list;
    list.appendBuffer(weights * sizeof(float));
    if (biases > 0) list.appendBuffer(biases * sizeof(float));
    return list;
}

std::vector<std::shared_ptr<MTL::Resource>> present(const std::shared_ptr<MTL::Buffer>& weights,
                                                    const std::shared_ptr<MTL::Buffer>& biases) {
    if (!weights) throw Error(kWeightsState, "weights", "a buffer", "null");
    if (biases && biases->device() != weights->device())
        throw Error(kWeightsState, "biases", "a buffer of device " + weights->device()->name(),
                    "one of device " + biases->device()->name());
    std::vector<std::shared_ptr<MTL::Resource>> buffers{weights};
    if (biases) buffers.push_back(biases);
    return buffers;
}

void checkRange(const MTL::Buffer& buffer, std::size_t offset, std::size_t count, const char* offsetName,
                const char* bufferName) {
    if (offset % sizeof(float) != 0)
        throw Error(kWeightsState, offsetName, "a multiple of 4", fmt::format("{}", offset));
    const std::size_t bytes = count * sizeof(float);
    if (offset > buffer.length() || buffer.length() - offset < bytes)
        throw Error(kWeightsState, bufferName,
                    fmt::format("at least {} bytes, {} from byte {}", offset + bytes, bytes, offset),
                    fmt::format("{} bytes", buffer.length()));
}

const CNNConvolutionDescriptor& checked(const CNNConvolutionDescriptor& descriptor) {
    pewter::mps::checkDescriptor(descriptor, kWeightsState);
    return descriptor;
}

}  // namespace

// --- CNNConvolutionGradientState ---

CNNConvolutionGradientState::CNNConvolutionGradientState(const StateOwner& owner, std::size_t weightCount,
                                                         std::size_t biasCount,
                                                         std::shared_ptr<CNNConvolution> convolution)
    : NNGradientState(owner, floatBuffers(weightCount, biasCount)),
      convolution_(std::move(convolution)),
      weightCount_(weightCount),
      biasCount_(biasCount) {}

std::shared_ptr<MTL::Buffer> CNNConvolutionGradientState::gradientForWeights() {
    return StateAccess::buffer(*this, 0);
}
std::shared_ptr<MTL::Buffer> CNNConvolutionGradientState::gradientForBiases() {
    return StateAccess::buffer(*this, 1);
}

ImageDescriptor CNNConvolutionGradientState::destinationImageDescriptor(
    const std::vector<std::shared_ptr<Image>>& sourceImages, const StateBatch& sourceStates, Kernel& kernel,
    const ImageDescriptor& suggested) {
    auto* transpose = dynamic_cast<CNNConvolutionTranspose*>(&kernel);
    if (!transpose)
        return NNGradientState::destinationImageDescriptor(sourceImages, sourceStates, kernel, suggested);
    if (!record()) return suggested;
    transpose->configure(*record());
    ImageDescriptor descriptor = suggested;
    descriptor.width = record()->sourceWidth;
    descriptor.height = record()->sourceHeight;
    return descriptor;
}

CNNConvolutionGradientStateBatch convolutionGradientStates(const StateBatch& states) {
    CNNConvolutionGradientStateBatch batch;
    for (const auto& state : states) {
        batch.push_back(std::dynamic_pointer_cast<CNNConvolutionGradientState>(state));
        if (!batch.back())
            throw Error("convolutionGradientStates", "states", "CNNConvolutionGradientState objects",
                        state ? fmt::format("a {}", state->className()) : "null");
    }
    return batch;
}

// --- CNNConvolutionWeightsAndBiasesState ---

CNNConvolutionWeightsAndBiasesState::CNNConvolutionWeightsAndBiasesState(std::shared_ptr<MTL::Buffer> weights,
                                                                         std::shared_ptr<MTL::Buffer> biases)
    : State(present(weights, biases)),
      weightCount_(weights->length() / sizeof(float)),
      biasCount_(biases ? biases->length() / sizeof(float) : 0) {}

CNNConvolutionWeightsAndBiasesState::CNNConvolutionWeightsAndBiasesState(
    const std::shared_ptr<MTL::Device>& device, const CNNConvolutionDescriptor& descriptor)
    : CNNConvolutionWeightsAndBiasesState(StateOwner::of(device), checked(descriptor).weightCount(),
                                          descriptor.outputFeatureChannels()) {}

CNNConvolutionWeightsAndBiasesState::CNNConvolutionWeightsAndBiasesState(
    std::shared_ptr<MTL::Buffer> weights, std::size_t weightsOffset, std::shared_ptr<MTL::Buffer> biases,
    std::size_t biasesOffset, const CNNConvolutionDescriptor& descriptor)
    : State(present(weights, biases)),
      weightsOffset_(weightsOffset),
      biasesOffset_(biasesOffset),
      weightCount_(checked(descriptor).weightCount()),
      biasCount_(biases ? descriptor.outputFeatureChannels() : 0) {
    checkRange(*weights, weightsOffset, weightCount_, "weightsOffset", "weights");
    if (biases) checkRange(*biases, biasesOffset, biasCount_, "biasesOffset", "biases");
}

CNNConvolutionWeightsAndBiasesState::CNNConvolutionWeightsAndBiasesState(const StateOwner& owner,
                                                                         std::size_t weightCount,
                                                                         std::size_t biasCount)
    : State(owner, floatBuffers(weightCount, biasCount)), weightCount_(weightCount), biasCount_(biasCount) {}

std::shared_ptr<CNNConvolutionWeightsAndBiasesState>
CNNConvolutionWeightsAndBiasesState::temporaryCNNConvolutionWeightsAndBiasesState(
    const std::shared_ptr<MTL::CommandBuffer>& commandBuffer, const CNNConvolutionDescriptor& descriptor) {
    if (!commandBuffer) throw Error(kWeightsState, "commandBuffer", "a command buffer", "null");
    return std::make_shared<CNNConvolutionWeightsAndBiasesState>(
        StateOwner::of(commandBuffer), checked(descriptor).weightCount(), descriptor.outputFeatureChannels());
}

std::shared_ptr<MTL::Buffer> CNNConvolutionWeightsAndBiasesState::weights() {
    return StateAccess::buffer(*this, 0);
}

std::shared_ptr<MTL::Buffer> CNNConvolutionWeightsAndBiasesState::biases() {
    return biasCount_ > 0 ? StateAccess::buffer(*this, 1) : nullptr;
}

}  // namespace MPS

namespace pewter::mps {

namespace {

ArrayRef floatRun(std::shared_ptr<MTL::Buffer> buffer, std::size_t offset, std::size_t count) {
    return {std::move(buffer), offset, ops::Type::Float32, static_cast<std::int64_t>(count)};
}

}  // namespace

ArrayRef ConvolutionAccess::weights(MPS::CNNConvolutionWeightsAndBiasesState& state) {
    return floatRun(state.weights(), state.weightsOffset_, state.weightCount_);
}

ArrayRef ConvolutionAccess::biases(MPS::CNNConvolutionWeightsAndBiasesState& state) {
    return floatRun(state.biases(), state.biasesOffset_, state.biasCount_);
}

ArrayRef ConvolutionAccess::gradientForWeights(MPS::CNNConvolutionGradientState& state) {
    return floatRun(state.gradientForWeights(), 0, state.weightCount());
}

ArrayRef ConvolutionAccess::gradientForBiases(MPS::CNNConvolutionGradientState& state) {
    return floatRun(state.gradientForBiases(), 0, state.biasCount());
}

}  // namespace pewter::mps
