#include <fmt/format.h>

#include <MPS/CNNKernel.hpp>
#include <MPS/NNGradientState.hpp>
#include <MTL/Device.hpp>
#include <MTL/Error.hpp>

#include "mps/core/Checks.h"
#include "mps/core/Encoder.h"
#include "mps/core/ForwardRecord.h"
#include "mps/core/ImageAccess.h"
#include "mps/core/ResultStates.h"
#include "mps/core/StateAccess.h"

namespace MPS {

using namespace pewter::mps;

CNNKernel::CNNKernel(std::shared_ptr<MTL::Device> device)
    : Kernel(std::move(device)),
      padding_(NNDefaultPadding::padding(NNPaddingMethodSizeSame)),
      allocator_(TemporaryImage::defaultAllocator()) {}

void CNNKernel::setWindow(std::size_t width, std::size_t height, std::size_t strideX, std::size_t strideY,
                          std::size_t dilationX, std::size_t dilationY) {
    kernelWidth_ = width;
    kernelHeight_ = height;
    strideX_ = strideX;
    strideY_ = strideY;
    dilationX_ = dilationX;
    dilationY_ = dilationY;
}

void CNNKernel::setPadding(std::shared_ptr<NNPadding> padding) {
    if (!padding) throw Error(name(), "padding", "a padding policy", "null");
    padding_ = std::move(padding);
}

void CNNKernel::setDestinationImageAllocator(std::shared_ptr<ImageAllocator> allocator) {
    if (!allocator) throw Error(name(), "destinationImageAllocator", "an allocator", "null");
    allocator_ = std::move(allocator);
}

std::size_t CNNKernel::resultFeatureChannels(std::size_t sourceChannels) const { return sourceChannels; }

ImageDescriptor CNNKernel::adjustDescriptor(const std::vector<std::shared_ptr<Image>>&, const StateBatch&,
                                            const ImageDescriptor& suggested) {
    return suggested;
}

std::shared_ptr<State> CNNKernel::newResultState(const StateOwner&, const std::shared_ptr<Image>&, const StateBatch&,
                                                 const std::shared_ptr<Image>&) {
    return nullptr;
}

void CNNKernel::fitToDestination(UnaryEncoding&) const {}

void CNNKernel::validate(const UnaryEncoding&) const {}

std::size_t CNNKernel::encodingStorageSize(const std::shared_ptr<Image>&, const StateBatch&,
                                           const std::shared_ptr<Image>&) const {
    return 0;
}

std::size_t CNNKernel::batchEncodingStorageSize(const ImageBatch&, const std::vector<StateBatch>&,
                                                const ImageBatch&) const {
    return 0;
}

std::shared_ptr<ForwardRecord> CNNKernel::captureRecord(const Image& source, const Image& destination) const {
    auto record = std::make_shared<ForwardRecord>();
    fillRecord(*record, *this, source, destination);
    record->offset = offset_;
    record->clip = toRegion(resolveClip(clipRect_, destination.width(), destination.height()), clipRect_.origin.z,
                            destination.numberOfImages());
    const auto channels = resolveChannels(sourceFeatureChannelOffset_, sourceFeatureChannelMaxCount_,
                                          source.featureChannels(), name(), "sourceFeatureChannelOffset",
                                          sourceChannelAlignment());
    record->sourceFeatureChannelOffset = channels.first;
    record->sourceFeatureChannelMaxCount = sourceFeatureChannelMaxCount_;
    record->sourceFeatureChannels = channels.count;
    record->destinationFeatureChannelOffset = destinationFeatureChannelOffset_;
    record->resultFeatureChannels = resultFeatureChannels(channels.count);
    record->edgeMode = edgeMode_;
    record->kernelWidth = kernelWidth_;
    record->kernelHeight = kernelHeight_;
    record->strideX = strideX_;
    record->strideY = strideY_;
    record->dilationX = dilationX_;
    record->dilationY = dilationY_;
    return record;
}

ImageDescriptor CNNKernel::destinationImageDescriptor(const std::vector<std::shared_ptr<Image>>& sourceImages,
                                                      const StateBatch& sourceStates) {
    if (sourceImages.size() != 1 || !sourceImages[0])
        throw Error(name(), "sourceImages", "one image",
                    sourceImages.size() == 1 ? "null" : fmt::format("{}", sourceImages.size()));
    const auto& source = *sourceImages[0];
    const auto method = padding_->paddingMethod();
    const auto channels = resolveChannels(sourceFeatureChannelOffset_, sourceFeatureChannelMaxCount_,
                                          source.featureChannels(), name(), "sourceFeatureChannelOffset",
                                          sourceChannelAlignment());
    const auto axis = [&](std::size_t extent, std::size_t taps, std::size_t dilation, std::size_t stride, Axis which) {
        return (isBackwards() ? backwardPadding : forwardPadding)(
            static_cast<std::int64_t>(extent), static_cast<std::int64_t>((taps - 1) * dilation + 1),
            static_cast<std::int64_t>(stride), method, which, name());
    };
    ImageDescriptor suggested;
    if (ignoresPadding()) {
        suggested.width = source.width();
        suggested.height = source.height();
    } else {
        const auto x = axis(source.width(), kernelWidth_, dilationX_, strideX_, Axis::X);
        const auto y = axis(source.height(), kernelHeight_, dilationY_, strideY_, Axis::Y);
        offset_.x = isBackwards() ? 0 : x.offset;
        offset_.y = isBackwards() ? 0 : y.offset;
        suggested.width = static_cast<std::size_t>(x.extent);
        suggested.height = static_cast<std::size_t>(y.extent);
    }
    suggested.featureChannels = resultFeatureChannels(channels.count);
    suggested.numberOfImages = source.numberOfImages();
    suggested.channelFormat = resultFormat(source.featureChannelFormat());
    suggested = adjustDescriptor(sourceImages, sourceStates, suggested);
    for (const auto& state : sourceStates)
        if (state) suggested = state->destinationImageDescriptor(sourceImages, sourceStates, *this, suggested);
    if (method & NNPaddingMethodCustom)
        suggested = padding_->destinationImageDescriptor(sourceImages, sourceStates, *this, suggested);
    return suggested;
}

// --- encodes ---

void CNNKernel::encodeImages(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer, const ImageBatch& sources,
                             const StateBatch& sourceStates, const StateBatch& destinationStates,
                             const ImageBatch& destinations, bool batch) {
    checkArguments(*this, commandBuffer, {{"sourceImage", sources}}, "sourceStates", sourceStates, destinationStates,
                   destinations, batch);
    if (sources.empty()) return;
    checkEdgeMode(*this, "edgeMode", edgeMode_, acceptsAllEdgeModes());
    checkOffset(*this, "offset", offset_);
    UnaryEncoding encoding{.sources = sources,
                           .sourceStates = sourceStates,
                           .destinationStates = destinationStates,
                           .destinations = destinations};
    const Image& source = *sources[0];
    encoding.sourceWidth = source.width();
    encoding.sourceHeight = source.height();
    encoding.sourceChannels = resolveChannels(sourceFeatureChannelOffset_, sourceFeatureChannelMaxCount_,
                                              source.featureChannels(), name(), "sourceFeatureChannelOffset",
                                              sourceChannelAlignment());
    encoding.resultChannels = resultFeatureChannels(encoding.sourceChannels.count);
    encoding.images = batch ? sources.size() : source.numberOfImages();
    std::size_t firstSource = 0, firstDestination = 0;
    if (!destinations.empty()) {
        const Image& destination = *destinations[0];
        encoding.clip = resolveClip(clipRect_, destination.width(), destination.height());
        fitToDestination(encoding);
        checkDestinationChannels(*this, destinationFeatureChannelOffset_, encoding.resultChannels, destination);
        if (!batch) {
            encoding.images = resolveImages(offset_, clipRect_, source.numberOfImages(),
                                            destination.numberOfImages(), name());
            firstSource = static_cast<std::size_t>(offset_.z);
            firstDestination = clipRect_.origin.z;
        }
    }
    validate(encoding);

    // Nothing can be refused any more, except for lack of memory.
    Encoder encoder(*commandBuffer, *this);
    if (destinations.empty() || (!encoding.clip.isEmpty() && encoding.images > 0)) {
        if (!destinations.empty())
            encoding.destination = encoder.destination(destinations, firstDestination, encoding.images, encoding.clip,
                                                       destinationFeatureChannelOffset_, encoding.resultChannels);
        encoding.source = encoder.source(sources, firstSource, encoding.images)
                              .channels(static_cast<std::int64_t>(encoding.sourceChannels.first),
                                        static_cast<std::int64_t>(encoding.sourceChannels.count));
        encoding.encoder = &encoder;
        record(encoding);
    }
    encoder.finish();
    if (!destinations.empty())
        for (std::size_t i = 0; i < destinationStates.size(); ++i) {
            StateAccess::setMaker(*destinationStates[i], name());
            // A state that serves the whole batch records its first image.
            if (i > 0 && destinationStates[i] == destinationStates[i - 1]) continue;
            if (auto* state = dynamic_cast<NNGradientState*>(destinationStates[i].get()))
                state->setRecord(captureRecord(*sources[i], *destinations[i]));
        }
    consumeImages(sources, name());
    consumeStates(sourceStates, name());
}

void CNNKernel::encode(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
                       const std::shared_ptr<Image>& sourceImage, const std::shared_ptr<Image>& destinationImage) {
    encodeImages(commandBuffer, {sourceImage}, {}, {}, {destinationImage}, false);
}

void CNNKernel::encode(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
                       const std::shared_ptr<Image>& sourceImage, const std::shared_ptr<State>& destinationState,
                       const std::shared_ptr<Image>& destinationImage) {
    encodeImages(commandBuffer, {sourceImage}, {}, {destinationState}, {destinationImage}, false);
}

void CNNKernel::encodeBatch(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer, const ImageBatch& sourceImages,
                            const ImageBatch& destinationImages) {
    encodeBatch(commandBuffer, sourceImages, StateBatch{}, destinationImages);
}

void CNNKernel::encodeBatch(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer, const ImageBatch& sourceImages,
                            const StateBatch& destinationStates, const ImageBatch& destinationImages) {
    if (destinationImages.size() != sourceImages.size())
        throw Error(name(), "destinationImages", fmt::format("{} images, as many as sources", sourceImages.size()),
                    fmt::format("{}", destinationImages.size()));
    encodeImages(commandBuffer, sourceImages, {}, destinationStates, destinationImages, true);
}

void CNNKernel::checkReturned(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
                              const ImageBatch& sources) const {
    checkCommandBuffer(*this, commandBuffer);
    checkImages(*this, "sourceImage", sources, sources.size() > 1);
}

ImageBatch CNNKernel::makeDestinations(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
                                       const ImageBatch& sources, const StateBatch& sourceStates) {
    checkReturned(commandBuffer, sources);
    if (sources.empty()) return {};
    const auto descriptor = destinationImageDescriptor(
        {sources[0]}, sourceStates.empty() ? StateBatch{} : StateBatch{sourceStates[0]});
    return allocateDestinations(*this, *allocator_, commandBuffer, descriptor, sources.size());
}

std::shared_ptr<Image> CNNKernel::encode(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
                                         const std::shared_ptr<Image>& sourceImage) {
    const auto destinations = makeDestinations(commandBuffer, {sourceImage}, {});
    undoOnFailure(destinations, {}, [&] { encodeImages(commandBuffer, {sourceImage}, {}, {}, destinations, false); });
    return destinations[0];
}

std::shared_ptr<Image> CNNKernel::encode(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
                                         const std::shared_ptr<Image>& sourceImage,
                                         std::shared_ptr<State>* destinationState, bool isTemporary) {
    if (!destinationState) throw Error(name(), "destinationState", "an address for the new state", "null");
    const auto destinations = makeDestinations(commandBuffer, {sourceImage}, {});
    StateBatch states;
    undoOnFailure(destinations, states, [&] {
        auto state = isTemporary ? temporaryResultState(commandBuffer, sourceImage, {}, destinations[0])
                                 : resultState(sourceImage, {}, destinations[0]);
        if (state) states = {state};
        encodeImages(commandBuffer, {sourceImage}, {}, states, destinations, false);
    });
    *destinationState = states.empty() ? nullptr : states[0];
    return destinations[0];
}

ImageBatch CNNKernel::encodeBatch(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
                                  const ImageBatch& sourceImages) {
    const auto destinations = makeDestinations(commandBuffer, sourceImages, {});
    undoOnFailure(destinations, {}, [&] { encodeImages(commandBuffer, sourceImages, {}, {}, destinations, true); });
    return destinations;
}

ImageBatch CNNKernel::encodeBatch(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
                                  const ImageBatch& sourceImages, StateBatch* destinationStates, bool isTemporary) {
    if (!destinationStates) throw Error(name(), "destinationStates", "an address for the new states", "null");
    const auto destinations = makeDestinations(commandBuffer, sourceImages, {});
    StateBatch states;
    undoOnFailure(destinations, states, [&] {
        states = isTemporary ? temporaryResultStateBatch(commandBuffer, sourceImages, {}, destinations)
                             : resultStateBatch(sourceImages, {}, destinations);
        encodeImages(commandBuffer, sourceImages, {}, states, destinations, true);
    });
    *destinationStates = states;
    return destinations;
}

// --- result states ---

std::shared_ptr<State> CNNKernel::resultState(const std::shared_ptr<Image>& sourceImage,
                                              const StateBatch& sourceStates,
                                              const std::shared_ptr<Image>& destinationImage) {
    checkStateImages(*this, {{"sourceImage", sourceImage}, {"destinationImage", destinationImage}});
    auto state = newResultState(StateOwner::of(device()), sourceImage, sourceStates, destinationImage);
    if (auto* gradient = dynamic_cast<NNGradientState*>(state.get()))
        gradient->setRecord(captureRecord(*sourceImage, *destinationImage));
    return state;
}

std::shared_ptr<State> CNNKernel::temporaryResultState(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
                                                       const std::shared_ptr<Image>& sourceImage,
                                                       const StateBatch& sourceStates,
                                                       const std::shared_ptr<Image>& destinationImage) {
    checkCommandBuffer(*this, commandBuffer);
    checkStateImages(*this, {{"sourceImage", sourceImage}, {"destinationImage", destinationImage}});
    auto state = newResultState(StateOwner::of(commandBuffer), sourceImage, sourceStates, destinationImage);
    if (state) StateAccess::setMaker(*state, name());
    if (auto* gradient = dynamic_cast<NNGradientState*>(state.get()))
        gradient->setRecord(captureRecord(*sourceImage, *destinationImage));
    return state;
}

StateBatch CNNKernel::resultStateBatch(const ImageBatch& sources, const std::vector<StateBatch>& sourceStates,
                                       const ImageBatch& destinations) {
    return makeStateBatch(*this, sources.size(), destinations.size(), isResultStateReusedAcrossBatch(),
                          [&](std::size_t i) {
                              return resultState(sources[i], statesAt(sourceStates, i), destinations[i]);
                          });
}

StateBatch CNNKernel::temporaryResultStateBatch(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
                                                const ImageBatch& sources, const std::vector<StateBatch>& sourceStates,
                                                const ImageBatch& destinations) {
    return makeStateBatch(*this, sources.size(), destinations.size(), isResultStateReusedAcrossBatch(),
                          [&](std::size_t i) {
                              return temporaryResultState(commandBuffer, sources[i], statesAt(sourceStates, i),
                                                          destinations[i]);
                          });
}

}  // namespace MPS
