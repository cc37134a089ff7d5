#include <fmt/format.h>

#include <MPS/CNNMultiaryKernel.hpp>
#include <MPS/NNGradientState.hpp>
#include <MTL/Device.hpp>
#include <MTL/Error.hpp>
#include <algorithm>

#include "mps/core/Checks.h"
#include "mps/core/Encoder.h"
#include "mps/core/ForwardRecord.h"
#include "mps/core/ResultStates.h"
#include "mps/core/StateAccess.h"

namespace MPS {

using namespace pewter::mps;

namespace {

std::size_t atLeastOne(std::size_t sourceCount) {
    if (sourceCount == 0) throw Error("CNNMultiaryKernel", "sourceCount", "at least 1", "0");
    return sourceCount;
}

std::string nameOf(std::size_t source) { return fmt::format("sourceImages[{}]", source); }

ChannelWindow channelsOf(const Kernel& kernel, const CNNBinaryKernel::SourceGeometry& g, const Image& image) {
    return resolveChannels(g.featureChannelOffset, g.featureChannelMaxCount, image.featureChannels(),
                           kernel.name(), "sourceFeatureChannelOffset");
}

void checkCount(const Kernel& kernel, std::size_t found, std::size_t expected) {
    if (found != expected)
        throw Error(kernel.name(), "sourceImages", fmt::format("{} sources", expected),
                    fmt::format("{}", found));
}

/// One batch of one image a source.
std::vector<ImageBatch> asBatches(const std::vector<std::shared_ptr<Image>>& images) {
    std::vector<ImageBatch> batches;
    for (const auto& image : images) batches.push_back({image});
    return batches;
}

std::vector<std::shared_ptr<Image>> imagesAt(const std::vector<ImageBatch>& batches, std::size_t index) {
    std::vector<std::shared_ptr<Image>> images;
    for (const auto& batch : batches) images.push_back(batch.at(index));
    return images;
}

}  // namespace

CNNMultiaryKernel::CNNMultiaryKernel(std::shared_ptr<MTL::Device> device, std::size_t sourceCount)
    : Kernel(std::move(device)),
      sources_(atLeastOne(sourceCount)),
      padding_(NNDefaultPadding::padding(NNPaddingMethodSizeSame)),
      allocator_(TemporaryImage::defaultAllocator()) {}

const CNNBinaryKernel::SourceGeometry& CNNMultiaryKernel::at(std::size_t index) const {
    if (index >= sources_.size())
        throw Error(name(), "index", fmt::format("less than {}, the number of sources", sources_.size()),
                    fmt::format("{}", index));
    return sources_[index];
}

CNNBinaryKernel::SourceGeometry& CNNMultiaryKernel::at(std::size_t index) {
    return const_cast<CNNBinaryKernel::SourceGeometry&>(
        static_cast<const CNNMultiaryKernel*>(this)->at(index));
}

void CNNMultiaryKernel::setPadding(std::shared_ptr<NNPadding> padding) {
    if (!padding) throw Error(name(), "padding", "a padding policy", "null");
    padding_ = std::move(padding);
}

void CNNMultiaryKernel::setDestinationImageAllocator(std::shared_ptr<ImageAllocator> allocator) {
    if (!allocator) throw Error(name(), "destinationImageAllocator", "an allocator", "null");
    allocator_ = std::move(allocator);
}

std::size_t CNNMultiaryKernel::resultFeatureChannels(const std::vector<std::size_t>& sourceChannels) const {
    return sourceChannels[0];
}

ImageDescriptor CNNMultiaryKernel::adjustDescriptor(const std::vector<std::shared_ptr<Image>>&,
                                                    const StateBatch&, const ImageDescriptor& suggested) {
    return suggested;
}

std::shared_ptr<State> CNNMultiaryKernel::newResultState(const StateOwner&,
                                                         const std::vector<std::shared_ptr<Image>>&,
                                                         const StateBatch&, const std::shared_ptr<Image>&) {
    return nullptr;
}

void CNNMultiaryKernel::validate(const MultiaryEncoding&) const {}

ImageDescriptor CNNMultiaryKernel::destinationImageDescriptor(
    const std::vector<std::shared_ptr<Image>>& sourceImages, const StateBatch& sourceStates) {
    checkCount(*this, sourceImages.size(), sourceCount());
    for (std::size_t i = 0; i < sourceImages.size(); ++i)
        if (!sourceImages[i]) throw Error(name(), nameOf(i), "an image", "null");
    const auto method = padding_->paddingMethod();
    const auto dilated = [](std::size_t taps, std::size_t rate) {
        return static_cast<std::int64_t>((taps - 1) * rate + 1);
    };
    const auto signedOf = [](std::size_t n) { return static_cast<std::int64_t>(n); };
    // Source 0 gives the size, every source its own place in it.
    const auto& first = sources_[0];
    const auto x =
        forwardPadding(signedOf(sourceImages[0]->width()), dilated(first.kernelWidth, first.dilationRateX),
                       signedOf(first.strideInPixelsX), method, Axis::X, name());
    const auto y =
        forwardPadding(signedOf(sourceImages[0]->height()), dilated(first.kernelHeight, first.dilationRateY),
                       signedOf(first.strideInPixelsY), method, Axis::Y, name());
    std::vector<std::size_t> channels;
    for (std::size_t i = 0; i < sourceImages.size(); ++i) {
        auto& g = sources_[i];
        const auto& image = *sourceImages[i];
        g.offset.x = paddingOffset(signedOf(image.width()), x.extent, dilated(g.kernelWidth, g.dilationRateX),
                                   signedOf(g.strideInPixelsX), method, Axis::X);
        g.offset.y =
            paddingOffset(signedOf(image.height()), y.extent, dilated(g.kernelHeight, g.dilationRateY),
                          signedOf(g.strideInPixelsY), method, Axis::Y);
        channels.push_back(channelsOf(*this, g, image).count);
    }
    ImageDescriptor suggested;
    suggested.width = static_cast<std::size_t>(x.extent);
    suggested.height = static_cast<std::size_t>(y.extent);
    suggested.featureChannels = resultFeatureChannels(channels);
    suggested.numberOfImages = sourceImages[0]->numberOfImages();
    suggested.channelFormat = resultFormat(sourceImages[0]->featureChannelFormat());
    suggested = adjustDescriptor(sourceImages, sourceStates, suggested);
    for (const auto& state : sourceStates)
        if (state)
            suggested = state->destinationImageDescriptor(sourceImages, sourceStates, *this, suggested);
    if (method & NNPaddingMethodCustom)
        suggested = padding_->destinationImageDescriptor(sourceImages, sourceStates, *this, suggested);
    return suggested;
}

void CNNMultiaryKernel::checkSources(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
                                     const std::vector<ImageBatch>& sources) const {
    checkCommandBuffer(*this, commandBuffer);
    checkCount(*this, sources.size(), sourceCount());
    for (std::size_t i = 0; i < sources.size(); ++i) {
        checkImages(*this, nameOf(i).c_str(), sources[i], sources[i].size() > 1);
        if (sources[i].size() != sources[0].size())
            throw Error(name(), nameOf(i),
                        fmt::format("{} images, as many as of source 0", sources[0].size()),
                        fmt::format("{}", sources[i].size()));
    }
}

ImageBatch CNNMultiaryKernel::makeDestinations(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
                                               const std::vector<ImageBatch>& sources) {
    checkSources(commandBuffer, sources);
    if (sources[0].empty()) return {};
    return allocateDestinations(*this, *allocator_, commandBuffer,
                                destinationImageDescriptor(imagesAt(sources, 0)), sources[0].size());
}

void CNNMultiaryKernel::encodeImages(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
                                     const std::vector<ImageBatch>& sources,
                                     const StateBatch& destinationStates, const ImageBatch& destinations,
                                     bool batch) {
    checkSources(commandBuffer, sources);
    std::vector<std::string> names;
    std::vector<SourceArgument> arguments;
    for (std::size_t i = 0; i < sources.size(); ++i) names.push_back(nameOf(i));
    for (std::size_t i = 0; i < sources.size(); ++i) arguments.push_back({names[i].c_str(), sources[i]});
    checkArguments(*this, commandBuffer, arguments, "sourceStates", {}, destinationStates, destinations,
                   batch);
    if (sources[0].empty()) return;

    MultiaryEncoding encoding{
        .images = sources, .destinationStates = destinationStates, .destinations = destinations};
    const Image& destination = *destinations[0];
    encoding.clip = resolveClip(clipRect_, destination.width(), destination.height());
    encoding.count = batch ? sources[0].size() : std::numeric_limits<std::size_t>::max();
    std::vector<std::size_t> channels;
    for (std::size_t i = 0; i < sources.size(); ++i) {
        const auto& g = sources_[i];
        const Image& image = *sources[i][0];
        checkEdgeMode(*this, fmt::format("edgeModeAtIndex({})", i).c_str(), g.edgeMode);
        checkOffset(*this, fmt::format("offsetAtIndex({})", i).c_str(), g.offset);
        encoding.sources.push_back({image.width(), image.height(), channelsOf(*this, g, image), {}});
        channels.push_back(encoding.sources[i].channels.count);
        if (!batch)
            encoding.count =
                std::min(encoding.count, resolveImages(g.offset, clipRect_, image.numberOfImages(),
                                                       destination.numberOfImages(), name()));
    }
    encoding.resultChannels = resultFeatureChannels(channels);
    checkDestinationChannels(*this, destinationFeatureChannelOffset_, encoding.resultChannels, destination);
    validate(encoding);

    Encoder encoder(*commandBuffer, *this);
    if (!encoding.clip.isEmpty() && encoding.count > 0) {
        encoding.destination =
            encoder.destination(destinations, batch ? 0 : clipRect_.origin.z, encoding.count, encoding.clip,
                                destinationFeatureChannelOffset_, encoding.resultChannels);
        for (std::size_t i = 0; i < sources.size(); ++i) {
            auto& source = encoding.sources[i];
            source.tensor =
                encoder
                    .source(sources[i], batch ? 0 : static_cast<std::size_t>(sources_[i].offset.z),
                            encoding.count)
                    .channels(static_cast<std::int64_t>(source.channels.first),
                              static_cast<std::int64_t>(source.channels.count));
        }
        encoding.encoder = &encoder;
        record(encoding);
    }
    encoder.finish();
    recordStates(destinationStates, sources, destinations);
    for (const auto& source : sources) consumeImages(source, name());
}

void CNNMultiaryKernel::recordStates(const StateBatch& states, const std::vector<ImageBatch>& sources,
                                     const ImageBatch& destinations) const {
    for (std::size_t i = 0; i < states.size(); ++i) {
        if (!states[i]) continue;
        StateAccess::setMaker(*states[i], name());
        auto* state = dynamic_cast<NNMultiaryGradientState*>(states[i].get());
        if (!state) continue;
        const Image& destination = *destinations[i];
        std::vector<std::size_t> channelCounts;
        for (std::size_t k = 0; k < sources.size(); ++k)
            channelCounts.push_back(channelsOf(*this, sources_[k], *sources[k][i]).count);
        std::vector<std::shared_ptr<const ForwardRecord>> records;
        for (std::size_t k = 0; k < sources.size(); ++k) {
            const auto& g = sources_[k];
            const Image& source = *sources[k][i];
            auto record = std::make_shared<ForwardRecord>();
            fillRecord(*record, *this, source, destination);
            record->offset = g.offset;
            record->clip = toRegion(resolveClip(clipRect_, destination.width(), destination.height()),
                                    clipRect_.origin.z, destination.numberOfImages());
            const auto channels = channelsOf(*this, g, source);
            record->sourceFeatureChannelOffset = channels.first;
            record->sourceFeatureChannelMaxCount = g.featureChannelMaxCount;
            record->sourceFeatureChannels = channels.count;
            record->destinationFeatureChannelOffset = destinationFeatureChannelOffset_;
            record->resultFeatureChannels = resultFeatureChannels(channelCounts);
            record->edgeMode = g.edgeMode;
            record->kernelWidth = g.kernelWidth;
            record->kernelHeight = g.kernelHeight;
            record->strideX = g.strideInPixelsX;
            record->strideY = g.strideInPixelsY;
            record->dilationX = g.dilationRateX;
            record->dilationY = g.dilationRateY;
            records.push_back(std::move(record));
        }
        state->setRecords(std::move(records));
    }
}

void CNNMultiaryKernel::encode(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
                               const std::vector<std::shared_ptr<Image>>& sourceImages,
                               const std::shared_ptr<Image>& destinationImage) {
    encodeImages(commandBuffer, asBatches(sourceImages), {}, {destinationImage}, false);
}

void CNNMultiaryKernel::encodeBatch(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
                                    const std::vector<ImageBatch>& sourceImages,
                                    const ImageBatch& destinationImages) {
    checkSources(commandBuffer, sourceImages);
    if (destinationImages.size() != sourceImages[0].size())
        throw Error(name(), "destinationImages",
                    fmt::format("{} images, as many as of each source", sourceImages[0].size()),
                    fmt::format("{}", destinationImages.size()));
    encodeImages(commandBuffer, sourceImages, {}, destinationImages, true);
}

std::shared_ptr<Image> CNNMultiaryKernel::encode(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
                                                 const std::vector<std::shared_ptr<Image>>& sourceImages) {
    const auto destinations = makeDestinations(commandBuffer, asBatches(sourceImages));
    undoOnFailure(destinations, {},
                  [&] { encodeImages(commandBuffer, asBatches(sourceImages), {}, destinations, false); });
    return destinations[0];
}

ImageBatch CNNMultiaryKernel::encodeBatch(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
                                          const std::vector<ImageBatch>& sourceImages) {
    const auto destinations = makeDestinations(commandBuffer, sourceImages);
    undoOnFailure(destinations, {},
                  [&] { encodeImages(commandBuffer, sourceImages, {}, destinations, true); });
    return destinations;
}

std::shared_ptr<Image> CNNMultiaryKernel::encode(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
                                                 const std::vector<std::shared_ptr<Image>>& sourceImages,
                                                 std::shared_ptr<State>* destinationState, bool isTemporary) {
    if (!destinationState) throw Error(name(), "destinationState", "an address for the new state", "null");
    const auto destinations = makeDestinations(commandBuffer, asBatches(sourceImages));
    StateBatch states;
    undoOnFailure(destinations, states, [&] {
        auto state = isTemporary ? temporaryResultState(commandBuffer, sourceImages, {}, destinations[0])
                                 : resultState(sourceImages, {}, destinations[0]);
        if (state) states = {state};
        encodeImages(commandBuffer, asBatches(sourceImages), states, destinations, false);
    });
    *destinationState = states.empty() ? nullptr : states[0];
    return destinations[0];
}

ImageBatch CNNMultiaryKernel::encodeBatch(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
                                          const std::vector<ImageBatch>& sourceImages,
                                          StateBatch* destinationStates, bool isTemporary) {
    if (!destinationStates) throw Error(name(), "destinationStates", "an address for the new states", "null");
    const auto destinations = makeDestinations(commandBuffer, sourceImages);
    StateBatch states;
    undoOnFailure(destinations, states, [&] {
        states = isTemporary ? temporaryResultStateBatch(commandBuffer, sourceImages, {}, destinations)
                             : resultStateBatch(sourceImages, {}, destinations);
        encodeImages(commandBuffer, sourceImages, states, destinations, true);
    });
    *destinationStates = states;
    return destinations;
}

std::shared_ptr<State> CNNMultiaryKernel::resultState(const std::vector<std::shared_ptr<Image>>& sourceImages,
                                                      const StateBatch& sourceStates,
                                                      const std::shared_ptr<Image>& destinationImage) {
    checkStateImages(*this, {{"destinationImage", destinationImage}});
    checkCount(*this, sourceImages.size(), sourceCount());
    for (const auto& image : sourceImages) checkStateImages(*this, {{"sourceImages", image}});
    auto state = newResultState(StateOwner::of(device()), sourceImages, sourceStates, destinationImage);
    recordStates({state}, asBatches(sourceImages), {destinationImage});
    return state;
}

std::shared_ptr<State> CNNMultiaryKernel::temporaryResultState(
    const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
    const std::vector<std::shared_ptr<Image>>& sourceImages, const StateBatch& sourceStates,
    const std::shared_ptr<Image>& destinationImage) {
    checkCommandBuffer(*this, commandBuffer);
    checkStateImages(*this, {{"destinationImage", destinationImage}});
    checkCount(*this, sourceImages.size(), sourceCount());
    for (const auto& image : sourceImages) checkStateImages(*this, {{"sourceImages", image}});
    auto state = newResultState(StateOwner::of(commandBuffer), sourceImages, sourceStates, destinationImage);
    recordStates({state}, asBatches(sourceImages), {destinationImage});
    return state;
}

StateBatch CNNMultiaryKernel::resultStateBatch(const std::vector<ImageBatch>& sourceImages,
                                               const std::vector<StateBatch>& sourceStates,
                                               const ImageBatch& destinationImages) {
    checkCount(*this, sourceImages.size(), sourceCount());
    return makeStateBatch(*this, sourceImages[0].size(), destinationImages.size(),
                          isResultStateReusedAcrossBatch(), [&](std::size_t i) {
                              return resultState(imagesAt(sourceImages, i), statesAt(sourceStates, i),
                                                 destinationImages[i]);
                          });
}

StateBatch CNNMultiaryKernel::temporaryResultStateBatch(
    const std::shared_ptr<MTL::CommandBuffer>& commandBuffer, const std::vector<ImageBatch>& sourceImages,
    const std::vector<StateBatch>& sourceStates, const ImageBatch& destinationImages) {
    checkCount(*this, sourceImages.size(), sourceCount());
    return makeStateBatch(*this, sourceImages[0].size(), destinationImages.size(),
                          isResultStateReusedAcrossBatch(), [&](std::size_t i) {
                              return temporaryResultState(commandBuffer, imagesAt(sourceImages, i),
                                                          statesAt(sourceStates, i), destinationImages[i]);
                          });
}

}  // namespace MPS
