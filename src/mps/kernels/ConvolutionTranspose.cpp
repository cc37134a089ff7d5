#include <fmt/format.h>

#include <MPS/CNNConvolutionTranspose.hpp>
#include <MTL/CommandBuffer.hpp>
#include <MTL/Device.hpp>
#include <MTL/Error.hpp>
#include <algorithm>

#include "mps/core/ResultStates.h"
#include "mps/core/SharedSources.h"
#include "mps/core/StateAccess.h"
#include "mps/kernels/ConvolutionAccess.h"
#include "mps/kernels/ConvolutionParameters.h"
#include "mps/kernels/ConvolutionRecord.h"
#include "mps/kernels/ConvolutionTransposeRecord.h"
#include "mps/kernels/Neurons.h"

namespace pewter::mps {

void ConvolutionTransposeRecord::describe(std::vector<std::pair<std::string, std::string>>& facts) const {
    ForwardRecord::describe(facts);
    facts.emplace_back("groups", fmt::format("{}", groupsOf(*descriptor)));
    facts.emplace_back("total offset", fmt::format("({}, {})", totalX, totalY));
}

std::shared_ptr<const MPS::CNNConvolutionDescriptor> transposedDescriptor(const LoadedSource& source) {
    auto descriptor = source.descriptor();
    if (const std::size_t scale = descriptor->subPixelScaleFactor(); scale > 1)
        throw MTL::Error(source.who(), "subPixelScaleFactor", "1 for a transposed convolution",
                         fmt::format("{}", scale));
    if (const auto type = source->dataType(); type != MPS::DataType::Float32)
        throw MTL::Error(source.who(), "dataType", "Float32 for a transposed convolution",
                         fmt::format("DataType {:#x}", static_cast<std::uint32_t>(type)));
    return descriptor;
}

ops::Window adjointWindow(const MPS::CNNConvolutionDescriptor& descriptor, std::int64_t totalX,
                          std::int64_t totalY) {
    // Tap r of the rotated window, seen from small pixel j, lies at s j - pad + d r of the large image; the
    // tap's own place is s j = Y + T - floor(K/2) + d (k - 1 - r).
    const auto pad = [](std::size_t taps, std::size_t rate, std::int64_t total) {
        const auto reach = static_cast<std::int64_t>((taps - 1) * rate);
        return total - (reach + 1) / 2 + reach;
    };
    return windowOf(descriptor, pad(descriptor.kernelWidth(), descriptor.dilationRateX(), totalX),
                    pad(descriptor.kernelHeight(), descriptor.dilationRateY(), totalY),
                    MPS::ImageEdgeMode::Zero);
}

}  // namespace pewter::mps

