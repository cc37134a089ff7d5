#include <fmt/format.h>

#include <MPS/CNNConvolution.hpp>
#include <MTL/CommandBuffer.hpp>
#include <MTL/Device.hpp>
#include <MTL/Error.hpp>

#include "mps/core/ImageAccess.h"
#include "mps/core/SharedSources.h"
#include "mps/core/StateAccess.h"
#include "mps/kernels/ConvolutionAccess.h"
#include "mps/kernels/ConvolutionParameters.h"
#include "mps/kernels/ConvolutionRecord.h"
#include "mps/kernels/GradientOption.h"
#include "mps/kernels/GradientStates.h"

namespace MPS {

namespace ops = pewter::ops;
using namespace pewter::mps;

namespace {

std::int64_t dilated(std::size_t taps, std::size_t rate) {
    return static_cast<std::int64_t>((taps - 1) * rate + 1);
}

CNNConvolutionGradientState* convolutionState(const std::shared_ptr<State>& state) {
    return dynamic_cast<CNNConvolutionGradientState*>(state.get());
}

std::string regionText(std::uint64_t width, std::uint64_t height) {
    return fmt::format("{} x {}", width, height);
}

}  // namespace

CNNConvolutionGradient::CNNConvolutionGradient(std::shared_ptr<MTL::Device> device,
                                               std::shared_ptr<CNNConvolutionDataSource> weights)
    : CNNConvolutionGradient(std::move(device), std::move(weights), "CNNConvolutionGradient") {}

CNNConvolutionGradient::CNNConvolutionGradient(std::shared_ptr<MTL::Device> kernelDevice,
                                               std::shared_ptr<CNNConvolutionDataSource> weights,
                                               const char* className)
    : CNNGradientKernel(std::move(kernelDevice)), dataSource_(std::move(weights)) {
    const LoadedSource source(dataSource_.get(), className);
    setLabel(source->label());
    descriptor_ = source.descriptor();
    checkTrainable(*descriptor_, source.who());
    for (auto* geometry : {&primaryGeometry(), &secondaryGeometry()}) {
        geometry->kernelWidth = descriptor_->kernelWidth();
        geometry->kernelHeight = descriptor_->kernelHeight();
        geometry->strideInPixelsX = descriptor_->strideInPixelsX();
        geometry->strideInPixelsY = descriptor_->strideInPixelsY();
        geometry->dilationRateX = descriptor_->dilationRateX();
        geometry->dilationRateY = descriptor_->dilationRateY();
    }
}

std::shared_ptr<CNNConvolutionGradient> CNNConvolutionGradient::clone() const {
    return std::shared_ptr<CNNConvolutionGradient>(new CNNConvolutionGradient(*this));
}

std::shared_ptr<Kernel> CNNConvolutionGradient::copy(const std::shared_ptr<MTL::Device>& target) const {
    auto kernel = clone();
    if (target) kernel->setDevice(target);
    if (parameters_)
        kernel->parameters_ = std::make_shared<ConvolutionParameters>(*parameters_, kernel->device());
    if (auto source = copyOfSource(dataSource_, kernel->device())) kernel->dataSource_ = std::move(source);
    return kernel;
}

// --- geometry ---

bool CNNConvolutionGradient::accepts(const State& state) const {
    return dynamic_cast<const CNNConvolutionGradientState*>(&state) != nullptr;
}

std::size_t CNNConvolutionGradient::resultFeatureChannels(std::size_t, std::size_t) const {
    return sourceImageFeatureChannels();
}

void CNNConvolutionGradient::configure(const ForwardRecord& forward) {
    CNNGradientKernel::configure(forward);
    const std::int64_t width = forward.windowWidth(), height = forward.windowHeight();
    auto& p = primaryGeometry();
    auto& s = secondaryGeometry();
    p.offset = {0, 0, 0};
    s.offset = {forward.offset.x - width / 2, forward.offset.y - height / 2, forward.offset.z};
    p.kernelWidth = forward.kernelWidth;
    p.kernelHeight = forward.kernelHeight;
    p.dilationRateX = forward.dilationX;
    p.dilationRateY = forward.dilationY;
    setKernelOffsetX(-forward.offset.x + (width % 2 == 0 ? 1 : 0));
    setKernelOffsetY(-forward.offset.y + (height % 2 == 0 ? 1 : 0));
}

ImageDescriptor CNNConvolutionGradient::adjustDescriptor(
    const std::vector<std::shared_ptr<Image>>& sourceImages, const StateBatch& sourceStates,
    const ImageDescriptor& suggested) {
    // The gradient of a convolution that wrote a slice of a wider image may come as wide (core.md GRD-10).
    const auto* state = sourceStates.empty() ? nullptr : convolutionState(sourceStates[0]);
    const std::size_t channels = sourceImages[0]->featureChannels(), own = sourceGradientFeatureChannels();
    if (state && state->record() && channels >= own) {
        auto& p = primaryGeometry();
        p.featureChannelOffset = channels > own ? state->record()->destinationFeatureChannelOffset : 0;
        p.featureChannelMaxCount = channels > own ? own : std::numeric_limits<std::size_t>::max();
    }
    return suggested;
}

void CNNConvolutionGradient::validate(const BinaryEncoding& encoding) const {
    for (const auto& given : encoding.sourceStates) {
        const auto* state = convolutionState(given);
        if (!state)
            throw Error(name(), "gradientState", "a CNNConvolutionGradientState",
                        fmt::format("a {}", given->className()));
        const auto* record = dynamic_cast<const ConvolutionRecord*>(state->record().get());
        if (!record)
            throw Error(name(), "gradientState", "a state that the encode of a convolution has filled",
                        state->record() ? "one of " + state->record()->kernel : "an empty one");
        if (geometryOf(*record->descriptor) != geometryOf(*descriptor_))
            throw Error(name(), "gradientState", "one of a convolution of " + geometryOf(*descriptor_),
                        fmt::format("one of {} of {}", record->kernel, geometryOf(*record->descriptor)));
        if (encoding.primaryWidth != record->clip.size.width ||
            encoding.primaryHeight != record->clip.size.height)
            throw Error(name(), "sourceGradient",
                        regionText(record->clip.size.width, record->clip.size.height) +
                            " pixels, the forward clip rectangle",
                        regionText(encoding.primaryWidth, encoding.primaryHeight));
        if (encoding.secondaryWidth != record->sourceWidth ||
            encoding.secondaryHeight != record->sourceHeight)
            throw Error(name(), "sourceImage",
                        regionText(record->sourceWidth, record->sourceHeight) + " pixels, the forward source",
                        regionText(encoding.secondaryWidth, encoding.secondaryHeight));
    }
    if (encoding.primaryChannels.count != sourceGradientFeatureChannels())
        throw Error(name(), "sourceGradient",
                    fmt::format("{} feature channels", sourceGradientFeatureChannels()),
                    fmt::format("{}", encoding.primaryChannels.count));
    checkInputChannels(encoding.secondaryChannels, sourceImageFeatureChannels(), name(), "sourceImage");
}

// --- commands ---

void CNNConvolutionGradient::record(BinaryEncoding& encoding) {
    encoding.secondary =
        encoding.secondary.channels(0, static_cast<std::int64_t>(sourceImageFeatureChannels()));
    const bool weights = hasWeights(option_);
    const bool data = option_ & CNNConvolutionGradientOptionGradientWithData;
    if (data && !encoding.destinations.empty()) recordData(encoding);
    if (!weights && !encoding.destinations.empty()) return;

    // Images that name the same state one after another are one sum.
    forEachStateRun(encoding, [&](State& given) {
        auto& state = static_cast<CNNConvolutionGradientState&>(given);
        recordWeights(encoding, state);
        ConvolutionAccess::setHasGradients(state);
    });
}

void CNNConvolutionGradient::recordWeights(BinaryEncoding& encoding, CNNConvolutionGradientState& state) {
    auto window = windowOf(*descriptor_, -secondaryOffset().x, -secondaryOffset().y, secondaryEdgeMode());
    window.strideX = static_cast<std::int64_t>(secondaryStrideInPixelsX());
    window.strideY = static_cast<std::int64_t>(secondaryStrideInPixelsY());
    encoding.encoder->run([source = encoding.secondary, gradient = encoding.primary, window,
                           groups = groupsOf(*descriptor_),
                           shape = ConvolutionAccess::weightShape(*descriptor_),
                           weights = ConvolutionAccess::gradientForWeights(state),
                           biases = gradientForBiases(option_, state), add = state.hasGradients(),
                           exactness = exactnessOf(*this)] {
        ops::ConvolutionWeightsGradient op;
        op.exactness = exactness;
        op.src = source.tensor();
        op.diffDst = gradient.tensor();
        op.diffWeights = weights.tensor(shape.n, shape.h, shape.w, shape.c);
        op.diffBias = biases.array();
        op.window = window;
        op.groups = groups;
        op.accumulate = add;
        return op;
    });
}

void CNNConvolutionGradient::recordData(BinaryEncoding& encoding) {
    const std::int64_t width = dilated(descriptor_->kernelWidth(), descriptor_->dilationRateX());
    const std::int64_t height = dilated(descriptor_->kernelHeight(), descriptor_->dilationRateY());
    const auto strideX = static_cast<std::int64_t>(primaryStrideInPixelsX());
    const auto strideY = static_cast<std::int64_t>(primaryStrideInPixelsY());
    // The window over the zero-filled gradient starts at t - floor(K/2) and its taps run backwards: tap r of
    // the forward window reads s j + floor(K/2) - (K - 1) - t + d r.
    auto window = windowOf(
        *descriptor_, width - 1 - width / 2 + primaryOffset().x * strideX + kernelOffsetX(),
        height - 1 - height / 2 + primaryOffset().y * strideY + kernelOffsetY(), secondaryEdgeMode());
    window.strideX = strideX;
    window.strideY = strideY;
    const auto result = encoding.encoder->wholeGradient(encoding.destination, encoding.clip,
                                                        static_cast<std::int64_t>(encoding.secondaryWidth),
                                                        static_cast<std::int64_t>(encoding.secondaryHeight));
    const bool accumulate = ConvolutionAccess::addsToDestination(*this);
    // Memory of the encoder's own holds nothing to add to.
    if (accumulate && result.buffer != ImageAccess::tensor(*encoding.destinations[0], 0, 1).buffer)
        throw Error(name(), "destinationGradient", "images in one piece, as large as the source image, to add to",
                    encoding.destinations[0]->description());
    const auto* state = encoding.sourceStates.empty() ? nullptr : convolutionState(encoding.sourceStates[0]);
    encoding.encoder->run([gradient = encoding.primary, weights = parameters(state).weights(), result, window,
                           groups = groupsOf(*descriptor_), accumulate, exactness = exactnessOf(*this)] {
        ops::ConvolutionDataGradient op;
        op.exactness = exactness;
        op.diffDst = gradient.tensor();
        op.weights = weights.tensor();
        op.diffSrc = result.tensor();
        op.window = window;
        op.groups = groups;
        op.accumulate = accumulate;
        return op;
    });
}

void CNNConvolutionGradient::encodeWeightGradients(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
                                                   const ImageBatch& sourceGradients,
                                                   const ImageBatch& sourceImages,
                                                   const StateBatch& gradientStates) {
    if (gradientStates.size() != sourceGradients.size())
        throw Error(name(), "gradientState",
                    fmt::format("{} states, one for each image", sourceGradients.size()),
                    fmt::format("{}", gradientStates.size()));
    for (const auto& state : gradientStates)
        if (!convolutionState(state))
            throw Error(name(), "gradientState", "a CNNConvolutionGradientState",
                        state ? fmt::format("a {}", state->className()) : "null");
    encodeWithoutResult(commandBuffer, sourceGradients, sourceImages, gradientStates);
}

// --- parameters ---

ConvolutionParameters& CNNConvolutionGradient::parameters(const CNNConvolutionGradientState* state) {
    if (!parameters_) {
        const auto& forward =
            state && state->convolution() ? state->convolution()->dataSource() : dataSource_;
        const LoadedSource source(forward.get(), className(), label());
        parameters_ = std::make_shared<ConvolutionParameters>(device(), source, *descriptor_);
    }
    return *parameters_;
}

void CNNConvolutionGradient::reloadWeightsAndBiasesFromDataSource() {
    const LoadedSource source(dataSource_.get(), className(), label());
    if (parameters_)
        parameters_->replace(ConvolutionParameters(device(), source, *descriptor_));
    else
        parameters_ = std::make_shared<ConvolutionParameters>(device(), source, *descriptor_);
}

void CNNConvolutionGradient::reloadWeightsAndBiases(
    const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
    const std::shared_ptr<CNNConvolutionWeightsAndBiasesState>& state) {
    ConvolutionAccess::reload(*this, parameters(nullptr), *descriptor_, commandBuffer, state);
}

}  // namespace MPS

namespace pewter::mps {

ops::Tensor ConvolutionAccess::weightShape(const MPS::CNNConvolutionDescriptor& descriptor) {
    return ops::Tensor::dense(nullptr, ops::Type::Float32,
                              static_cast<std::int64_t>(descriptor.outputFeatureChannels()),
                              static_cast<std::int64_t>(descriptor.kernelHeight()),
                              static_cast<std::int64_t>(descriptor.kernelWidth()),
                              static_cast<std::int64_t>(descriptor.inputChannelsPerGroup()));
}

}  // namespace pewter::mps
