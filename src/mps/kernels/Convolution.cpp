#include <fmt/format.h>

#include <MPS/CNNConvolution.hpp>
#include <MTL/CommandBuffer.hpp>
#include <MTL/Device.hpp>
#include <MTL/Error.hpp>

#include "mps/core/Checks.h"
#include "mps/core/SharedSources.h"
#include "mps/core/StateAccess.h"
#include "mps/kernels/ConvolutionAccess.h"
#include "mps/kernels/ConvolutionParameters.h"
#include "mps/kernels/ConvolutionRecord.h"
#include "mps/kernels/Neurons.h"

namespace pewter::mps {

void ConvolutionRecord::describe(std::vector<std::pair<std::string, std::string>>& facts) const {
    ForwardRecord::describe(facts);
    facts.emplace_back("groups", fmt::format("{}", groupsOf(*descriptor)));
}

ops::Window windowOf(const MPS::CNNConvolutionDescriptor& descriptor, std::int64_t padLeft,
                     std::int64_t padTop, MPS::ImageEdgeMode edge) {
    ops::Window window;
    window.width = static_cast<std::int64_t>(descriptor.kernelWidth());
    window.height = static_cast<std::int64_t>(descriptor.kernelHeight());
    window.strideX = static_cast<std::int64_t>(descriptor.strideInPixelsX());
    window.strideY = static_cast<std::int64_t>(descriptor.strideInPixelsY());
    window.dilationX = static_cast<std::int64_t>(descriptor.dilationRateX());
    window.dilationY = static_cast<std::int64_t>(descriptor.dilationRateY());
    window.padLeft = padLeft;
    window.padTop = padTop;
    window.edge = edgeOf(edge);
    return window;
}

std::int64_t groupsOf(const MPS::CNNConvolutionDescriptor& descriptor) {
    return static_cast<std::int64_t>(descriptor.channelMultiplier() > 0 ? descriptor.inputFeatureChannels()
                                                                        : descriptor.groups());
}

ops::Exactness exactnessOf(const MPS::Kernel& kernel) {
    if (kernel.options() & MPS::KernelOptionsDirectConvolution) return ops::Exactness::Products;
    return kernel.options() & MPS::KernelOptionsAllowReducedPrecision ? ops::Exactness::Reduced
                                                                      : ops::Exactness::Transformed;
}

void checkInputChannels(const ChannelWindow& channels, std::size_t expected, const std::string& who,
                        const char* argument) {
    if (channels.count == expected || (channels.first > 0 && channels.count > expected)) return;
    throw MTL::Error(who, argument, fmt::format("{} feature channels", expected),
                     channels.first > 0 ? fmt::format("{} from channel {}", channels.count, channels.first)
                                        : fmt::format("{}", channels.count));
}

}  // namespace pewter::mps

