#include <fmt/format.h>

#include <MPS/CNNGroupNormalization.hpp>
#include <MTL/Device.hpp>
#include <MTL/Error.hpp>

#include "mps/core/Geometry.h"
#include "mps/core/SharedSources.h"
#include "mps/kernels/GroupNormalizationAccess.h"
#include "mps/kernels/NormalizationReload.h"

namespace MPS {

using namespace pewter::mps;

// --- data source ---

CNNGroupNormalizationDataSource::~CNNGroupNormalizationDataSource() = default;

std::shared_ptr<CNNNormalizationGammaAndBetaState> CNNGroupNormalizationDataSource::updateGammaAndBeta(
    const std::shared_ptr<MTL::CommandBuffer>&, const CNNGroupNormalizationGradientStateBatch& states) {
    reportMissingUpdate(reportedMissingUpdate_, "CNNGroupNormalizationDataSource", label());
    consumeEach(states, "CNNGroupNormalizationDataSource");
    return nullptr;
}

bool CNNGroupNormalizationDataSource::updateGammaAndBeta(const CNNGroupNormalizationGradientStateBatch&) {
    return false;
}

std::shared_ptr<CNNGroupNormalizationDataSource> CNNGroupNormalizationDataSource::copy(
    const std::shared_ptr<MTL::Device>&) const {
    return nullptr;
}

// --- state ---

CNNGroupNormalizationGradientState::CNNGroupNormalizationGradientState(
    const StateOwner& owner, const std::shared_ptr<CNNGroupNormalization>& kernel,
    std::shared_ptr<GroupNormalizationParameters> parameters, std::size_t images, std::size_t bytesPerValue)
    : CNNNormalizationGradientState(owner, std::move(parameters), images, bytesPerValue), kernel_(kernel) {}

std::shared_ptr<CNNGroupNormalization> CNNGroupNormalizationGradientState::groupNormalization() const {
    return kernel_.lock();
}

// --- kernel ---

CNNGroupNormalization::CNNGroupNormalization(std::shared_ptr<MTL::Device> device,
                                             std::shared_ptr<CNNGroupNormalizationDataSource> dataSource)
    : CNNKernel(std::move(device)),
      dataSource_(std::move(dataSource)),
      parameters_(std::make_shared<GroupNormalizationParameters>()) {
    if (!dataSource_) throw Error(name(), "dataSource", "a data source", "null");
    parameters_->channels = dataSource_->numberOfFeatureChannels();
    parameters_->label = dataSource_->label();
    parameters_->epsilon = dataSource_->epsilon();
    setLabel(parameters_->label);
    reload(*dataSource_);
}

void CNNGroupNormalization::reload(CNNGroupNormalizationDataSource& dataSource) {
    const auto channels = parameters_->channels;
    if (dataSource.numberOfFeatureChannels() != channels)
        throw Error(name(), "dataSource.numberOfFeatureChannels", fmt::format("{}", channels),
                    fmt::format("{}", dataSource.numberOfFeatureChannels()));
    const auto groups = dataSource.numberOfGroups();
    checkGroups(*this, channels, groups);
    // Changed together or not at all; work under way keeps the old buffers.
    auto gamma = parameterBuffer(device(), dataSource.gamma(), 1, channels);
    auto beta = parameterBuffer(device(), dataSource.beta(), 0, channels);
    parameters_->groups = groups;
    parameters_->gamma = std::move(gamma);
    parameters_->beta = std::move(beta);
}

std::size_t CNNGroupNormalization::numberOfFeatureChannels() const { return parameters_->channels; }
std::size_t CNNGroupNormalization::numberOfGroups() const { return parameters_->groups; }
float CNNGroupNormalization::epsilon() const { return parameters_->epsilon; }
void CNNGroupNormalization::setEpsilon(float epsilon) { parameters_->epsilon = epsilon; }

void CNNGroupNormalization::reloadGammaAndBetaFromDataSource() { reload(*dataSource_); }

void CNNGroupNormalization::reloadGammaAndBeta(
    const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
    const std::shared_ptr<CNNNormalizationGammaAndBetaState>& state) {
    encodeReload(*this, parameters_->channels, commandBuffer, state, "gammaAndBetaState",
                 {parameters_->gamma, parameters_->beta});
}

std::shared_ptr<Kernel> CNNGroupNormalization::copy(const std::shared_ptr<MTL::Device>& device) const {
    auto copy = std::shared_ptr<CNNGroupNormalization>(new CNNGroupNormalization(*this));
    if (device) copy->setDevice(device);
    if (auto source = copyOfSource(dataSource_, copy->device())) copy->dataSource_ = source;
    copy->parameters_ = std::make_shared<GroupNormalizationParameters>(*parameters_);
    auto& p = *copy->parameters_;
    for (auto* buffer : {&p.gamma, &p.beta}) *buffer = parameterBuffer(copy->device(), **buffer, p.channels);
    return copy;
}

std::shared_ptr<State> CNNGroupNormalization::newResultState(const StateOwner& owner,
                                                             const std::shared_ptr<Image>& sourceImage,
                                                             const StateBatch&,
                                                             const std::shared_ptr<Image>& destinationImage) {
    const auto images = resolveImages(offset(), clipRect(), sourceImage->numberOfImages(),
                                      destinationImage->numberOfImages(), name());
    const auto bytes = sourceImage->featureChannelFormat() == ImageFeatureChannelFormat::Float64
                           ? sizeof(double)
                           : sizeof(float);
    return std::make_shared<CNNGroupNormalizationGradientState>(
        owner, std::dynamic_pointer_cast<CNNGroupNormalization>(weak_from_this().lock()), parameters_, images,
        bytes);
}

void CNNGroupNormalization::validate(const UnaryEncoding& encoding) const {
    validateNormalization(*this, encoding, *parameters_, "CNNGroupNormalizationGradientState");
}

void CNNGroupNormalization::record(UnaryEncoding& encoding) { recordNormalization(encoding, *parameters_); }

// --- gradient ---

CNNGroupNormalizationGradient::CNNGroupNormalizationGradient(std::shared_ptr<MTL::Device> device)
    : CNNSampleNormalizationGradient(std::move(device), "CNNGroupNormalization") {}

std::shared_ptr<Kernel> CNNGroupNormalizationGradient::copy(
    const std::shared_ptr<MTL::Device>& device) const {
    auto copy = std::shared_ptr<CNNGroupNormalizationGradient>(new CNNGroupNormalizationGradient(*this));
    if (device) copy->setDevice(device);
    return copy;
}

}  // namespace MPS
