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

NNForwardLoss::NNForwardLoss(std::shared_ptr<MTL::Device> device, const CNNLossDescriptor& lossDescriptor)
    : CNNKernel(std::move(device)), descriptor_(lossDescriptor) {
    checkLoss(*this, descriptor_);
}

std::shared_ptr<Kernel> NNForwardLoss::copy(const std::shared_ptr<MTL::Device>& device) const {
    auto copy = std::shared_ptr<NNForwardLoss>(new NNForwardLoss(*this));
    if (device) copy->setDevice(device);
    return copy;
}

void NNForwardLoss::setLabelSmoothing(float labelSmoothing) {
    checkLabelSmoothing(*this, labelSmoothing);
    descriptor_.labelSmoothing = labelSmoothing;
}

std::size_t NNForwardLoss::resultFeatureChannels(std::size_t sourceChannels) const {
    return reductionType() == CNNReductionType::None ? sourceChannels : 1;
}

ImageDescriptor NNForwardLoss::adjustDescriptor(const std::vector<std::shared_ptr<Image>>&, const StateBatch&,
                                                const ImageDescriptor& suggested) {
    auto descriptor = suggested;
    if (reductionType() != CNNReductionType::None) descriptor.width = descriptor.height = 1;
    return descriptor;
}

std::shared_ptr<State> NNForwardLoss::newResultState(const StateOwner& owner, const std::shared_ptr<Image>&,
                                                     const StateBatch&, const std::shared_ptr<Image>&) {
    return std::make_shared<NNGradientState>(owner);
}

std::shared_ptr<ForwardRecord> NNForwardLoss::captureRecord(const Image& source,
                                                            const Image& destination) const {
    auto record = std::make_shared<LossRecord>(*CNNKernel::captureRecord(source, destination));
    record->weight = descriptor_.weight;
    record->labelSmoothing = descriptor_.labelSmoothing;
    record->epsilon = descriptor_.epsilon;
    record->delta = descriptor_.delta;
    return record;
}

void NNForwardLoss::encodeLabelled(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
                                   const ImageBatch& sources, const ImageBatch& labels,
                                   const ImageBatch& weights, const StateBatch& destinationStates,
                                   const ImageBatch& destinations) {
    std::vector<SourceArgument> arguments = {{"sourceImage", sources}, {"labels", labels}};
    if (!weights.empty()) arguments.push_back({"weights", weights});
    checkArguments(*this, commandBuffer, arguments, "sourceStates", {}, destinationStates, destinations,
                   true);
    if (callback_ && !sources.empty()) setWeight(callback_->scalarWeight(sources[0], destinations[0]));
    const LabelScope scope(labels_, weights_, labels, weights);
    encodeImages(commandBuffer, sources, {}, destinationStates, destinations, true);
    consumeImages(labels, name());
    consumeImages(weights, name());
}

void NNForwardLoss::encodeBatch(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
                                const ImageBatch& sourceImages, const ImageBatch& labels,
                                const ImageBatch& weights, const StateBatch& destinationStates,
                                const ImageBatch& destinationImages) {
    if (destinationImages.size() != sourceImages.size())
        throw Error(name(), "destinationImages",
                    fmt::format("{} images, as many as sources", sourceImages.size()),
                    fmt::format("{}", destinationImages.size()));
    encodeLabelled(commandBuffer, sourceImages, labels, weights, destinationStates, destinationImages);
}

ImageBatch NNForwardLoss::encodeBatch(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
                                      const ImageBatch& sourceImages, const ImageBatch& labels,
                                      const ImageBatch& weights, StateBatch* outStates, bool isTemporary) {
    const auto destinations = makeDestinations(commandBuffer, sourceImages, {});
    StateBatch states;
    undoOnFailure(destinations, states, [&] {
        if (outStates)
            states = isTemporary ? temporaryResultStateBatch(commandBuffer, sourceImages, {}, destinations)
                                 : resultStateBatch(sourceImages, {}, destinations);
        encodeLabelled(commandBuffer, sourceImages, labels, weights, states, destinations);
    });
    if (outStates) *outStates = states;
    return destinations;
}

void NNForwardLoss::validate(const UnaryEncoding& encoding) const {
    if (!labels_)
        throw Error(name(), "labels", "an encode with labels", "one of the inherited forms without any");
    if (offset().x != 0 || offset().y != 0 || offset().z != 0)
        throw Error(name(), "offset", "(0, 0, 0): labels belong to the whole source",
                    fmt::format("({}, {}, {})", offset().x, offset().y, offset().z));
    if (clipRect() != RectNoClip)
        throw Error(name(), "clipRect", "RectNoClip: labels belong to the whole source", "another rectangle");
    checkLabels(*this, *labels_, *weights_, encoding.sourceWidth, encoding.sourceHeight,
                encoding.sourceChannels.count);
    if (encoding.destinations.empty()) return;
    const bool reduces = reductionType() != CNNReductionType::None;
    const auto& destination = *encoding.destinations[0];
    const auto width = reduces ? 1 : encoding.sourceWidth, height = reduces ? 1 : encoding.sourceHeight;
    if (destination.width() != width || destination.height() != height)
        throw Error(name(), "destinationImage",
                    fmt::format("{} x {} pixels for a loss that {}", width, height,
                                reduces ? "reduces" : "does not reduce"),
                    fmt::format("{} x {}", destination.width(), destination.height()));
}

void NNForwardLoss::record(UnaryEncoding& encoding) {
    auto& encoder = *encoding.encoder;
    LossOperands operands;
    operands.source = encoding.source;
    operands.labels = encoder.source(*labels_, 0, 1);
    if (!weights_->empty()) operands.weights = encoder.source(*weights_, 0, 1);
    operands.loss = encoding.destination;
    encodeLoss(encoder, operands, descriptor_);
}

}  // namespace MPS