namespace MPS {

namespace ops = pewter::ops;
using namespace pewter::mps;

namespace {

void encodeCopy(Encoder& encoder, const TensorRef& from, const TensorRef& to) {
    encoder.run([from, to] {
        ops::Copy op;
        op.src = from.tensor();
        op.dst = to.tensor();
        return op;
    });
}

/// to(Y, X, c) = from(Y / r, X / r, P (r (Y mod r) + X mod r) + c), with P the channels of `to`.
void encodeDepthToSpace(Encoder& encoder, const TensorRef& from, const TensorRef& to, std::int64_t r) {
    const ops::Tensor& shape = to.shape;
    // The r blocks of channels that make one row of a pixel block lie side by side, and so do its pixels.
    const bool rows = shape.strideC == 1 && shape.strideW == shape.c && shape.w % r == 0;
    for (std::int64_t a = 0; a < std::min(r, shape.h); ++a)
        for (std::int64_t b = 0; b < (rows ? 1 : std::min(r, shape.w)); ++b) {
            TensorRef part = to.shifted(a * shape.strideH + b * shape.strideW);
            part.shape.h = (shape.h - a + r - 1) / r;
            part.shape.w = (shape.w - b + r - 1) / r;
            part.shape.c = rows ? r * shape.c : shape.c;
            part.shape.strideH = shape.strideH * r;
            part.shape.strideW = shape.strideW * r;
            encodeCopy(
                encoder,
                from.region(0, 0, part.shape.w, part.shape.h).channels(shape.c * (r * a + b), part.shape.c),
                part);
        }
}

}  // namespace

CNNConvolution::CNNConvolution(std::shared_ptr<MTL::Device> device,
                               std::shared_ptr<CNNConvolutionDataSource> weights)
    : CNNConvolution(std::move(device), std::move(weights), "CNNConvolution") {}

CNNConvolution::CNNConvolution(std::shared_ptr<MTL::Device> kernelDevice,
                               std::shared_ptr<CNNConvolutionDataSource> weights, const char* className)
    : CNNKernel(std::move(kernelDevice)), dataSource_(std::move(weights)) {
    const LoadedSource source(dataSource_.get(), className);
    setLabel(source->label());
    descriptor_ = source.descriptor();
    setWindow(descriptor_->kernelWidth(), descriptor_->kernelHeight(), descriptor_->strideInPixelsX(),
              descriptor_->strideInPixelsY(), descriptor_->dilationRateX(), descriptor_->dilationRateY());
    parameters_ = std::make_shared<ConvolutionParameters>(device(), source, *descriptor_);
}

CNNConvolution::CNNConvolution(std::shared_ptr<MTL::Device> device,
                               const CNNConvolutionDescriptor& descriptor, const float* kernelWeights,
                               const float* biasTerms, CNNConvolutionFlags)
    : CNNConvolution(std::move(device), arraySource(descriptor, kernelWeights, biasTerms, "CNNConvolution"),
                     "CNNConvolution") {}

std::shared_ptr<CNNConvolution> CNNConvolution::clone() const {
    return std::shared_ptr<CNNConvolution>(new CNNConvolution(*this));
}

std::shared_ptr<Kernel> CNNConvolution::copy(const std::shared_ptr<MTL::Device>& target) const {
    auto kernel = clone();
    if (target) kernel->setDevice(target);
    kernel->parameters_ = std::make_shared<ConvolutionParameters>(*parameters_, kernel->device());
    if (auto source = copyOfSource(dataSource_, kernel->device())) kernel->dataSource_ = std::move(source);
    return kernel;
}

std::size_t CNNConvolution::resultFeatureChannels(std::size_t) const {
    return outputFeatureChannels() / (subPixelScaleFactor() * subPixelScaleFactor());
}

ImageDescriptor CNNConvolution::adjustDescriptor(const std::vector<std::shared_ptr<Image>>&,
                                                 const StateBatch&, const ImageDescriptor& suggested) {
    ImageDescriptor larger = suggested;
    larger.width *= subPixelScaleFactor();
    larger.height *= subPixelScaleFactor();
    return larger;
}

std::shared_ptr<State> CNNConvolution::newResultState(const StateOwner& owner, const std::shared_ptr<Image>&,
                                                      const StateBatch&, const std::shared_ptr<Image>&) {
    return std::make_shared<CNNConvolutionGradientState>(
        owner, descriptor_->weightCount(), outputFeatureChannels(),
        std::dynamic_pointer_cast<CNNConvolution>(weak_from_this().lock()));
}

std::shared_ptr<ForwardRecord> CNNConvolution::captureRecord(const Image& source,
                                                             const Image& destination) const {
    auto record =
        std::make_shared<ConvolutionRecord>(*CNNKernel::captureRecord(source, destination), descriptor_);
    record->sourceFeatureChannels = inputFeatureChannels();
    return record;
}

void CNNConvolution::validate(const UnaryEncoding& encoding) const {
    checkInputChannels(encoding.sourceChannels, inputFeatureChannels(), name(), "sourceImage");
    for (const auto& state : encoding.destinationStates) {
        const auto* own = dynamic_cast<const CNNConvolutionGradientState*>(state.get());
        if (!own)
            throw Error(name(), "destinationState", "a CNNConvolutionGradientState",
                        fmt::format("a {}", state->className()));
        if (own->convolution() && own->convolution().get() != this)
            throw Error(name(), "destinationState", "a state made by this kernel",
                        "one made by " + own->convolution()->name());
        if (own->weightCount() != descriptor_->weightCount() || own->biasCount() != outputFeatureChannels())
            throw Error(name(), "destinationState",
                        fmt::format("room for {} weights and {} biases", descriptor_->weightCount(),
                                    outputFeatureChannels()),
                        fmt::format("for {} and {}", own->weightCount(), own->biasCount()));
    }
}

void CNNConvolution::record(UnaryEncoding& encoding) {
    const auto window = windowOf(
        *descriptor_, static_cast<std::int64_t>((kernelWidth() - 1) * dilationRateX() + 1) / 2 - offset().x,
        static_cast<std::int64_t>((kernelHeight() - 1) * dilationRateY() + 1) / 2 - offset().y, edgeMode());
    const auto source = encoding.source.channels(0, static_cast<std::int64_t>(inputFeatureChannels()));
    const auto scale = static_cast<std::int64_t>(subPixelScaleFactor());
    const auto& destination = encoding.destination;
    TensorRef result = destination;
    if (scale > 1) {
        // Rounded to the destination's type once, with the rearrangement.
        const auto type =
            destination.shape.type == ops::Type::Float64 ? ops::Type::Float64 : ops::Type::Float32;
        result = encoding.encoder->scratch(
            type, destination.shape.n, (destination.shape.h + scale - 1) / scale,
            (destination.shape.w + scale - 1) / scale, static_cast<std::int64_t>(outputFeatureChannels()));
    }
    encoding.encoder->run([source, weights = parameters_->weights(), biases = parameters_->biases(), result,
                           window, groups = groupsOf(*descriptor_),
                           neuron = neuronOf(fusedNeuronDescriptor()), exactness = exactnessOf(*this)] {
        ops::ConvolutionForward op;
        op.src = source.tensor();
        op.weights = weights.tensor();
        op.bias = biases.array();
        op.dst = result.tensor();
        op.window = window;
        op.groups = groups;
        op.neuron = neuron.neuron;
        op.exactness = exactness;
        return op;
    });
    if (scale > 1) encodeDepthToSpace(*encoding.encoder, result, destination, scale);
}

// --- parameters ---

void CNNConvolution::reloadWeightsAndBiasesFromDataSource() {
    const LoadedSource source(dataSource_.get(), className(), label());
    parameters_->replace(ConvolutionParameters(device(), source, *descriptor_));
}

void CNNConvolution::reloadWeightsAndBiases(const std::shared_ptr<CNNConvolutionDataSource>&) {
    reloadWeightsAndBiasesFromDataSource();
}

void CNNConvolution::reloadWeightsAndBiases(
    const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
    const std::shared_ptr<CNNConvolutionWeightsAndBiasesState>& state) {
    ConvolutionAccess::reload(*this, *parameters_, *descriptor_, commandBuffer, state);
}

std::shared_ptr<CNNConvolutionWeightsAndBiasesState> CNNConvolution::exportWeightsAndBiases(
    const std::shared_ptr<MTL::CommandBuffer>& commandBuffer, bool resultStateCanBeTemporary) {
    return ConvolutionAccess::exported(*this, *parameters_, *descriptor_, commandBuffer,
                                       resultStateCanBeTemporary);
}

}  // namespace MPS

