#include <fmt/format.h>

#include <MPS/CNNConvolutionTranspose.hpp>
#include <MTL/CommandBuffer.hpp>
#include <MTL/Device.hpp>
#include <MTL/Error.hpp>
#include <limits>

#include "mps/core/SharedSources.h"
#include "mps/core/StateAccess.h"
#include "mps/kernels/ConvolutionAccess.h"
#include "mps/kernels/ConvolutionParameters.h"
#include "mps/kernels/ConvolutionRecord.h"
#include "mps/kernels/ConvolutionTransposeRecord.h"
#include "mps/kernels/GradientChecks.h"
#include "mps/kernels/GradientOption.h"
#include "mps/kernels/GradientStates.h"
#include "mps/kernels/TurnedWeights.h"

namespace MPS {

namespace ops = pewter::ops;
using namespace pewter::mps;

CNNConvolutionTransposeGradient::CNNConvolutionTransposeGradient(
    std::shared_ptr<MTL::Device> kernelDevice, std::shared_ptr<CNNConvolutionDataSource> weights)
    : CNNGradientKernel(std::move(kernelDevice)), dataSource_(std::move(weights)) {
    const LoadedSource source(dataSource_.get(), className());
    setLabel(source->label());
    descriptor_ = transposedDescriptor(source);
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

std::shared_ptr<Kernel> CNNConvolutionTransposeGradient::copy(
    const std::shared_ptr<MTL::Device>& target) const {
    const std::shared_ptr<CNNConvolutionTransposeGradient> kernel(new CNNConvolutionTransposeGradient(*this));
    if (target) kernel->setDevice(target);
    if (parameters_)
        kernel->parameters_ = std::make_shared<ConvolutionParameters>(*parameters_, kernel->device());
    if (auto source = copyOfSource(dataSource_, kernel->device())) kernel->dataSource_ = std::move(source);
    return kernel;
}

// --- geometry ---

bool CNNConvolutionTransposeGradient::accepts(const State& state) const {
    return dynamic_cast<const CNNConvolutionTransposeGradientState*>(&state) != nullptr;
}

std::size_t CNNConvolutionTransposeGradient::resultFeatureChannels(std::size_t, std::size_t) const {
    return sourceImageFeatureChannels();
}

void CNNConvolutionTransposeGradient::configure(const ForwardRecord& forward) {
    CNNGradientKernel::configure(forward);
    const auto* own = dynamic_cast<const ConvolutionTransposeRecord*>(&forward);
    if (!own) return;
    auto& p = primaryGeometry();
    p.offset = {-own->totalX + evenWindow(forward.kernelWidth, forward.dilationX),
                -own->totalY + evenWindow(forward.kernelHeight, forward.dilationY), 0};
    p.kernelWidth = forward.kernelWidth;
    p.kernelHeight = forward.kernelHeight;
    p.dilationRateX = forward.dilationX;
    p.dilationRateY = forward.dilationY;
    secondaryGeometry().offset = {0, 0, forward.offset.z};
    setKernelOffsetX(0);
    setKernelOffsetY(0);
}

ImageDescriptor CNNConvolutionTransposeGradient::adjustDescriptor(
    const std::vector<std::shared_ptr<Image>>& sourceImages, const StateBatch& sourceStates,
    const ImageDescriptor& suggested) {
    primaryGeometry().featureChannelOffset = 0;
    primaryGeometry().featureChannelMaxCount = std::numeric_limits<std::size_t>::max();
    takeGradientSlice(*this, sourceImages, sourceStates);
    return suggested;
}

void CNNConvolutionTransposeGradient::validate(const BinaryEncoding& encoding) const {
    for (const auto& given : encoding.sourceStates) {
        const auto& state = static_cast<const CNNConvolutionTransposeGradientState&>(*given);
        const auto* record = dynamic_cast<const ConvolutionTransposeRecord*>(state.record().get());
        if (!record)
            throw Error(name(), "gradientState",
                        "a state that the encode of a transposed convolution has filled", "an empty one");
        if (geometryOf(*record->descriptor) != geometryOf(*descriptor_))
            throw Error(name(), "gradientState",
                        "one of a transposed convolution of " + geometryOf(*descriptor_),
                        fmt::format("one of {} of {}", record->kernel, geometryOf(*record->descriptor)));
        if (encoding.primaryWidth != record->clip.size.width ||
            encoding.primaryHeight != record->clip.size.height)
            throw Error(name(), "sourceGradient",
                        fmt::format("{} x {} pixels, the forward clip rectangle", record->clip.size.width,
                                    record->clip.size.height),
                        fmt::format("{} x {}", encoding.primaryWidth, encoding.primaryHeight));
        if (encoding.secondaryWidth != record->sourceWidth ||
            encoding.secondaryHeight != record->sourceHeight)
            throw Error(
                name(), "sourceImage",
                fmt::format("{} x {} pixels, the forward source", record->sourceWidth, record->sourceHeight),
                fmt::format("{} x {}", encoding.secondaryWidth, encoding.secondaryHeight));
    }
    if (encoding.primaryChannels.count != sourceGradientFeatureChannels())
        throw Error(name(), "sourceGradient",
                    fmt::format("{} feature channels", sourceGradientFeatureChannels()),
                    fmt::format("{}", encoding.primaryChannels.count));
    checkInputChannels(encoding.secondaryChannels, sourceImageFeatureChannels(), name(), "sourceImage");
}

namespace {

/// The window over the incoming gradient; the same for data and weights.
ops::Window gradientWindow(const CNNConvolutionTransposeGradient& kernel) {
    const auto& d = kernel.descriptor();
    auto window = adjointWindow(d, evenWindow(d.kernelWidth(), d.dilationRateX()) - kernel.primaryOffset().x,
                                evenWindow(d.kernelHeight(), d.dilationRateY()) - kernel.primaryOffset().y);
    window.strideX = static_cast<std::int64_t>(kernel.primaryStrideInPixelsX());
    window.strideY = static_cast<std::int64_t>(kernel.primaryStrideInPixelsY());
    return window;
}

}  // namespace

// --- commands ---

void CNNConvolutionTransposeGradient::record(BinaryEncoding& encoding) {
    encoding.secondary =
        encoding.secondary.channels(0, static_cast<std::int64_t>(sourceImageFeatureChannels()));
    const bool weightsOnly = encoding.destinations.empty();
    if (!weightsOnly && (option_ & CNNConvolutionGradientOptionGradientWithData)) recordData(encoding);
    if (!weightsOnly && !hasWeights(option_)) return;
    forEachStateRun(encoding, [&](State& given) {
        auto& state = static_cast<CNNConvolutionTransposeGradientState&>(given);
        recordWeights(encoding, state);
        ConvolutionAccess::setHasGradients(state);
    });
}

void CNNConvolutionTransposeGradient::recordWeights(BinaryEncoding& encoding,
                                                    CNNConvolutionTransposeGradientState& state) {
    auto& encoder = *encoding.encoder;
    const auto groups = groupsOf(*descriptor_);
    TensorRef own;
    const auto weights = ConvolutionAccess::gradientForWeights(state);
    own.buffer = weights.buffer;
    own.byteOffset = weights.byteOffset;
    own.shape = ConvolutionAccess::weightShape(*descriptor_);
    const auto shape = turnedShape(own.shape, groups);
    const auto turned = encoder.scratch(shape.type, shape.n, shape.h, shape.w, shape.c);
    const bool add = state.hasGradients();
    // In the convolution whose adjoint this is, the incoming gradient is the source.
    encoder.run([gradient = encoding.primary, source = encoding.secondary, window = gradientWindow(*this),
                 groups, turned, exactness = exactnessOf(*this)] {
        ops::ConvolutionWeightsGradient op;
        op.exactness = exactness;
        op.src = gradient.tensor();
        op.diffDst = source.tensor();
        op.diffWeights = turned.tensor();
        op.window = window;
        op.groups = groups;
        return op;
    });
    encodeTurnBack(encoder, turned, own, groups, add);
    const auto biases = gradientForBiases(option_, state);
    if (!biases) return;
    encoder.run([gradient = encoding.primary, biases, add] {
        ops::ConvolutionWeightsGradient op;
        op.diffDst = gradient.tensor();
        op.diffBias = biases.array();
        op.accumulate = add;
        return op;
    });
}

void CNNConvolutionTransposeGradient::recordData(BinaryEncoding& encoding) {
    const auto result = encoding.encoder->wholeGradient(encoding.destination, encoding.clip,
                                                        static_cast<std::int64_t>(encoding.secondaryWidth),
                                                        static_cast<std::int64_t>(encoding.secondaryHeight));
    const auto* state =
        encoding.sourceStates.empty()
            ? nullptr
            : static_cast<const CNNConvolutionTransposeGradientState*>(encoding.sourceStates[0].get());
    encoding.encoder->run([gradient = encoding.primary, weights = parameters(state).turnedWeights(), result,
                           window = gradientWindow(*this), groups = groupsOf(*descriptor_),
                           exactness = exactnessOf(*this)] {
        ops::ConvolutionForward op;
        op.exactness = exactness;
        op.src = gradient.tensor();
        op.weights = weights.tensor();
        op.dst = result.tensor();
        op.window = window;
        op.groups = groups;
        return op;
    });
}

void CNNConvolutionTransposeGradient::encodeWeightGradients(
    const std::shared_ptr<MTL::CommandBuffer>& commandBuffer, const ImageBatch& sourceGradients,
    const ImageBatch& sourceImages, const StateBatch& gradientStates) {
    encodeWithoutResult(commandBuffer, sourceGradients, sourceImages, gradientStates);
}

// --- parameters ---

ConvolutionParameters& CNNConvolutionTransposeGradient::parameters(
    const CNNConvolutionTransposeGradientState* state) {
    if (!parameters_) {
        const auto& forward = state && state->convolutionTranspose()
                                  ? state->convolutionTranspose()->dataSource()
                                  : dataSource_;
        const LoadedSource source(forward.get(), className(), label());
        transposedDescriptor(source);
        parameters_ = std::make_shared<ConvolutionParameters>(device(), source, *descriptor_, true);
    }
    return *parameters_;
}

void CNNConvolutionTransposeGradient::reloadWeightsAndBiasesFromDataSource() {
    const LoadedSource source(dataSource_.get(), className(), label());
    transposedDescriptor(source);
    if (parameters_)
        parameters_->replace(ConvolutionParameters(device(), source, *descriptor_, true));
    else
        parameters_ = std::make_shared<ConvolutionParameters>(device(), source, *descriptor_, true);
}

void CNNConvolutionTransposeGradient::reloadWeightsAndBiases(
    const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
    const std::shared_ptr<CNNConvolutionWeightsAndBiasesState>& state) {
    ConvolutionAccess::reload(*this, parameters(nullptr), *descriptor_, commandBuffer, state);
}

}  // namespace MPS
