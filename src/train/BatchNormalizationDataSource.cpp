#include <MPS/Vector.hpp>
#include <MTL/CommandBuffer.hpp>
#include <MTL/Device.hpp>
#include <MTL/Error.hpp>
#include <Pewter/train/DataSources.hpp>
#include <tuple>
#include <vector>

#include "mtl/Buffer.h"
#include "train/OptimizerDriver.h"

namespace pewter::train {

namespace {

std::shared_ptr<MTL::Buffer> filled(const std::shared_ptr<MTL::Device>& device, std::size_t count, float value) {
    auto buffer = device->newBuffer(count * sizeof(float), MTL::ResourceStorageModeManaged);
    mtl::writeBytes(*buffer, 0, std::vector<float>(count, value).data(), buffer->length());
    return buffer;
}

const float* floats(const std::shared_ptr<MTL::Buffer>& buffer) {
    return static_cast<const float*>(mtl::currentContents(*buffer));
}

/// The moving average written as an optimizer step: v - rate (g + scale v) with rate -(1 - momentum) and scale -1 is
/// momentum v + (1 - momentum) g.
MPS::NNOptimizerDescriptor averaging(float momentum) {
    return MPS::NNOptimizerDescriptor::optimizerDescriptor(-(1 - momentum), 1, MPS::NNRegularizationType::L2, -1);
}

}  // namespace

BatchNormalizationDataSource::BatchNormalizationDataSource(const std::shared_ptr<MTL::Device>& device,
                                                           const std::string& label, std::size_t channels,
                                                           const OptimizerSettings& optimizer, float epsilon,
                                                           float momentum)
    : label_(label), channels_(channels), epsilon_(epsilon), device_(device) {
    if (!device) throw MPS::Error("data source " + label, "device", "a device", "null");
    allocate();
    optimizer_ = std::make_unique<OptimizerDriver>(device, optimizer, channels, channels);
    average_ = std::make_shared<MPS::NNOptimizerStochasticGradientDescent>(device, 0.0f, false, averaging(momentum));
}

BatchNormalizationDataSource::~BatchNormalizationDataSource() = default;

void BatchNormalizationDataSource::allocate() {
    gamma_ = filled(device_, channels_, 1);
    beta_ = filled(device_, channels_, 0);
    mean_ = filled(device_, channels_, 0);
    variance_ = filled(device_, channels_, 1);
    parameters_ = std::make_shared<MPS::CNNNormalizationGammaAndBetaState>(gamma_, beta_);
    statistics_ = std::make_shared<MPS::CNNNormalizationMeanAndVarianceState>(mean_, variance_);
}

const float* BatchNormalizationDataSource::gamma() { return floats(gamma_); }
const float* BatchNormalizationDataSource::beta() { return floats(beta_); }
const float* BatchNormalizationDataSource::mean() { return floats(mean_); }
const float* BatchNormalizationDataSource::variance() { return floats(variance_); }

std::shared_ptr<MPS::CNNNormalizationGammaAndBetaState> BatchNormalizationDataSource::updateGammaAndBeta(
    const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
    const std::shared_ptr<MPS::CNNBatchNormalizationState>& state) {
    optimizer_->encode(commandBuffer, std::tie(state), parameters_);
    return parameters_;
}

std::shared_ptr<MPS::CNNNormalizationMeanAndVarianceState> BatchNormalizationDataSource::updateMeanAndVariance(
    const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
    const std::shared_ptr<MPS::CNNBatchNormalizationState>& state) {
    const auto descriptor = MPS::VectorDescriptor::vectorDescriptor(channels_, MPS::DataType::Float32);
    const auto vector = [&](const std::shared_ptr<MTL::Buffer>& buffer) {
        return std::make_shared<MPS::Vector>(buffer, descriptor);
    };
    const std::shared_ptr<MPS::Vector> none;
    for (const auto& [batch, stored] : {std::pair{state->mean(), mean_}, {state->variance(), variance_}}) {
        const auto values = vector(stored);
        average_->encode(commandBuffer, vector(batch), values, none, values);
    }
    // Vectors are seen through their buffers: the read of the state is this method's own to give back.
    if (state->isTemporary()) state->setReadCount(state->readCount() - 1);
    return statistics_;
}

bool BatchNormalizationDataSource::updateGammaAndBeta(
    const std::shared_ptr<MPS::CNNBatchNormalizationState>& state) {
    runNow(device_, [&](const auto& commandBuffer) { updateGammaAndBeta(commandBuffer, state); });
    return true;
}

bool BatchNormalizationDataSource::updateMeanAndVariance(
    const std::shared_ptr<MPS::CNNBatchNormalizationState>& state) {
    runNow(device_, [&](const auto& commandBuffer) { updateMeanAndVariance(commandBuffer, state); });
    return true;
}

void BatchNormalizationDataSource::setLearningRate(float rate) { optimizer_->setLearningRate(rate); }
std::uint64_t BatchNormalizationDataSource::updateCount() const { return optimizer_->updates(); }

}  // namespace pewter::train