namespace pewter::mps {

void ConvolutionAccess::reload(const MPS::Kernel& kernel, ConvolutionParameters& parameters,
                               const MPS::CNNConvolutionDescriptor& descriptor,
                               const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
                               const std::shared_ptr<MPS::CNNConvolutionWeightsAndBiasesState>& state) {
    checkCommandBuffer(kernel, commandBuffer);
    if (!state) throw MTL::Error(kernel.name(), "state", "a CNNConvolutionWeightsAndBiasesState", "null");
    requireState(*state, kernel.name(), "state", *commandBuffer, 1);
    if (state->weightCount() != descriptor.weightCount())
        throw MTL::Error(kernel.name(), "state", fmt::format("{} weights", descriptor.weightCount()),
                         fmt::format("{}", state->weightCount()));
    if (state->biasCount() != 0 && state->biasCount() != descriptor.outputFeatureChannels())
        throw MTL::Error(kernel.name(), "state",
                         fmt::format("{} biases, or none", descriptor.outputFeatureChannels()),
                         fmt::format("{}", state->biasCount()));
    Encoder encoder(*commandBuffer, kernel);
    parameters.encodeReload(encoder, weights(*state), state->biasCount() > 0 ? biases(*state) : ArrayRef());
    encoder.finish();
    consumeStates({state}, kernel.name());
}

std::shared_ptr<MPS::CNNConvolutionWeightsAndBiasesState> ConvolutionAccess::exported(
    const MPS::Kernel& kernel, const ConvolutionParameters& parameters,
    const MPS::CNNConvolutionDescriptor& descriptor, const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
    bool temporary) {
    checkCommandBuffer(kernel, commandBuffer);
    const auto owner = temporary ? MPS::StateOwner::of(commandBuffer) : MPS::StateOwner::of(kernel.device());
    const auto state = std::make_shared<MPS::CNNConvolutionWeightsAndBiasesState>(
        owner, descriptor.weightCount(), descriptor.outputFeatureChannels());
    StateAccess::setMaker(*state, kernel.name());
    Encoder encoder(*commandBuffer, kernel);
    const auto copy = [&](const ArrayRef& from, const ArrayRef& to) {
        encoder.run([from, to] {
            ops::ArrayCopy op;
            op.src = from.array();
            op.dst = to.array();
            return op;
        });
    };
    copy(parameters.rawWeights(), weights(*state));
    copy(parameters.rawBiases(), biases(*state));
    encoder.finish();
    return state;
}

template <class Forward>
std::shared_ptr<MPS::CNNConvolutionWeightsAndBiasesState> ConvolutionAccess::borrowed(
    Forward& forward, const std::shared_ptr<MTL::CommandBuffer>& commandBuffer) {
    auto& parameters = *forward.parameters_;
    if (parameters.isFolded()) return forward.exportWeightsAndBiases(commandBuffer, true);
    checkCommandBuffer(forward, commandBuffer);
    const auto state = std::make_shared<MPS::CNNConvolutionWeightsAndBiasesState>(
        MPS::StateOwner::of(commandBuffer), forward.descriptor_->weightCount(),
        forward.outputFeatureChannels());
    StateAccess::setMaker(*state, forward.name());
    StateAccess::borrow(*state, 0, parameters.rawWeights().buffer);
    StateAccess::borrow(*state, 1, parameters.rawBiases().buffer);
    return state;
}

std::shared_ptr<MPS::CNNConvolutionWeightsAndBiasesState> ConvolutionAccess::exportForUpdate(
    MPS::CNNConvolution& convolution, const std::shared_ptr<MTL::CommandBuffer>& commandBuffer) {
    return borrowed(convolution, commandBuffer);
}

std::shared_ptr<MPS::CNNConvolutionWeightsAndBiasesState> ConvolutionAccess::exportForUpdate(
    MPS::CNNConvolutionTranspose& convolution, const std::shared_ptr<MTL::CommandBuffer>& commandBuffer) {
    return borrowed(convolution, commandBuffer);
}

void ConvolutionAccess::requireTwin(const std::string& kernel, const MPS::CNNConvolutionDescriptor& gradient,
                                    const MPS::CNNConvolutionDescriptor& forward) {
    const auto expected = geometryOf(forward), found = geometryOf(gradient);
    if (found != expected)
        throw MTL::Error(kernel, "weights", "the geometry of the forward kernel, " + expected, found);
}

template <class Gradient, class Forward>
void ConvolutionAccess::share(Gradient& gradient, const Forward& forward) {
    checkTwin(gradient, forward);
    gradient.parameters_ = forward.parameters_;
}

void ConvolutionAccess::shareParameters(MPS::CNNConvolutionGradient& gradient,
                                        const MPS::CNNConvolution& forward) {
    share(gradient, forward);
}

void ConvolutionAccess::shareParameters(MPS::CNNConvolutionTransposeGradient& gradient,
                                        const MPS::CNNConvolutionTranspose& forward) {
    share(gradient, forward);
}

}  // namespace pewter::mps
