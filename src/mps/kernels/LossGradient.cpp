#include <fmt/format.h>

#include <MPS/NNLoss.hpp>
#include <MTL/Device.hpp>
#include <MTL/Error.hpp>

#include "mps/core/Encoder.h"
#include "mps/core/ResultStates.h"
#include "mps/kernels/LossFunctions.h"
#include "mps/kernels/LossRecord.h"

namespace MPS {

using namespace pewter::mps;
namespace ops = pewter::ops;

namespace {

/// Null for another state, or before the forward encode.
const LossRecord* recordOf(const std::shared_ptr<State>& state) {
    const auto* own = dynamic_cast<const NNGradientState*>(state.get());
    return own ? dynamic_cast<const LossRecord*>(own->record().get()) : nullptr;
}

}  // namespace

NNLossGradient::NNLossGradient(std::shared_ptr<MTL::Device> device, const CNNLossDescriptor& lossDescriptor)
    : CNNBinaryKernel(std::move(device)), descriptor_(lossDescriptor) {
    checkLoss(*this, descriptor_);
}

std::shared_ptr<Kernel> NNLossGradient::copy(const std::shared_ptr<MTL::Device>& device) const {
    auto copy = std::shared_ptr<NNLossGradient>(new NNLossGradient(*this));
    if (device) copy->setDevice(device);
    return copy;
}

void NNLossGradient::setLabelSmoothing(float labelSmoothing) {
    checkLabelSmoothing(*this, labelSmoothing);
    descriptor_.labelSmoothing = labelSmoothing;
}

std::size_t NNLossGradient::resultFeatureChannels(std::size_t, std::size_t secondaryChannels) const {
    return secondaryChannels;
}

ImageDescriptor NNLossGradient::adjustDescriptor(const std::vector<std::shared_ptr<Image>>& sourceImages,
                                                 const StateBatch& sourceStates,
                                                 const ImageDescriptor& suggested) {
    if (!sourceStates.empty())
        if (const auto* record = recordOf(sourceStates[0])) {
            setSecondarySourceFeatureChannelOffset(record->sourceFeatureChannelOffset);
            setSecondarySourceFeatureChannelMaxCount(record->sourceFeatureChannelMaxCount);
        }
    auto descriptor = suggested;
    descriptor.channelFormat = resultFormat(sourceImages[1]->featureChannelFormat());
    return descriptor;
}

CNNLossDescriptor NNLossGradient::descriptorFor(const StateBatch& sourceStates) const {
    auto descriptor = descriptor_;
    if (sourceStates.empty()) return descriptor;
    const auto& record = *recordOf(sourceStates[0]);
    descriptor.weight = record.weight;
    descriptor.labelSmoothing = record.labelSmoothing;
    descriptor.epsilon = record.epsilon;
    descriptor.delta = record.delta;
    return descriptor;
}

void NNLossGradient::encodeLabelled(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
                                    const ImageBatch& gradients, const ImageBatch& sources,
                                    const ImageBatch& labels, const ImageBatch& weights,
                                    const StateBatch& sourceStates, const ImageBatch& destinations) {
    std::vector<SourceArgument> arguments = {
        {primaryName(), gradients}, {secondaryName(), sources}, {"labels", labels}};
    if (!weights.empty()) arguments.push_back({"weights", weights});
    checkArguments(*this, commandBuffer, arguments, "sourceStates", sourceStates, {}, destinations, true);
    if (callback_ && sourceStates.empty() && !sources.empty())
        setWeight(callback_->scalarWeight(sources[0], destinations[0]));
    const LabelScope scope(labels_, weights_, labels, weights);
    encodeImages(commandBuffer, gradients, sources, sourceStates, {}, destinations, true);
    consumeImages(labels, name());
    consumeImages(weights, name());
}

void NNLossGradient::encodeBatch(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
                                 const ImageBatch& sourceGradients, const ImageBatch& sourceImages,
                                 const ImageBatch& labels, const ImageBatch& weights,
                                 const StateBatch& sourceStates, const ImageBatch& destinationGradients) {
    if (destinationGradients.size() != sourceImages.size())
        throw Error(name(), "destinationGradients",
                    fmt::format("{} images, as many as sources", sourceImages.size()),
                    fmt::format("{}", destinationGradients.size()));
    encodeLabelled(commandBuffer, sourceGradients, sourceImages, labels, weights, sourceStates,
                   destinationGradients);
}

ImageBatch NNLossGradient::encodeBatch(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
                                       const ImageBatch& sourceGradients, const ImageBatch& sourceImages,
                                       const ImageBatch& labels, const ImageBatch& weights,
                                       const StateBatch& sourceStates) {
    const auto destinations = makeDestinations(commandBuffer, sourceGradients, sourceImages, sourceStates);
    undoOnFailure(destinations, {}, [&] {
        encodeLabelled(commandBuffer, sourceGradients, sourceImages, labels, weights, sourceStates,
                       destinations);
    });
    return destinations;
}

void NNLossGradient::validate(const BinaryEncoding& encoding) const {
    if (!labels_)
        throw Error(name(), "labels", "an encode with labels", "one of the inherited forms without any");
    for (const auto& [argument, offset] :
         {std::pair{"primaryOffset", primaryOffset()}, {"secondaryOffset", secondaryOffset()}})
        if (offset.x != 0 || offset.y != 0 || offset.z != 0)
            throw Error(name(), argument, "(0, 0, 0): labels belong to the whole source",
                        fmt::format("({}, {}, {})", offset.x, offset.y, offset.z));
    if (clipRect() != RectNoClip)
        throw Error(name(), "clipRect", "RectNoClip: labels belong to the whole source", "another rectangle");
    const auto width = encoding.secondaryWidth, height = encoding.secondaryHeight,
               channels = encoding.secondaryChannels.count;
    checkLabels(*this, *labels_, *weights_, width, height, channels);
    const bool reduces = reductionType() != CNNReductionType::None;
    const auto w = reduces ? 1 : width, h = reduces ? 1 : height, c = reduces ? 1 : channels;
    if (encoding.primaryWidth != w || encoding.primaryHeight != h || encoding.primaryChannels.count != c)
        throw Error(name(), primaryName(),
                    fmt::format("{} x {} x {}, the size of a loss that {}", w, h, c,
                                reduces ? "reduces" : "does not reduce"),
                    fmt::format("{} x {} x {}", encoding.primaryWidth, encoding.primaryHeight,
                                encoding.primaryChannels.count));
    for (const auto& state : encoding.sourceStates) {
        const auto* record = recordOf(state);
        if (!record)
            throw Error(name(), "sourceStates", "states that an encode of NNForwardLoss has filled",
                        state->description());
        if (record->sourceWidth != width || record->sourceHeight != height ||
            record->sourceFeatureChannels != channels)
            throw Error(name(), "sourceImage",
                        fmt::format("{} x {} x {}, as {} read", record->sourceWidth, record->sourceHeight,
                                    record->sourceFeatureChannels, record->kernel),
                        fmt::format("{} x {} x {}", width, height, channels));
        const auto& first = *recordOf(encoding.sourceStates[0]);
        if (record->weight != first.weight || record->labelSmoothing != first.labelSmoothing ||
            record->epsilon != first.epsilon || record->delta != first.delta)
            throw Error(name(), "sourceStates", "states of one forward encode", "two with other properties");
    }
    if (encoding.destinations.empty()) return;
    const auto& destination = *encoding.destinations[0];
    if (destination.width() != width || destination.height() != height)
        throw Error(name(), "destinationGradients",
                    fmt::format("{} x {} pixels, as the source", width, height),
                    fmt::format("{} x {}", destination.width(), destination.height()));
}

void NNLossGradient::record(BinaryEncoding& encoding) {
    auto& encoder = *encoding.encoder;
    const auto descriptor = descriptorFor(encoding.sourceStates);
    encoder.run([function = functionOf(descriptor), reduction = reductionOf(descriptor),
                 labelGradients = computeLabelGradients_, incoming = encoding.primary,
                 source = encoding.secondary, labels = encoder.source(*labels_, 0, 1),
                 weights = weights_->empty() ? TensorRef() : encoder.source(*weights_, 0, 1),
                 destination = encoding.destination] {
        ops::LossGradient op;
        op.function = function;
        op.reduction = reduction;
        op.labelGradients = labelGradients;
        op.src = source.tensor();
        op.labels = labels.tensor();
        if (weights) op.weights = weights.tensor();
        op.incoming = incoming.tensor();
        op.dst = destination.tensor();
        return op;
    });
}

}  // namespace MPS
