#include <fmt/format.h>

#include <MPS/CNNInstanceNormalization.hpp>
#include <MTL/Device.hpp>
#include <MTL/Error.hpp>

#include "mps/core/Geometry.h"
#include "mps/core/SharedSources.h"
#include "mps/kernels/GroupNormalizationAccess.h"
#include "mps/kernels/NormalizationReload.h"

namespace MPS {

using namespace pewter::mps;

// --- data source ---

CNNInstanceNormalizationDataSource::~CNNInstanceNormalizationDataSource() = default;

std::shared_ptr<CNNNormalizationGammaAndBetaState> CNNInstanceNormalizationDataSource::updateGammaAndBeta(
    const std::shared_ptr<MTL::CommandBuffer>&, const CNNInstanceNormalizationGradientStateBatch& states) {
    reportMissingUpdate(reportedMissingUpdate_, "CNNInstanceNormalizationDataSource", label());
    consumeEach(states, "CNNInstanceNormalizationDataSource");
    return nullptr;
}

bool CNNInstanceNormalizationDataSource::updateGammaAndBeta(
    const CNNInstanceNormalizationGradientStateBatch&) {
    return false;
}

std::shared_ptr<CNNInstanceNormalizationDataSource> CNNInstanceNormalizationDataSource::copy(
    const std::shared_ptr<MTL::Device>&) const {
    return nullptr;
}

// --- state ---

CNNInstanceNormalizationGradientState::CNNInstanceNormalizationGradientState(
    const StateOwner& owner, const std::shared_ptr<CNNInstanceNormalization>& kernel,
    std::shared_ptr<GroupNormalizationParameters> parameters, std::size_t images, std::size_t bytesPerValue)
    : CNNNormalizationGradientState(owner, std::move(parameters), images, bytesPerValue), kernel_(kernel) {}

std::shared_ptr<CNNInstanceNormalization> CNNInstanceNormalizationGradientState::instanceNormalization()
    const {
    return kernel_.lock();
}

// --- kernel ---

CNNInstanceNormalization::CNNInstanceNormalization(
    std::shared_ptr<MTL::Device> device, std::shared_ptr<CNNInstanceNormalizationDataSource> dataSource)
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

void CNNInstanceNormalization::reload(CNNInstanceNormalizationDataSource& dataSource) {
    const auto channels = parameters_->channels;
    if (dataSource.numberOfFeatureChannels() != channels)
        throw Error(name(), "dataSource.numberOfFeatureChannels", fmt::format("{}", channels),
                    fmt::format("{}", dataSource.numberOfFeatureChannels()));
    const auto groups = channels;
    checkGroups(*this, channels, groups);
    // Changed together or not at all; work under way keeps the old buffers.
    std::shared_ptr<MTL::Buffer> gamma, beta;
    whileLoaded(dataSource, name(), [&] {
        gamma = parameterBuffer(device(), dataSource.gamma(), 1, channels);
        beta = parameterBuffer(device(), dataSource.beta(), 0, channels);
    });
    parameters_->groups = groups;
    parameters_->gamma = std::move(gamma);
    parameters_->beta = std::move(beta);
}

std::size_t CNNInstanceNormalization::numberOfFeatureChannels() const { return parameters_->channels; }
float CNNInstanceNormalization::epsilon() const { return parameters_->epsilon; }
void CNNInstanceNormalization::setEpsilon(float epsilon) { parameters_->epsilon = epsilon; }

void CNNInstanceNormalization::reloadGammaAndBetaFromDataSource() { reload(*dataSource_); }

void CNNInstanceNormalization::reloadDataSource(
    const std::shared_ptr<CNNInstanceNormalizationDataSource>& dataSource) {
    if (!dataSource) throw Error(name(), "dataSource", "a data source", "null");
    reload(*dataSource);
    parameters_->epsilon = dataSource->epsilon();
}

void CNNInstanceNormalization::reloadGammaAndBeta(
    const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
    const std::shared_ptr<CNNNormalizationGammaAndBetaState>& state) {
    encodeReload(*this, parameters_->channels, commandBuffer, state, "gammaAndBetaState",
                 {parameters_->gamma, parameters_->beta});
}

std::shared_ptr<Kernel> CNNInstanceNormalization::copy(const std::shared_ptr<MTL::Device>& device) const {
    auto copy = std::shared_ptr<CNNInstanceNormalization>(new CNNInstanceNormalization(*this));
    if (device) copy->setDevice(device);
    if (auto source = copyOfSource(dataSource_, copy->device())) copy->dataSource_ = source;
    copy->parameters_ = std::make_shared<GroupNormalizationParameters>(*parameters_);
    auto& p = *copy->parameters_;
    for (auto* buffer : {&p.gamma, &p.beta}) *buffer = parameterBuffer(copy->device(), **buffer, p.channels);
    return copy;
}

std::shared_ptr<State> CNNInstanceNormalization::newResultState(
    const StateOwner& owner, const std::shared_ptr<Image>& sourceImage, const StateBatch&,
    const std::shared_ptr<Image>& destinationImage) {
    const auto images = resolveImages(offset(), clipRect(), sourceImage->numberOfImages(),
                                      destinationImage->numberOfImages(), name());
    const auto bytes = sourceImage->featureChannelFormat() == ImageFeatureChannelFormat::Float64
                           ? sizeof(double)
                           : sizeof(float);
    return std::make_shared<CNNInstanceNormalizationGradientState>(
        owner, std::dynamic_pointer_cast<CNNInstanceNormalization>(weak_from_this().lock()), parameters_,
        images, bytes);
}

void CNNInstanceNormalization::validate(const UnaryEncoding& encoding) const {
    validateNormalization(*this, encoding, *parameters_, "CNNInstanceNormalizationGradientState");
}

void CNNInstanceNormalization::record(UnaryEncoding& encoding) {
    recordNormalization(encoding, *parameters_);
}

// --- gradient ---

CNNInstanceNormalizationGradient::CNNInstanceNormalizationGradient(std::shared_ptr<MTL::Device> device)
    : CNNSampleNormalizationGradient(std::move(device), "CNNInstanceNormalization") {}

std::shared_ptr<Kernel> CNNInstanceNormalizationGradient::copy(
    const std::shared_ptr<MTL::Device>& device) const {
    auto copy =
        std::shared_ptr<CNNInstanceNormalizationGradient>(new CNNInstanceNormalizationGradient(*this));
    if (device) copy->setDevice(device);
    return copy;
}

}  // namespace MPS
