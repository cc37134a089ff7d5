#include <MPS/Archive.hpp>
#include <MPS/Vector.hpp>
#include <MTL/CommandBuffer.hpp>
#include <MTL/Device.hpp>
#include <MTL/Error.hpp>
#include <Pewter/train/DataSources.hpp>
#include <vector>

#include "mtl/Buffer.h"
#include "train/OptimizerDriver.h"

namespace pewter::train {

/// gamma, beta and their optimizer: all that instance and group normalisation learn.
class ScaleAndBias {
public:
    ScaleAndBias(const std::shared_ptr<MTL::Device>& device, const std::string& label, std::size_t channels,
                 const OptimizerSettings& optimizer)
        : label_(label), device_(device), channels_(channels) {
        if (!device) throw MPS::Error("data source " + label, "device", "a device", "null");
        if (channels == 0) throw MPS::Error("data source " + label, "channels", "at least 1", "0");
        allocate();
        optimizer_ = std::make_unique<OptimizerDriver>(device, optimizer, channels, channels);
    }
    explicit ScaleAndBias(MPS::Coder& coder)
        : label_(coder.decodeString("label")),
          device_(coder.device()),
          channels_(coder.decodeFloats("gamma").size()) {
        if (channels_ == 0) coder.refuse("gamma", "at least 1 value", "0");
        allocate();
        restoreFloats(coder, values_[0], channels_, "gamma");
        restoreFloats(coder, values_[1], channels_, "beta");
        optimizer_ = std::make_unique<OptimizerDriver>(coder, channels_, channels_);
    }
    void archive(MPS::Coder& coder) const {
        coder.encodeString(label_, "label");
        archiveFloats(coder, values_[0], channels_, "gamma");
        archiveFloats(coder, values_[1], channels_, "beta");
        optimizer_->archive(coder);
    }

    const float* values(std::size_t which) const {
        return static_cast<const float*>(mtl::currentContents(*values_[which]));
    }
    const std::string& label() const { return label_; }
    std::size_t channels() const { return channels_; }
    OptimizerDriver& optimizer() { return *optimizer_; }

    template <class State>
    std::shared_ptr<MPS::CNNNormalizationGammaAndBetaState> update(
        const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
        const std::vector<std::shared_ptr<State>>& states) {
        const auto gradient = State::batchGradient(commandBuffer, states);
        optimizer_->encode(commandBuffer, {vector(gradient->gamma()), vector(gradient->beta())},
                           {vector(values_[0]), vector(values_[1])});
        // Vectors are seen through their buffers: nobody else reads the sums.
        gradient->setReadCount(0);
        return state_;
    }
    template <class State>
    bool updateNow(const std::vector<std::shared_ptr<State>>& states) {
        runNow(device_, [&](const auto& commandBuffer) { update(commandBuffer, states); });
        return true;
    }

private:
    void allocate() {
        for (const float start : {1.0f, 0.0f}) {
            values_.push_back(device_->newBuffer(channels_ * sizeof(float), MTL::ResourceStorageModeManaged));
            mtl::writeBytes(*values_.back(), 0, std::vector<float>(channels_, start).data(), channels_ * sizeof(float));
        }
        state_ = std::make_shared<MPS::CNNNormalizationGammaAndBetaState>(values_[0], values_[1]);
    }
    std::shared_ptr<MPS::Vector> vector(const std::shared_ptr<MTL::Buffer>& buffer) const {
        return std::make_shared<MPS::Vector>(
            buffer, MPS::VectorDescriptor::vectorDescriptor(channels_, MPS::DataType::Float32));
    }

