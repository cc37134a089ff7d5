#include <fmt/format.h>

#include <MPS/CNNBatchNormalization.hpp>
#include <MTL/Device.hpp>
#include <MTL/Error.hpp>

#include "mps/core/Checks.h"
#include "mps/core/SharedSources.h"
#include "mps/kernels/BatchNormalizationAccess.h"
#include "mps/kernels/Neurons.h"
#include "mps/kernels/NormalizationReload.h"
#include "mps/kernels/Pointwise.h"

namespace MPS {

using namespace pewter::mps;
namespace ops = pewter::ops;
using Access = BatchNormalizationAccess;

// --- data source ---

CNNBatchNormalizationDataSource::~CNNBatchNormalizationDataSource() = default;

namespace {

void consumeOne(const std::shared_ptr<CNNBatchNormalizationState>& state) {
    if (state && state->isTemporary()) state->setReadCount(state->readCount() - 1);
}

}  // namespace

std::shared_ptr<CNNNormalizationGammaAndBetaState> CNNBatchNormalizationDataSource::updateGammaAndBeta(
    const std::shared_ptr<MTL::CommandBuffer>&, const std::shared_ptr<CNNBatchNormalizationState>& state) {
    reportMissingUpdate(reportedMissingUpdate_, "CNNBatchNormalizationDataSource", label());
    consumeOne(state);
    return nullptr;
}

std::shared_ptr<CNNNormalizationMeanAndVarianceState> CNNBatchNormalizationDataSource::updateMeanAndVariance(
    const std::shared_ptr<MTL::CommandBuffer>&, const std::shared_ptr<CNNBatchNormalizationState>& state) {
    consumeOne(state);
    return nullptr;
}

bool CNNBatchNormalizationDataSource::updateGammaAndBeta(const std::shared_ptr<CNNBatchNormalizationState>&) {
    return false;
}

bool CNNBatchNormalizationDataSource::updateMeanAndVariance(
    const std::shared_ptr<CNNBatchNormalizationState>&) {
    return false;
}

std::shared_ptr<CNNBatchNormalizationDataSource> CNNBatchNormalizationDataSource::copy(
    const std::shared_ptr<MTL::Device>&) const {
    return nullptr;
}

// --- kernel ---

CNNBatchNormalization::CNNBatchNormalization(std::shared_ptr<MTL::Device> device,
                                             std::shared_ptr<CNNBatchNormalizationDataSource> dataSource)
    : CNNBatchNormalization(std::move(device), std::move(dataSource), NNNeuronDescriptor()) {}

CNNBatchNormalization::CNNBatchNormalization(std::shared_ptr<MTL::Device> device,
                                             std::shared_ptr<CNNBatchNormalizationDataSource> dataSource,
                                             const NNNeuronDescriptor& fusedNeuronDescriptor)
    : CNNKernel(std::move(device)),
      dataSource_(std::move(dataSource)),
      neuron_(fusedNeuronDescriptor),
      parameters_(std::make_shared<BatchNormalizationParameters>()) {
    if (!dataSource_) throw Error(name(), "dataSource", "a data source", "null");
    parameters_->label = dataSource_->label();
    setLabel(parameters_->label);
    reload(*dataSource_, true, true);
    checkNeuron(neuron_, parameters_->channels, name(), "fusedNeuronDescriptor");
}

void CNNBatchNormalization::reload(CNNBatchNormalizationDataSource& dataSource, bool gammaAndBeta,
                                   bool meanAndVariance) {
    // Changed together or not at all; work under way keeps the old buffers.
    auto next = *parameters_;
    whileLoaded(dataSource, name(), [&] {
        const auto channels = dataSource.numberOfFeatureChannels();
        if (channels == 0) throw Error(name(), "dataSource.numberOfFeatureChannels", "at least 1", "0");
        if (next.channels != 0 && channels != next.channels)
            throw Error(name(), "dataSource.numberOfFeatureChannels", fmt::format("{}", next.channels),
                        fmt::format("{}", channels));
        next.channels = channels;
        if (gammaAndBeta) {
            next.gamma = parameterBuffer(device(), dataSource.gamma(), 1, channels);
            next.beta = parameterBuffer(device(), dataSource.beta(), 0, channels);
        }
        if (meanAndVariance) {
            next.mean = parameterBuffer(device(), dataSource.mean(), 0, channels);
            next.variance = parameterBuffer(device(), dataSource.variance(), 1, channels);
        }
        if (gammaAndBeta && meanAndVariance) next.epsilon = dataSource.epsilon();
    });
    *parameters_ = std::move(next);
}

std::size_t CNNBatchNormalization::numberOfFeatureChannels() const { return parameters_->channels; }
float CNNBatchNormalization::epsilon() const { return parameters_->epsilon; }
void CNNBatchNormalization::setEpsilon(float epsilon) { parameters_->epsilon = epsilon; }

void CNNBatchNormalization::reloadGammaAndBetaFromDataSource() { reload(*dataSource_, true, false); }
void CNNBatchNormalization::reloadMeanAndVarianceFromDataSource() { reload(*dataSource_, false, true); }

void CNNBatchNormalization::reloadDataSource(
    const std::shared_ptr<CNNBatchNormalizationDataSource>& dataSource) {
    if (!dataSource) throw Error(name(), "dataSource", "a data source", "null");
    reload(*dataSource, true, true);
}

void CNNBatchNormalization::reloadGammaAndBeta(
    const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
    const std::shared_ptr<CNNNormalizationGammaAndBetaState>& state) {
    encodeReload(*this, parameters_->channels, commandBuffer, state, "gammaAndBetaState",
                 {parameters_->gamma, parameters_->beta});
}

void CNNBatchNormalization::reloadMeanAndVariance(
    const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
    const std::shared_ptr<CNNNormalizationMeanAndVarianceState>& state) {
    encodeReload(*this, parameters_->channels, commandBuffer, state, "meanAndVarianceState",
                 {parameters_->mean, parameters_->variance});
}

std::shared_ptr<Kernel> CNNBatchNormalization::copy(const std::shared_ptr<MTL::Device>& device) const {
    auto copy = std::shared_ptr<CNNBatchNormalization>(new CNNBatchNormalization(*this));
    if (device) copy->setDevice(device);
    if (auto source = copyOfSource(dataSource_, copy->device())) copy->dataSource_ = source;
    copy->parameters_ = std::make_shared<BatchNormalizationParameters>(*parameters_);
    auto& p = *copy->parameters_;
    for (auto* buffer : {&p.gamma, &p.beta, &p.mean, &p.variance})
        *buffer = parameterBuffer(copy->device(), **buffer, p.channels);
    return copy;
}

std::shared_ptr<State> CNNBatchNormalization::newResultState(const StateOwner& owner,
                                                             const std::shared_ptr<Image>& sourceImage,
                                                             const StateBatch&,
                                                             const std::shared_ptr<Image>&) {
    const std::size_t element = sourceImage->featureChannelFormat() == ImageFeatureChannelFormat::Float64
                                    ? sizeof(double)
                                    : sizeof(float);
    return std::make_shared<CNNBatchNormalizationState>(
        owner, std::dynamic_pointer_cast<CNNBatchNormalization>(weak_from_this().lock()), parameters_,
        element);
}

void CNNBatchNormalization::encode(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
                                   const std::shared_ptr<Image>& sourceImage,
                                   const std::shared_ptr<CNNBatchNormalizationState>& state,
                                   const std::shared_ptr<Image>& destinationImage) {
    if (!state) throw Error(name(), "batchNormalizationState", "a CNNBatchNormalizationState", "null");
    encodeImages(commandBuffer, {sourceImage}, {state}, {}, {destinationImage}, false);
    state->setRecord(captureRecord(*sourceImage, *destinationImage));
}

void CNNBatchNormalization::encodeBatch(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
                                        const ImageBatch& sourceImages,
                                        const std::shared_ptr<CNNBatchNormalizationState>& state,
                                        const ImageBatch& destinationImages) {
    if (!state) throw Error(name(), "batchNormalizationState", "a CNNBatchNormalizationState", "null");
    if (destinationImages.size() != sourceImages.size())
        throw Error(name(), "destinationImages",
                    fmt::format("{} images, as many as sources", sourceImages.size()),
                    fmt::format("{}", destinationImages.size()));
    encodeImages(commandBuffer, sourceImages, StateBatch(sourceImages.size(), state), {}, destinationImages,
                 true);
    if (!sourceImages.empty()) state->setRecord(captureRecord(*sourceImages[0], *destinationImages[0]));
}

void CNNBatchNormalization::validate(const UnaryEncoding& encoding) const {
    if (!encoding.destinationStates.empty())
        throw Error(name(), "destinationState", "an encode with a batch normalisation state",
                    "one of the inherited forms with a result state");
    if (encoding.sourceChannels.count != parameters_->channels)
        throw Error(name(), "sourceImage", fmt::format("{} feature channels", parameters_->channels),
                    fmt::format("{}", encoding.sourceChannels.count));
    for (const auto& state : encoding.sourceStates) {
        const auto* own = dynamic_cast<const CNNBatchNormalizationState*>(state.get());
        if (!own)
            throw Error(name(), "batchNormalizationState", "a CNNBatchNormalizationState",
                        fmt::format("a {}", state->className()));
        if (&Access::parameters(*own) != parameters_.get())
            throw Error(
                name(), "batchNormalizationState", "a state that this kernel made",
                fmt::format("one made by CNNBatchNormalization '{}'", Access::parameters(*own).label));
    }
}

void CNNBatchNormalization::record(UnaryEncoding& encoding) {
    const auto& states = encoding.sourceStates;
    encoding.encoder->run([source = pointwiseSource(encoding, *this), destination = encoding.destination,
                           arrays = states.empty() ? Access::arrays(*this)
                                                   : Access::arrays(static_cast<CNNBatchNormalizationState&>(*states[0])),
                           neuron = neuronOf(neuron_)] {
        ops::BatchNormalizationForward op;
        arrays.putInto(op);
        op.src = source.tensor();
        op.dst = destination.tensor();
        op.neuron = neuron.neuron;
        return op;
    });
}

}  // namespace MPS