namespace MPS {

namespace ops = pewter::ops;
using namespace pewter::mps;

namespace {

StateBatch batchOf(const CNNConvolutionGradientStateBatch& states) { return {states.begin(), states.end()}; }

StateBatch batchOf(const std::shared_ptr<CNNConvolutionGradientState>& state) {
    return state ? StateBatch{state} : StateBatch{};
}

/// A convolution's own state; a transposed one's knows no image that could be restored.
std::shared_ptr<CNNConvolutionGradientState> convolutionState(const std::shared_ptr<State>& state) {
    if (std::dynamic_pointer_cast<CNNConvolutionTransposeGradientState>(state)) return nullptr;
    return std::dynamic_pointer_cast<CNNConvolutionGradientState>(state);
}

void checkLinked(const Kernel& kernel, const std::shared_ptr<State>& state) {
    const auto linked = convolutionState(state);
    if (!linked)
        throw Error(kernel.name(), "convolutionGradientState", "a CNNConvolutionGradientState",
                    state ? fmt::format("a {}", state->className()) : "null");
    if (!linked->record())
        throw Error(kernel.name(), "convolutionGradientState",
                    "a state that the encode of a convolution has filled", "an empty one");
}

}  // namespace

// --- CNNConvolutionTransposeGradientState ---

CNNConvolutionTransposeGradientState::CNNConvolutionTransposeGradientState(
    const StateOwner& owner, std::size_t weightCount, std::size_t biasCount,
    std::shared_ptr<CNNConvolutionTranspose> transpose, std::shared_ptr<CNNConvolutionGradientState> linked)
    : CNNConvolutionGradientState(owner, weightCount, biasCount, linked ? linked->convolution() : nullptr),
      transpose_(std::move(transpose)),
      linked_(std::move(linked)) {}

ImageDescriptor CNNConvolutionTransposeGradientState::destinationImageDescriptor(
    const std::vector<std::shared_ptr<Image>>& sourceImages, const StateBatch& sourceStates, Kernel& kernel,
    const ImageDescriptor& suggested) {
    return NNGradientState::destinationImageDescriptor(sourceImages, sourceStates, kernel, suggested);
}

// --- CNNConvolutionTranspose ---

CNNConvolutionTranspose::CNNConvolutionTranspose(std::shared_ptr<MTL::Device> kernelDevice,
                                                 std::shared_ptr<CNNConvolutionDataSource> weights)
    : CNNKernel(std::move(kernelDevice)), dataSource_(std::move(weights)) {
    const LoadedSource source(dataSource_.get(), className());
    setLabel(source->label());
    descriptor_ = transposedDescriptor(source);
    setWindow(descriptor_->kernelWidth(), descriptor_->kernelHeight(), descriptor_->strideInPixelsX(),
              descriptor_->strideInPixelsY(), descriptor_->dilationRateX(), descriptor_->dilationRateY());
    parameters_ = std::make_shared<ConvolutionParameters>(device(), source, *descriptor_, true);
}

std::shared_ptr<Kernel> CNNConvolutionTranspose::copy(const std::shared_ptr<MTL::Device>& target) const {
    const std::shared_ptr<CNNConvolutionTranspose> kernel(new CNNConvolutionTranspose(*this));
    if (target) kernel->setDevice(target);
    kernel->parameters_ = std::make_shared<ConvolutionParameters>(*parameters_, kernel->device());
    if (auto source = copyOfSource(dataSource_, kernel->device())) kernel->dataSource_ = std::move(source);
    return kernel;
}

std::size_t CNNConvolutionTranspose::resultFeatureChannels(std::size_t) const {
    return outputFeatureChannels();
}

void CNNConvolutionTranspose::configure(const ForwardRecord& convolution) {
    setOffset({0, 0, offset().z});
    kernelOffsetX_ = -convolution.offset.x + evenWindow(kernelWidth(), dilationRateX());
    kernelOffsetY_ = -convolution.offset.y + evenWindow(kernelHeight(), dilationRateY());
}

ImageDescriptor CNNConvolutionTranspose::adjustDescriptor(
    const std::vector<std::shared_ptr<Image>>& sourceImages, const StateBatch&,
    const ImageDescriptor& suggested) {
    const auto offsetOf = [&](std::size_t extent, std::size_t taps, std::size_t rate, std::size_t stride,
                              Axis axis) {
        return backwardPadding(static_cast<std::int64_t>(extent),
                               static_cast<std::int64_t>((taps - 1) * rate + 1),
                               static_cast<std::int64_t>(stride), padding()->paddingMethod(), axis, name())
            .offset;
    };
    kernelOffsetX_ =
        offsetOf(sourceImages[0]->width(), kernelWidth(), dilationRateX(), strideInPixelsX(), Axis::X);
    kernelOffsetY_ =
        offsetOf(sourceImages[0]->height(), kernelHeight(), dilationRateY(), strideInPixelsY(), Axis::Y);
    return suggested;
}

std::shared_ptr<State> CNNConvolutionTranspose::newResultState(const StateOwner& owner,
                                                               const std::shared_ptr<Image>&,
                                                               const StateBatch& sourceStates,
                                                               const std::shared_ptr<Image>&) {
    std::shared_ptr<CNNConvolutionGradientState> linked;
    for (const auto& state : sourceStates) {
        checkLinked(*this, state);
        linked = convolutionState(state);
    }
    return std::make_shared<CNNConvolutionTransposeGradientState>(
        owner, descriptor_->weightCount(), outputFeatureChannels(),
        std::dynamic_pointer_cast<CNNConvolutionTranspose>(weak_from_this().lock()), std::move(linked));
}

std::shared_ptr<ForwardRecord> CNNConvolutionTranspose::captureRecord(const Image& source,
                                                                      const Image& destination) const {
    auto record = std::make_shared<ConvolutionTransposeRecord>(
        *CNNKernel::captureRecord(source, destination), descriptor_,
        offset().x * static_cast<std::int64_t>(strideInPixelsX()) + kernelOffsetX_,
        offset().y * static_cast<std::int64_t>(strideInPixelsY()) + kernelOffsetY_);
    record->sourceFeatureChannels = inputFeatureChannels();
    return record;
}

void CNNConvolutionTranspose::validate(const UnaryEncoding& encoding) const {
    checkInputChannels(encoding.sourceChannels, inputFeatureChannels(), name(), "sourceImage");
    if (edgeMode() != ImageEdgeMode::Zero)
        throw Error(name(), "edgeMode", "Zero: outside the source of a transposed convolution are zeros",
                    "Clamp");
    for (const auto& state : encoding.sourceStates) checkLinked(*this, state);
    for (const auto& state : encoding.destinationStates) {
        const auto* own = dynamic_cast<const CNNConvolutionTransposeGradientState*>(state.get());
        if (!own)
            throw Error(name(), "destinationState", "a CNNConvolutionTransposeGradientState",
                        fmt::format("a {}", state->className()));
        if (own->convolutionTranspose() && own->convolutionTranspose().get() != this)
            throw Error(name(), "destinationState", "a state made by this kernel",
                        "one made by " + own->convolutionTranspose()->name());
        if (own->weightCount() != descriptor_->weightCount() || own->biasCount() != outputFeatureChannels())
            throw Error(name(), "destinationState",
                        fmt::format("room for {} weights and {} biases", descriptor_->weightCount(),
                                    outputFeatureChannels()),
                        fmt::format("for {} and {}", own->weightCount(), own->biasCount()));
    }
}

void CNNConvolutionTranspose::record(UnaryEncoding& encoding) {
    // States linked to a result state are read like those given for themselves.
    StateBatch linked;
    for (const auto& state : encoding.destinationStates) {
        const auto& own = static_cast<const CNNConvolutionTransposeGradientState&>(*state);
        if (!own.convolutionGradientState()) continue;
        const std::shared_ptr<State> one = own.convolutionGradientState();
        const auto& given = encoding.sourceStates;
        if (std::find(given.begin(), given.end(), one) == given.end()) linked.push_back(one);
    }
    for (const auto& state : linked)
        requireState(*state, name(), "convolutionGradientState", encoding.encoder->commandBuffer(), 1);

    const auto window = adjointWindow(
        *descriptor_, offset().x * static_cast<std::int64_t>(strideInPixelsX()) + kernelOffsetX_,
        offset().y * static_cast<std::int64_t>(strideInPixelsY()) + kernelOffsetY_);
    const auto source = encoding.source.channels(0, static_cast<std::int64_t>(inputFeatureChannels()));
    encoding.encoder->run([source, weights = parameters_->turnedWeights(), biases = parameters_->biases(),
                           destination = encoding.destination, window, groups = groupsOf(*descriptor_),
                           neuron = neuronOf(descriptor_->fusedNeuronDescriptor()),
                           exactness = exactnessOf(*this)] {
        ops::ConvolutionDataGradient op;
        op.exactness = exactness;
        op.diffDst = source.tensor();
        op.weights = weights.tensor();
        op.diffSrc = destination.tensor();
        op.window = window;
        op.groups = groups;
        op.bias = biases.array();
        op.neuron = neuron.neuron;
        return op;
    });
    consumeStates(linked, name());
}

// --- encodes with a linked state ---

std::shared_ptr<Image> CNNConvolutionTranspose::encode(
    const std::shared_ptr<MTL::CommandBuffer>& commandBuffer, const std::shared_ptr<Image>& sourceImage,
    const std::shared_ptr<CNNConvolutionGradientState>& convolutionGradientState) {
    const auto states = batchOf(convolutionGradientState);
    const auto destinations = makeDestinations(commandBuffer, {sourceImage}, states);
    undoOnFailure(destinations, {},
                  [&] { encodeImages(commandBuffer, {sourceImage}, states, {}, destinations, false); });
    return destinations[0];
}

void CNNConvolutionTranspose::encode(
    const std::shared_ptr<MTL::CommandBuffer>& commandBuffer, const std::shared_ptr<Image>& sourceImage,
    const std::shared_ptr<CNNConvolutionGradientState>& convolutionGradientState,
    const std::shared_ptr<Image>& destinationImage) {
    const auto states = batchOf(convolutionGradientState);
    if (!states.empty()) {
        checkLinked(*this, states[0]);
        configure(*convolutionGradientState->record());
    }
    encodeImages(commandBuffer, {sourceImage}, states, {}, {destinationImage}, false);
}

void CNNConvolutionTranspose::encode(
    const std::shared_ptr<MTL::CommandBuffer>& commandBuffer, const std::shared_ptr<Image>& sourceImage,
    const std::shared_ptr<CNNConvolutionTransposeGradientState>& destinationState,
    const std::shared_ptr<Image>& destinationImage) {
    CNNKernel::encode(commandBuffer, sourceImage, std::static_pointer_cast<State>(destinationState),
                      destinationImage);
}

std::shared_ptr<Image> CNNConvolutionTranspose::encode(
    const std::shared_ptr<MTL::CommandBuffer>& commandBuffer, const std::shared_ptr<Image>& sourceImage,
    const std::shared_ptr<CNNConvolutionGradientState>& convolutionGradientState,
    std::shared_ptr<State>* destinationState, bool isTemporary) {
    if (!destinationState) throw Error(name(), "destinationState", "an address for the new state", "null");
    const auto linked = batchOf(convolutionGradientState);
    const auto destinations = makeDestinations(commandBuffer, {sourceImage}, linked);
    StateBatch states;
    undoOnFailure(destinations, states, [&] {
        states = {isTemporary ? temporaryResultState(commandBuffer, sourceImage, linked, destinations[0])
                              : resultState(sourceImage, linked, destinations[0])};
        encodeImages(commandBuffer, {sourceImage}, linked, states, destinations, false);
    });
    *destinationState = states[0];
    return destinations[0];
}

ImageBatch CNNConvolutionTranspose::encodeBatch(
    const std::shared_ptr<MTL::CommandBuffer>& commandBuffer, const ImageBatch& sourceImages,
    const CNNConvolutionGradientStateBatch& convolutionGradientStates) {
    const auto states = batchOf(convolutionGradientStates);
    const auto destinations = makeDestinations(commandBuffer, sourceImages, states);
    undoOnFailure(destinations, {},
                  [&] { encodeImages(commandBuffer, sourceImages, states, {}, destinations, true); });
    return destinations;
}

void CNNConvolutionTranspose::encodeBatch(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
                                          const ImageBatch& sourceImages,
                                          const CNNConvolutionGradientStateBatch& convolutionGradientStates,
                                          const ImageBatch& destinationImages) {
    const auto states = batchOf(convolutionGradientStates);
    if (!states.empty()) {
        checkLinked(*this, states[0]);
        configure(*convolutionGradientStates[0]->record());
    }
    if (destinationImages.size() != sourceImages.size())
        throw Error(name(), "destinationImages",
                    fmt::format("{} images, as many as sources", sourceImages.size()),
                    fmt::format("{}", destinationImages.size()));
    encodeImages(commandBuffer, sourceImages, states, {}, destinationImages, true);
}

ImageBatch CNNConvolutionTranspose::encodeBatch(
    const std::shared_ptr<MTL::CommandBuffer>& commandBuffer, const ImageBatch& sourceImages,
    const CNNConvolutionGradientStateBatch& convolutionGradientStates, StateBatch* destinationStates,
    bool isTemporary) {
    if (!destinationStates) throw Error(name(), "destinationStates", "an address for the new states", "null");
    const auto linked = batchOf(convolutionGradientStates);
    const auto destinations = makeDestinations(commandBuffer, sourceImages, linked);
    const std::vector<StateBatch> sourceStates =
        linked.empty() ? std::vector<StateBatch>{} : std::vector<StateBatch>{linked};
    StateBatch states;
    undoOnFailure(destinations, states, [&] {
        states = isTemporary
                     ? temporaryResultStateBatch(commandBuffer, sourceImages, sourceStates, destinations)
                     : resultStateBatch(sourceImages, sourceStates, destinations);
        encodeImages(commandBuffer, sourceImages, linked, states, destinations, true);
    });
    *destinationStates = states;
    return destinations;
}

// --- parameters ---

void CNNConvolutionTranspose::reloadWeightsAndBiasesFromDataSource() {
    const LoadedSource source(dataSource_.get(), className(), label());
    transposedDescriptor(source);
    parameters_->replace(ConvolutionParameters(device(), source, *descriptor_, true));
}

void CNNConvolutionTranspose::reloadWeightsAndBiases(
    const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
    const std::shared_ptr<CNNConvolutionWeightsAndBiasesState>& state) {
    ConvolutionAccess::reload(*this, *parameters_, *descriptor_, commandBuffer, state);
}

std::shared_ptr<CNNConvolutionWeightsAndBiasesState> CNNConvolutionTranspose::exportWeightsAndBiases(
    const std::shared_ptr<MTL::CommandBuffer>& commandBuffer, bool resultStateCanBeTemporary) {
    return ConvolutionAccess::exported(*this, *parameters_, *descriptor_, commandBuffer,
                                       resultStateCanBeTemporary);
}

}  // namespace MPS

namespace pewter::mps {

void ConvolutionAccess::encodeLinked(MPS::CNNConvolutionTranspose& transpose,
                                     const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
                                     const MPS::ImageBatch& sources,
                                     const MPS::StateBatch& convolutionGradientStates,
                                     const MPS::StateBatch& destinationStates,
                                     const MPS::ImageBatch& destinations, bool batch) {
    transpose.encodeImages(commandBuffer, sources, convolutionGradientStates, destinationStates, destinations,
                           batch);
}

}  // namespace pewter::mps
