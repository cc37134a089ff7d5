#include <fmt/format.h>

#include <MPS/CNNBatchNormalization.hpp>
#include <MTL/Error.hpp>

#include "mps/kernels/BatchNormalizationAccess.h"
#include "mps/kernels/GradientChecks.h"
#include "mps/kernels/Neurons.h"
#include "mps/kernels/Pointwise.h"

namespace MPS {

using namespace pewter::mps;
namespace ops = pewter::ops;
using Access = BatchNormalizationAccess;

namespace {

const CNNBatchNormalizationState& checkState(const CNNGradientKernel& kernel,
                                             const BinaryEncoding& encoding) {
    for (const auto& state : encoding.sourceStates) {
        const auto* own = dynamic_cast<const CNNBatchNormalizationState*>(state.get());
        if (!own)
            throw Error(kernel.name(), "batchNormalizationState", "a CNNBatchNormalizationState",
                        fmt::format("a {}", state->className()));
        if (state != encoding.sourceStates[0])
            throw Error(kernel.name(), "batchNormalizationState", "one state for the whole batch", "several");
    }
    const auto& state = static_cast<const CNNBatchNormalizationState&>(*encoding.sourceStates[0]);
    const auto channels = Access::parameters(state).channels;
    if (encoding.secondaryChannels.count != channels)
        throw Error(kernel.name(), "sourceImage", fmt::format("{} feature channels", channels),
                    fmt::format("{}", encoding.secondaryChannels.count));
    if (encoding.primaryChannels.count != channels)
        throw Error(kernel.name(), "sourceGradient", fmt::format("{} feature channels", channels),
                    fmt::format("{}", encoding.primaryChannels.count));
    return state;
}

/// What the forward pass read of these images: its clip rectangle's extents, unless they differ in size from
/// those it recorded (a batch may hold images of several sizes, one a call).
PointwiseArea areaOf(const CNNGradientKernel& kernel, const BinaryEncoding& encoding,
                     const CNNBatchNormalizationState& state) {
    PointwiseArea area{kernel.secondaryOffset().x, kernel.secondaryOffset().y, encoding.primary.shape.w,
                       encoding.primary.shape.h, edgeOf(kernel.secondaryEdgeMode())};
    area.width -= kernel.primaryOffset().x;
    area.height -= kernel.primaryOffset().y;
    const auto& record = state.record();
    if (record && record->sourceWidth == encoding.secondaryWidth &&
        record->sourceHeight == encoding.secondaryHeight) {
        area.width = std::min(area.width, static_cast<std::int64_t>(record->clip.size.width));
        area.height = std::min(area.height, static_cast<std::int64_t>(record->clip.size.height));
    }
    return area;
}

/// The incoming gradient with the extents of the source image: 0 where the forward pass wrote nothing. Such
/// pixels count in the statistics all the same.
TensorRef wholeIncoming(const CNNGradientKernel& kernel, BinaryEncoding& encoding,
                        const CNNBatchNormalizationState& state) {
    const auto area = areaOf(kernel, encoding, state);
    const auto& shape = encoding.secondary.shape;
    const auto gradient = gradientOf(encoding, kernel, area);
    if (area.x == 0 && area.y == 0 && area.width == shape.w && area.height == shape.h) return gradient;
    const auto whole =
        encoding.encoder->scratch(gradient.shape.type, shape.n, shape.h, shape.w, gradient.shape.c);
    encoding.encoder->run([from = gradient, to = whole, area] {
        ops::CopyGradient op;
        op.src = from.tensor();
        op.dst = to.tensor();
        op.offsetX = area.x;
        op.offsetY = area.y;
        op.edge = area.edge;
        return op;
    });
    return whole;
}

void checkArea(const CNNGradientKernel& kernel, const BinaryEncoding& encoding) {
    const auto& p = kernel.primaryOffset();
    if (p.x < 0 || p.y < 0 || p.x >= static_cast<std::int64_t>(encoding.primaryWidth) ||
        p.y >= static_cast<std::int64_t>(encoding.primaryHeight))
        throw Error(kernel.name(), "primaryOffset",
                    fmt::format("a pixel of the incoming gradient, which has {} x {}", encoding.primaryWidth,
                                encoding.primaryHeight),
                    fmt::format("({}, {})", p.x, p.y));
}

}  // namespace

// --- statistics gradient ---

CNNBatchNormalizationStatisticsGradient::CNNBatchNormalizationStatisticsGradient(
    std::shared_ptr<MTL::Device> device)
    : CNNBatchNormalizationStatisticsGradient(std::move(device), NNNeuronDescriptor()) {}

CNNBatchNormalizationStatisticsGradient::CNNBatchNormalizationStatisticsGradient(
    std::shared_ptr<MTL::Device> device, const NNNeuronDescriptor& fusedNeuronDescriptor)
    : CNNGradientKernel(std::move(device)), neuron_(fusedNeuronDescriptor) {
    checkNeuron(neuron_, 0, name(), "fusedNeuronDescriptor");
}

std::shared_ptr<Kernel> CNNBatchNormalizationStatisticsGradient::copy(
    const std::shared_ptr<MTL::Device>& device) const {
    auto copy = std::shared_ptr<CNNBatchNormalizationStatisticsGradient>(
        new CNNBatchNormalizationStatisticsGradient(*this));
    if (device) copy->setDevice(device);
    return copy;
}

bool CNNBatchNormalizationStatisticsGradient::accepts(const State& state) const {
    return dynamic_cast<const CNNBatchNormalizationState*>(&state) != nullptr;
}

void CNNBatchNormalizationStatisticsGradient::encodeBatch(
    const std::shared_ptr<MTL::CommandBuffer>& commandBuffer, const ImageBatch& sourceGradients,
    const ImageBatch& sourceImages, const std::shared_ptr<CNNBatchNormalizationState>& state) {
    encodeImages(commandBuffer, sourceGradients, sourceImages, StateBatch(sourceGradients.size(), state), {},
                 {}, true);
}

void CNNBatchNormalizationStatisticsGradient::validate(const BinaryEncoding& encoding) const {
    if (!encoding.destinations.empty() || encoding.sourceStates.empty())
        throw Error(name(), "encode", "the form with a batch normalisation state and no destination",
                    "one that makes an image");
    const auto& state = checkState(*this, encoding);
    checkNeuron(neuron_, Access::parameters(state).channels, name(), "fusedNeuronDescriptor");
    checkArea(*this, encoding);
}

void CNNBatchNormalizationStatisticsGradient::record(BinaryEncoding& encoding) {
    auto& encoder = *encoding.encoder;
    auto& state = static_cast<CNNBatchNormalizationState&>(*encoding.sourceStates[0]);
    const auto& shape = encoding.secondary.shape;
    const bool accumulate = Access::addGradients(state, shape.n * shape.h * shape.w) > 0;
    encoder.run([source = encoding.secondary, gradient = wholeIncoming(*this, encoding, state),
                 arrays = Access::arrays(state), neuron = neuronOf(neuron_), accumulate] {
        ops::BatchNormalizationStatisticsGradient op;
        arrays.putInto(op);
        op.src = source.tensor();
        op.diffDst = gradient.tensor();
        op.neuron = neuron.neuron;
        op.accumulate = accumulate;
        return op;
    });
}

// --- gradient ---

CNNBatchNormalizationGradient::CNNBatchNormalizationGradient(std::shared_ptr<MTL::Device> device)
    : CNNBatchNormalizationGradient(std::move(device), NNNeuronDescriptor()) {}

CNNBatchNormalizationGradient::CNNBatchNormalizationGradient(std::shared_ptr<MTL::Device> device,
                                                             const NNNeuronDescriptor& fusedNeuronDescriptor)
    : CNNGradientKernel(std::move(device)), neuron_(fusedNeuronDescriptor) {
    checkNeuron(neuron_, 0, name(), "fusedNeuronDescriptor");
}

std::shared_ptr<Kernel> CNNBatchNormalizationGradient::copy(
    const std::shared_ptr<MTL::Device>& device) const {
    auto copy = std::shared_ptr<CNNBatchNormalizationGradient>(new CNNBatchNormalizationGradient(*this));
    if (device) copy->setDevice(device);
    return copy;
}

bool CNNBatchNormalizationGradient::accepts(const State& state) const {
    return dynamic_cast<const CNNBatchNormalizationState*>(&state) != nullptr;
}

void CNNBatchNormalizationGradient::configure(const ForwardRecord& forward) {
    CNNGradientKernel::configure(forward);
    configurePrimary(*this, forward);
}

ImageDescriptor CNNBatchNormalizationGradient::adjustDescriptor(
    const std::vector<std::shared_ptr<Image>>& sourceImages, const StateBatch& sourceStates,
    const ImageDescriptor& suggested) {
    takeGradientSlice(*this, sourceImages, sourceStates);
    return suggested;
}

ImageBatch CNNBatchNormalizationGradient::encodeBatch(
    const std::shared_ptr<MTL::CommandBuffer>& commandBuffer, const ImageBatch& sourceGradients,
    const ImageBatch& sourceImages, const std::shared_ptr<CNNBatchNormalizationState>& state) {
    return CNNGradientKernel::encodeBatch(commandBuffer, sourceGradients, sourceImages,
                                          StateBatch(sourceGradients.size(), state));
}

void CNNBatchNormalizationGradient::encodeBatch(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
                                                const ImageBatch& sourceGradients,
                                                const ImageBatch& sourceImages,
                                                const std::shared_ptr<CNNBatchNormalizationState>& state,
                                                const ImageBatch& destinationGradients) {
    CNNGradientKernel::encodeBatch(commandBuffer, sourceGradients, sourceImages,
                                   StateBatch(sourceGradients.size(), state), destinationGradients);
}

void CNNBatchNormalizationGradient::validate(const BinaryEncoding& encoding) const {
    const auto& state = checkState(*this, encoding);
    checkNeuron(neuron_, Access::parameters(state).channels, name(), "fusedNeuronDescriptor");
    checkArea(*this, encoding);
    const auto expected = Access::statisticsCount(state), found = Access::gradientCount(state);
    if (expected > 0 && expected != found)
        throw Error(name(), "batchNormalizationState",
                    fmt::format("statistics gradients of all {} pixels in the statistics", expected),
                    fmt::format("of {}", found));
}

void CNNBatchNormalizationGradient::record(BinaryEncoding& encoding) {
    auto& encoder = *encoding.encoder;
    auto& state = static_cast<CNNBatchNormalizationState&>(*encoding.sourceStates[0]);
    encoder.run([source = encoding.secondary, gradient = wholeIncoming(*this, encoding, state),
                 target = encoder.wholeGradient(encoding.destination, encoding.clip,
                                                encoding.secondary.shape.w, encoding.secondary.shape.h),
                 arrays = Access::arrays(state), neuron = neuronOf(neuron_), count = Access::statisticsCount(state)] {
        ops::BatchNormalizationGradient op;
        arrays.putInto(op);
        op.src = source.tensor();
        op.diffDst = gradient.tensor();
        op.diffSrc = target.tensor();
        op.neuron = neuron.neuron;
        op.count = count;
        op.storedStatistics = count == 0;
        return op;
    });
    Access::spend(state);
}

}  // namespace MPS
