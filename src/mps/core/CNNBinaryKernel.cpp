#include <fmt/format.h>

#include <MPS/CNNBinaryKernel.hpp>
#include <MPS/NNGradientState.hpp>
#include <MTL/Device.hpp>
#include <MTL/Error.hpp>

#include "mps/core/Checks.h"
#include "mps/core/Encoder.h"
#include "mps/core/ForwardRecord.h"
#include "mps/core/ResultStates.h"
#include "mps/core/StateAccess.h"

namespace MPS {

using namespace pewter::mps;

CNNBinaryKernel::CNNBinaryKernel(std::shared_ptr<MTL::Device> device)
    : Kernel(std::move(device)),
      padding_(NNDefaultPadding::padding(NNPaddingMethodSizeSame)),
      allocator_(TemporaryImage::defaultAllocator()) {}

void CNNBinaryKernel::setPadding(std::shared_ptr<NNPadding> padding) {
    if (!padding) throw Error(name(), "padding", "a padding policy", "null");
    padding_ = std::move(padding);
}

void CNNBinaryKernel::setDestinationImageAllocator(std::shared_ptr<ImageAllocator> allocator) {
    if (!allocator) throw Error(name(), "destinationImageAllocator", "an allocator", "null");
    allocator_ = std::move(allocator);
}

std::size_t CNNBinaryKernel::resultFeatureChannels(std::size_t primaryChannels, std::size_t) const {
    return primaryChannels;
}

std::size_t CNNBinaryKernel::resultChannelsOf(const BinaryEncoding& encoding) const {
    return resultFeatureChannels(encoding.primaryChannels.count, encoding.secondaryChannels.count);
}

ImageDescriptor CNNBinaryKernel::adjustDescriptor(const std::vector<std::shared_ptr<Image>>&, const StateBatch&,
                                                  const ImageDescriptor& suggested) {
    return suggested;
}

std::shared_ptr<State> CNNBinaryKernel::newResultState(const StateOwner&, const std::shared_ptr<Image>&,
                                                       const std::shared_ptr<Image>&, const StateBatch&,
                                                       const std::shared_ptr<Image>&) {
    return nullptr;
}

void CNNBinaryKernel::fitToDestination(BinaryEncoding&) const {}

void CNNBinaryKernel::validate(const BinaryEncoding&) const {}

std::size_t CNNBinaryKernel::encodingStorageSize(const std::shared_ptr<Image>&, const std::shared_ptr<Image>&,
                                                 const StateBatch&, const std::shared_ptr<Image>&) const {
    return 0;
}

std::size_t CNNBinaryKernel::batchEncodingStorageSize(const ImageBatch&, const ImageBatch&,
                                                      const std::vector<StateBatch>&, const ImageBatch&) const {
    return 0;
}

namespace {

ChannelWindow channelsOf(const CNNBinaryKernel& kernel, const CNNBinaryKernel::SourceGeometry& geometry,
                         const Image& image, const char* argument) {
    return resolveChannels(geometry.featureChannelOffset, geometry.featureChannelMaxCount, image.featureChannels(),
                           kernel.name(), argument, kernel.sourceChannelAlignment());
}

}  // namespace

std::shared_ptr<ForwardRecord> CNNBinaryKernel::captureRecord(const Image& source, bool secondary,
                                                              const Image& destination) const {
    auto record = std::make_shared<ForwardRecord>();
    fillRecord(*record, *this, source, destination);
    const auto& g = secondary ? secondary_ : primary_;
    record->offset = g.offset;
    record->clip = toRegion(resolveClip(clipRect_, destination.width(), destination.height()), clipRect_.origin.z,
                            destination.numberOfImages());
    const auto channels = channelsOf(*this, g, source, "sourceFeatureChannelOffset");
    record->sourceFeatureChannelOffset = channels.first;
    record->sourceFeatureChannelMaxCount = g.featureChannelMaxCount;
    record->sourceFeatureChannels = channels.count;
    record->destinationFeatureChannelOffset = destinationFeatureChannelOffset_;
    record->resultFeatureChannels = destination.featureChannels() - destinationFeatureChannelOffset_;
    record->edgeMode = g.edgeMode;
    record->kernelWidth = g.kernelWidth;
    record->kernelHeight = g.kernelHeight;
    record->strideX = g.strideInPixelsX;
    record->strideY = g.strideInPixelsY;
    record->dilationX = g.dilationRateX;
    record->dilationY = g.dilationRateY;
    return record;
}

void CNNBinaryKernel::setRecords(NNBinaryGradientState& state, const Image& primary, const Image& secondary,
                                 const Image& destination, std::size_t resultChannels) const {
    auto first = captureRecord(primary, false, destination), second = captureRecord(secondary, true, destination);
    // What the kernel writes, which may be less than the destination has from the offset on.
    first->resultFeatureChannels = second->resultFeatureChannels = resultChannels;
    state.setRecords(std::move(first), std::move(second));
}

ImageDescriptor CNNBinaryKernel::destinationImageDescriptor(const std::vector<std::shared_ptr<Image>>& sourceImages,
                                                            const StateBatch& sourceStates) {
    if (sourceImages.size() != 2 || !sourceImages[0] || !sourceImages[1])
        throw Error(name(), "sourceImages", fmt::format("{} and {}", primaryName(), secondaryName()),
                    sourceImages.size() == 2 ? "null" : fmt::format("{} images", sourceImages.size()));
    const auto &primary = *sourceImages[0], &secondary = *sourceImages[1];
    const auto method = padding_->paddingMethod();
    // The primary source sizes an axis, unless it is broadcast along it.
    const auto axis = [&](Axis which, std::size_t primaryExtent, std::size_t secondaryExtent, std::size_t p,
                          std::size_t s, std::size_t primaryWindow, std::size_t secondaryWindow, std::int64_t& po,
                          std::int64_t& so) {
        const bool byPrimary = p != 0 || s == 0;
        const auto extent = static_cast<std::int64_t>(byPrimary ? primaryExtent : secondaryExtent);
        const auto window = static_cast<std::int64_t>(byPrimary ? primaryWindow : secondaryWindow);
        const auto stride = static_cast<std::int64_t>(std::max<std::size_t>(byPrimary ? p : s, 1));
        const auto result = forwardPadding(extent, window, stride, method, which, name());
        po = p == 0 ? 0
                    : paddingOffset(static_cast<std::int64_t>(primaryExtent), result.extent,
                                    static_cast<std::int64_t>(primaryWindow), static_cast<std::int64_t>(p), method,
                                    which);
        so = s == 0 ? 0
                    : paddingOffset(static_cast<std::int64_t>(secondaryExtent), result.extent,
                                    static_cast<std::int64_t>(secondaryWindow), static_cast<std::int64_t>(s), method,
                                    which);
        return static_cast<std::size_t>(result.extent);
    };
    const auto dilated = [](std::size_t taps, std::size_t rate) { return (taps - 1) * rate + 1; };
    ImageDescriptor suggested;
    if (acceptsPlainEncodes()) {
        suggested.width = axis(Axis::X, primary.width(), secondary.width(), primary_.strideInPixelsX,
                               secondary_.strideInPixelsX, dilated(primary_.kernelWidth, primary_.dilationRateX),
                               dilated(secondary_.kernelWidth, secondary_.dilationRateX), primary_.offset.x,
                               secondary_.offset.x);
        suggested.height = axis(Axis::Y, primary.height(), secondary.height(), primary_.strideInPixelsY,
                                secondary_.strideInPixelsY, dilated(primary_.kernelHeight, primary_.dilationRateY),
                                dilated(secondary_.kernelHeight, secondary_.dilationRateY), primary_.offset.y,
                                secondary_.offset.y);
    } else {
        // A gradient has the geometry of the forward source; the state says the rest.
        suggested.width = secondary.width();
        suggested.height = secondary.height();
    }
    if (sourceStates.empty())
        suggested.featureChannels =
            resultFeatureChannels(channelsOf(*this, primary_, primary, "primarySourceFeatureChannelOffset").count,
                                  channelsOf(*this, secondary_, secondary, "secondarySourceFeatureChannelOffset").count);
    else  // the windows come from the state
        suggested.featureChannels = resultFeatureChannels(primary.featureChannels(), secondary.featureChannels());
    suggested.numberOfImages = primary.numberOfImages();
    suggested.channelFormat = resultFormat(primary.featureChannelFormat());
    suggested = adjustDescriptor(sourceImages, sourceStates, suggested);
    for (const auto& state : sourceStates)
        if (state) suggested = state->destinationImageDescriptor(sourceImages, sourceStates, *this, suggested);
    if (method & NNPaddingMethodCustom)
        suggested = padding_->destinationImageDescriptor(sourceImages, sourceStates, *this, suggested);
    return suggested;
}

void CNNBinaryKernel::encodeImages(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
                                   const ImageBatch& primaries, const ImageBatch& secondaries,
                                   const StateBatch& sourceStates, const StateBatch& destinationStates,
                                   const ImageBatch& destinations, bool batch) {
    checkArguments(*this, commandBuffer, {{primaryName(), primaries}, {secondaryName(), secondaries}},
                   acceptsPlainEncodes() ? "sourceStates" : "gradientState", sourceStates, destinationStates,
                   destinations, batch);
    if (primaries.empty()) return;
    checkEdgeMode(*this, "primaryEdgeMode", primary_.edgeMode, acceptsAllEdgeModes());
    checkEdgeMode(*this, "secondaryEdgeMode", secondary_.edgeMode, acceptsAllEdgeModes());
    BinaryEncoding encoding{.primaries = primaries,
                            .secondaries = secondaries,
                            .sourceStates = sourceStates,
                            .destinationStates = destinationStates,
                            .destinations = destinations};
    checkOffset(*this, "primaryOffset", primary_.offset);
    checkOffset(*this, "secondaryOffset", secondary_.offset);
    const Image &primary = *primaries[0], &secondary = *secondaries[0];
    encoding.primaryWidth = primary.width();
    encoding.primaryHeight = primary.height();
    encoding.secondaryWidth = secondary.width();
    encoding.secondaryHeight = secondary.height();
    encoding.primaryChannels = channelsOf(*this, primary_, primary, "primarySourceFeatureChannelOffset");
    encoding.secondaryChannels = channelsOf(*this, secondary_, secondary, "secondarySourceFeatureChannelOffset");
    encoding.resultChannels = resultChannelsOf(encoding);
    encoding.images = batch ? primaries.size() : primary.numberOfImages();
    std::size_t firstPrimary = 0, firstSecondary = 0, firstDestination = 0;
    if (!destinations.empty()) {
        const Image& destination = *destinations[0];
        encoding.clip = resolveClip(clipRect_, destination.width(), destination.height());
        fitToDestination(encoding);
        checkDestinationChannels(*this, destinationFeatureChannelOffset_, encoding.resultChannels, destination);
        if (!batch) {
            encoding.images = std::min(resolveImages(primary_.offset, clipRect_, primary.numberOfImages(),
                                                     destination.numberOfImages(), name()),
                                       resolveImages(secondary_.offset, clipRect_, secondary.numberOfImages(),
                                                     destination.numberOfImages(), name()));
            firstPrimary = static_cast<std::size_t>(primary_.offset.z);
            firstSecondary = static_cast<std::size_t>(secondary_.offset.z);
            firstDestination = clipRect_.origin.z;
        }
    } else if (!batch) {
        encoding.images = std::min(primary.numberOfImages(), secondary.numberOfImages());
    }
    validate(encoding);

    Encoder encoder(*commandBuffer, *this);
    if (destinations.empty() || (!encoding.clip.isEmpty() && encoding.images > 0)) {
        if (!destinations.empty())
            encoding.destination = encoder.destination(destinations, firstDestination, encoding.images, encoding.clip,
                                                       destinationFeatureChannelOffset_, encoding.resultChannels);
        encoding.primary = encoder.source(primaries, firstPrimary, encoding.images)
                               .channels(static_cast<std::int64_t>(encoding.primaryChannels.first),
                                         static_cast<std::int64_t>(encoding.primaryChannels.count));
        encoding.secondary = encoder.source(secondaries, firstSecondary, encoding.images)
                                 .channels(static_cast<std::int64_t>(encoding.secondaryChannels.first),
                                           static_cast<std::int64_t>(encoding.secondaryChannels.count));
        encoding.encoder = &encoder;
        record(encoding);
    }
    encoder.finish();
    if (!destinations.empty())
        for (std::size_t i = 0; i < destinationStates.size(); ++i) {
            StateAccess::setMaker(*destinationStates[i], name());
            // A state that serves the whole batch records its first image.
            if (i > 0 && destinationStates[i] == destinationStates[i - 1]) continue;
            if (auto* state = dynamic_cast<NNBinaryGradientState*>(destinationStates[i].get()))
                setRecords(*state, *primaries[i], *secondaries[i], *destinations[i], encoding.resultChannels);
        }
    consumeImages(primaries, name());
    consumeImages(secondaries, name());
    consumeStates(sourceStates, name());
}

namespace {

void requirePlain(const Kernel& kernel, bool accepts) {
    if (!accepts)
        throw Error(kernel.name(), "encode", "a form with a gradient state",
                    "the plain form of a kernel with two sources");
}

}  // namespace

void CNNBinaryKernel::encode(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
                             const std::shared_ptr<Image>& primaryImage, const std::shared_ptr<Image>& secondaryImage,
                             const std::shared_ptr<Image>& destinationImage) {
    requirePlain(*this, acceptsPlainEncodes());
    encodeImages(commandBuffer, {primaryImage}, {secondaryImage}, {}, {}, {destinationImage}, false);
}

void CNNBinaryKernel::encodeBatch(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
                                  const ImageBatch& primaryImages, const ImageBatch& secondaryImages,
                                  const ImageBatch& destinationImages) {
    requirePlain(*this, acceptsPlainEncodes());
    if (destinationImages.size() != primaryImages.size())
        throw Error(name(), "destinationImages", fmt::format("{} images, as many as sources", primaryImages.size()),
                    fmt::format("{}", destinationImages.size()));
    encodeImages(commandBuffer, primaryImages, secondaryImages, {}, {}, destinationImages, true);
}

void CNNBinaryKernel::checkReturned(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
                                    const ImageBatch& primaries, const ImageBatch& secondaries) const {
    checkCommandBuffer(*this, commandBuffer);
    checkImages(*this, primaryName(), primaries, primaries.size() > 1);
    checkImages(*this, secondaryName(), secondaries, secondaries.size() > 1);
    if (primaries.size() != secondaries.size())
        throw Error(name(), secondaryName(), fmt::format("{} images, as many as {}", primaries.size(), primaryName()),
                    fmt::format("{}", secondaries.size()));
}

ImageBatch CNNBinaryKernel::makeDestinations(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
                                             const ImageBatch& primaries, const ImageBatch& secondaries,
                                             const StateBatch& sourceStates) {
    checkReturned(commandBuffer, primaries, secondaries);
    if (primaries.empty()) return {};
    const auto descriptor = destinationImageDescriptor(
        {primaries[0], secondaries[0]}, sourceStates.empty() ? StateBatch{} : StateBatch{sourceStates[0]});
    return allocateDestinations(*this, *allocator_, commandBuffer, descriptor, primaries.size());
}

std::shared_ptr<Image> CNNBinaryKernel::encode(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
                                               const std::shared_ptr<Image>& primaryImage,
                                               const std::shared_ptr<Image>& secondaryImage) {
    requirePlain(*this, acceptsPlainEncodes());
    const auto destinations = makeDestinations(commandBuffer, {primaryImage}, {secondaryImage}, {});
    undoOnFailure(destinations, {}, [&] {
        encodeImages(commandBuffer, {primaryImage}, {secondaryImage}, {}, {}, destinations, false);
    });
    return destinations[0];
}

ImageBatch CNNBinaryKernel::encodeBatch(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
                                        const ImageBatch& primaryImages, const ImageBatch& secondaryImages) {
    requirePlain(*this, acceptsPlainEncodes());
    const auto destinations = makeDestinations(commandBuffer, primaryImages, secondaryImages, {});
    undoOnFailure(destinations, {}, [&] {
        encodeImages(commandBuffer, primaryImages, secondaryImages, {}, {}, destinations, true);
    });
    return destinations;
}

std::shared_ptr<Image> CNNBinaryKernel::encode(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
                                               const std::shared_ptr<Image>& primaryImage,
                                               const std::shared_ptr<Image>& secondaryImage,
                                               std::shared_ptr<State>* destinationState, bool isTemporary) {
    requirePlain(*this, acceptsPlainEncodes());
    if (!destinationState) throw Error(name(), "destinationState", "an address for the new state", "null");
    const auto destinations = makeDestinations(commandBuffer, {primaryImage}, {secondaryImage}, {});
    StateBatch states;
    undoOnFailure(destinations, states, [&] {
        auto state = isTemporary
                         ? temporaryResultState(commandBuffer, primaryImage, secondaryImage, {}, destinations[0])
                         : resultState(primaryImage, secondaryImage, {}, destinations[0]);
        if (state) states = {state};
        encodeImages(commandBuffer, {primaryImage}, {secondaryImage}, {}, states, destinations, false);
    });
    *destinationState = states.empty() ? nullptr : states[0];
    return destinations[0];
}

ImageBatch CNNBinaryKernel::encodeBatch(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
                                        const ImageBatch& primaryImages, const ImageBatch& secondaryImages,
                                        StateBatch* destinationStates, bool isTemporary) {
    requirePlain(*this, acceptsPlainEncodes());
    if (!destinationStates) throw Error(name(), "destinationStates", "an address for the new states", "null");
    const auto destinations = makeDestinations(commandBuffer, primaryImages, secondaryImages, {});
    StateBatch states;
    undoOnFailure(destinations, states, [&] {
        states = isTemporary
                     ? temporaryResultStateBatch(commandBuffer, primaryImages, secondaryImages, {}, destinations)
                     : resultStateBatch(primaryImages, secondaryImages, {}, destinations);
        encodeImages(commandBuffer, primaryImages, secondaryImages, {}, states, destinations, true);
    });
    *destinationStates = states;
    return destinations;
}

std::shared_ptr<State> CNNBinaryKernel::resultState(const std::shared_ptr<Image>& primaryImage,
                                                    const std::shared_ptr<Image>& secondaryImage,
                                                    const StateBatch& sourceStates,
                                                    const std::shared_ptr<Image>& destinationImage) {
    checkStateImages(*this, {{primaryName(), primaryImage},
                             {secondaryName(), secondaryImage},
                             {"destinationImage", destinationImage}});
    auto state = newResultState(StateOwner::of(device()), primaryImage, secondaryImage, sourceStates,
                                destinationImage);
    if (auto* gradient = dynamic_cast<NNBinaryGradientState*>(state.get()))
        setRecords(
            *gradient, *primaryImage, *secondaryImage, *destinationImage,
            resultFeatureChannels(
                channelsOf(*this, primary_, *primaryImage, "primarySourceFeatureChannelOffset").count,
                channelsOf(*this, secondary_, *secondaryImage, "secondarySourceFeatureChannelOffset").count));
    return state;
}

std::shared_ptr<State> CNNBinaryKernel::temporaryResultState(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
                                                             const std::shared_ptr<Image>& primaryImage,
                                                             const std::shared_ptr<Image>& secondaryImage,
                                                             const StateBatch& sourceStates,
                                                             const std::shared_ptr<Image>& destinationImage) {
    checkCommandBuffer(*this, commandBuffer);
    checkStateImages(*this, {{primaryName(), primaryImage},
                             {secondaryName(), secondaryImage},
                             {"destinationImage", destinationImage}});
    auto state = newResultState(StateOwner::of(commandBuffer), primaryImage, secondaryImage, sourceStates,
                                destinationImage);
    if (state) StateAccess::setMaker(*state, name());
    if (auto* gradient = dynamic_cast<NNBinaryGradientState*>(state.get()))
        setRecords(
            *gradient, *primaryImage, *secondaryImage, *destinationImage,
            resultFeatureChannels(
                channelsOf(*this, primary_, *primaryImage, "primarySourceFeatureChannelOffset").count,
                channelsOf(*this, secondary_, *secondaryImage, "secondarySourceFeatureChannelOffset").count));
    return state;
}

StateBatch CNNBinaryKernel::resultStateBatch(const ImageBatch& primaries, const ImageBatch& secondaries,
                                             const std::vector<StateBatch>& sourceStates,
                                             const ImageBatch& destinations) {
    return makeStateBatch(*this, primaries.size(), destinations.size(), isResultStateReusedAcrossBatch(),
                          [&](std::size_t i) {
                              return resultState(primaries[i], secondaries.at(i), statesAt(sourceStates, i),
                                                 destinations[i]);
                          });
}

StateBatch CNNBinaryKernel::temporaryResultStateBatch(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
                                                      const ImageBatch& primaries, const ImageBatch& secondaries,
                                                      const std::vector<StateBatch>& sourceStates,
                                                      const ImageBatch& destinations) {
    return makeStateBatch(*this, primaries.size(), destinations.size(), isResultStateReusedAcrossBatch(),
                          [&](std::size_t i) {
                              return temporaryResultState(commandBuffer, primaries[i], secondaries.at(i),
                                                          statesAt(sourceStates, i), destinations[i]);
                          });
}

}  // namespace MPS