    std::string label_;
    std::shared_ptr<MTL::Device> device_;
    std::size_t channels_;
    std::vector<std::shared_ptr<MTL::Buffer>> values_;
    std::shared_ptr<MPS::CNNNormalizationGammaAndBetaState> state_;
    std::unique_ptr<OptimizerDriver> optimizer_;
};

// --- instance normalisation ---

InstanceNormalizationDataSource::InstanceNormalizationDataSource(const std::shared_ptr<MTL::Device>& device,
                                                                 const std::string& label,
                                                                 std::size_t channels,
                                                                 const OptimizerSettings& optimizer,
                                                                 float epsilon)
    : epsilon_(epsilon), parameters_(std::make_unique<ScaleAndBias>(device, label, channels, optimizer)) {}

InstanceNormalizationDataSource::InstanceNormalizationDataSource(MPS::Coder& coder)
    : epsilon_(coder.decodeFloat("epsilon")), parameters_(std::make_unique<ScaleAndBias>(coder)) {}

void InstanceNormalizationDataSource::encodeWithCoder(MPS::Coder& coder) const {
    coder.encodeDouble(epsilon_, "epsilon");
    parameters_->archive(coder);
}

InstanceNormalizationDataSource::~InstanceNormalizationDataSource() = default;

std::size_t InstanceNormalizationDataSource::numberOfFeatureChannels() const {
    return parameters_->channels();
}
const float* InstanceNormalizationDataSource::gamma() { return parameters_->values(0); }
const float* InstanceNormalizationDataSource::beta() { return parameters_->values(1); }
std::string InstanceNormalizationDataSource::label() const { return parameters_->label(); }

std::shared_ptr<MPS::CNNNormalizationGammaAndBetaState> InstanceNormalizationDataSource::updateGammaAndBeta(
    const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
    const MPS::CNNInstanceNormalizationGradientStateBatch& states) {
    return parameters_->update(commandBuffer, states);
}

bool InstanceNormalizationDataSource::updateGammaAndBeta(
    const MPS::CNNInstanceNormalizationGradientStateBatch& states) {
    return parameters_->updateNow(states);
}

std::string InstanceNormalizationDataSource::sourceLabel() const { return parameters_->label(); }
void InstanceNormalizationDataSource::setLearningRate(float rate) {
    parameters_->optimizer().setLearningRate(rate);
}
std::size_t InstanceNormalizationDataSource::parameterCount() const { return 2 * parameters_->channels(); }
std::uint64_t InstanceNormalizationDataSource::updateCount() const {
    return parameters_->optimizer().updates();
}

// --- group normalisation ---

GroupNormalizationDataSource::GroupNormalizationDataSource(const std::shared_ptr<MTL::Device>& device,
                                                           const std::string& label, std::size_t channels,
                                                           std::size_t groups,
                                                           const OptimizerSettings& optimizer, float epsilon)
    : groups_(groups),
      epsilon_(epsilon),
      parameters_(std::make_unique<ScaleAndBias>(device, label, channels, optimizer)) {}

GroupNormalizationDataSource::GroupNormalizationDataSource(MPS::Coder& coder)
    : groups_(coder.decodeSize("groups")),
      epsilon_(coder.decodeFloat("epsilon")),
      parameters_(std::make_unique<ScaleAndBias>(coder)) {}

void GroupNormalizationDataSource::encodeWithCoder(MPS::Coder& coder) const {
    coder.encodeUnsigned(groups_, "groups");
    coder.encodeDouble(epsilon_, "epsilon");
    parameters_->archive(coder);
}

GroupNormalizationDataSource::~GroupNormalizationDataSource() = default;

std::size_t GroupNormalizationDataSource::numberOfFeatureChannels() const { return parameters_->channels(); }
const float* GroupNormalizationDataSource::gamma() { return parameters_->values(0); }
const float* GroupNormalizationDataSource::beta() { return parameters_->values(1); }
std::string GroupNormalizationDataSource::label() const { return parameters_->label(); }

std::shared_ptr<MPS::CNNNormalizationGammaAndBetaState> GroupNormalizationDataSource::updateGammaAndBeta(
    const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
    const MPS::CNNGroupNormalizationGradientStateBatch& states) {
    return parameters_->update(commandBuffer, states);
}

bool GroupNormalizationDataSource::updateGammaAndBeta(
    const MPS::CNNGroupNormalizationGradientStateBatch& states) {
    return parameters_->updateNow(states);
}

std::string GroupNormalizationDataSource::sourceLabel() const { return parameters_->label(); }
void GroupNormalizationDataSource::setLearningRate(float rate) {
    parameters_->optimizer().setLearningRate(rate);
}
std::size_t GroupNormalizationDataSource::parameterCount() const { return 2 * parameters_->channels(); }
std::uint64_t GroupNormalizationDataSource::updateCount() const { return parameters_->optimizer().updates(); }

}  // namespace pewter::train
