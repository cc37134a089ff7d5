#include <fmt/format.h>

#include <MPS/NNResize.hpp>
#include <MTL/Error.hpp>
#include <algorithm>
#include <cmath>
#include <unordered_set>

#include "mps/core/Checks.h"
#include "mps/core/Encoder.h"
#include "mps/core/ResultStates.h"
#include "mps/kernels/Resampling.h"

namespace MPS {

using namespace pewter::mps;
namespace ops = pewter::ops;

namespace {

void requireSize(const Kernel& kernel, std::size_t width, std::size_t height) {
    if (width == 0) throw Error(kernel.name(), "resizeWidth", "at least 1", "0");
    if (height == 0) throw Error(kernel.name(), "resizeHeight", "at least 1", "0");
}

ImageDescriptor resized(const ImageDescriptor& suggested, std::size_t width, std::size_t height) {
    ImageDescriptor descriptor = suggested;
    descriptor.width = width;
    descriptor.height = height;
    return descriptor;
}

/// One axis of a region: 0 is the centre of the first of `source` pixels, 1 that of the last.
ops::ResampleAxis cut(std::int64_t offset, double origin, double size, std::size_t source,
                      std::size_t outputs) {
    const auto first = static_cast<double>(offset), last = static_cast<double>(source) - 1;
    if (outputs == 1) return {first + (origin + size / 2) * last, 0, 1};
    return {first + origin * last, size * last, static_cast<double>(outputs) - 1};
}

}  // namespace

// --- resize ---

NNResizeBilinear::NNResizeBilinear(std::shared_ptr<MTL::Device> device, std::size_t resizeWidth,
                                   std::size_t resizeHeight, bool alignCorners)
    : CNNKernel(std::move(device)), width_(resizeWidth), height_(resizeHeight), alignCorners_(alignCorners) {
    requireSize(*this, width_, height_);
}

ImageDescriptor NNResizeBilinear::adjustDescriptor(const std::vector<std::shared_ptr<Image>>&,
                                                   const StateBatch&, const ImageDescriptor& suggested) {
    return resized(suggested, width_, height_);
}

void NNResizeBilinear::record(UnaryEncoding& encoding) {
    const ops::ResampleView view = {
        spread(offset().x, encoding.sourceWidth, static_cast<double>(width_), alignCorners_),
        spread(offset().y, encoding.sourceHeight, static_cast<double>(height_), alignCorners_)};
    encoding.encoder->run([source = encoding.source, destination = encoding.destination, view] {
        ops::ResampleForward op;
        op.src = source.tensor();
        op.dst = destination.tensor();
        op.views = &view;
        return op;
    });
}

std::shared_ptr<Kernel> NNResizeBilinear::copy(const std::shared_ptr<MTL::Device>& device) const {
    auto copy = std::shared_ptr<NNResizeBilinear>(new NNResizeBilinear(*this));
    if (device) copy->setDevice(device);
    return copy;
}

// --- crop and resize ---

NNCropAndResizeBilinear::NNCropAndResizeBilinear(std::shared_ptr<MTL::Device> device, std::size_t resizeWidth,
                                                 std::size_t resizeHeight, std::size_t numberOfRegions,
                                                 const Region* regions)
    : CNNKernel(std::move(device)), width_(resizeWidth), height_(resizeHeight) {
    requireSize(*this, width_, height_);
    if (numberOfRegions == 0) throw Error(name(), "numberOfRegions", "at least 1", "0");
    if (!regions) throw Error(name(), "regions", fmt::format("{} regions", numberOfRegions), "null");
    for (std::size_t i = 0; i < numberOfRegions; ++i) {
        const auto& [origin, size] = regions[i];
        for (const double value : {origin.x, origin.y, size.width, size.height})
            if (!std::isfinite(value))
                throw Error(name(), fmt::format("regions[{}]", i), "finite numbers",
                            fmt::format("{}", value));
    }
    regions_ = std::make_shared<const std::vector<Region>>(regions, regions + numberOfRegions);
}

ImageDescriptor NNCropAndResizeBilinear::adjustDescriptor(const std::vector<std::shared_ptr<Image>>&,
                                                          const StateBatch&,
                                                          const ImageDescriptor& suggested) {
    ImageDescriptor descriptor = resized(suggested, width_, height_);
    descriptor.numberOfImages *= numberOfRegions();
    return descriptor;
}

void NNCropAndResizeBilinear::validate(const UnaryEncoding& encoding) const {
    const auto pictures = [&](const Image& destination) {
        return destination.numberOfImages() - static_cast<std::size_t>(clipRect().origin.z);
    };
    const std::size_t sources = encoding.images / encoding.destinations.size();
    for (const auto& destination : encoding.destinations)
        if (pictures(*destination) < sources * numberOfRegions())
            throw Error(name(), "destinationImage",
                        fmt::format("room for {} pictures, {} regions of {}", sources * numberOfRegions(),
                                    numberOfRegions(), sources),
                        fmt::format("{} from clipRect.origin.z on", pictures(*destination)));
}

void NNCropAndResizeBilinear::record(UnaryEncoding& encoding) {
    auto& encoder = *encoding.encoder;
    const std::size_t count = numberOfRegions();
    // The base has prepared one picture for each of the source.
    const auto destination =
        count == 1
            ? encoding.destination
            : encoder.destination(encoding.destinations, clipRect().origin.z, encoding.images * count,
                                  encoding.clip, destinationFeatureChannelOffset(), encoding.resultChannels);
    std::vector<ops::ResampleView> views;
    for (const auto& [origin, size] : *regions_)
        views.push_back({cut(offset().x, origin.x, size.width, encoding.sourceWidth, width_),
                         cut(offset().y, origin.y, size.height, encoding.sourceHeight, height_)});
    encoder.run([source = encoding.source, destination, views = std::move(views)] {
        ops::ResampleForward op;
        op.src = source.tensor();
        op.dst = destination.tensor();
        op.views = views.data();
        op.viewCount = static_cast<std::int64_t>(views.size());
        op.zeroOutside = true;
        return op;
    });
}

void NNCropAndResizeBilinear::encodeBatch(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
                                          const ImageBatch& sourceImages,
                                          const ImageBatch& destinationImages) {
    encodeBatch(commandBuffer, sourceImages, StateBatch{}, destinationImages);
}

void NNCropAndResizeBilinear::encodeBatch(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
                                          const ImageBatch& sourceImages, const StateBatch& destinationStates,
                                          const ImageBatch& destinationImages) {
    if (destinationImages.size() != sourceImages.size())
        throw Error(name(), "destinationImages",
                    fmt::format("{} images, as many as sources", sourceImages.size()),
                    fmt::format("{}", destinationImages.size()));
    // Everything that one of the images could be refused for comes before the first is encoded.
    checkImages(*this, "sourceImage", sourceImages, true);
    checkArguments(*this, commandBuffer, {{"sourceImage", sourceImages}}, "sourceStates", {},
                   destinationStates, destinationImages, false);
    std::unordered_set<const Image*> temporaries;
    for (const auto& source : sourceImages)
        if (source->isTemporary() && !temporaries.insert(source.get()).second)
            throw Error(name(), "sourceImage", "every temporary image once",
                        source->description() + " twice");
    for (const auto& destination : destinationImages)
        if (destination->numberOfImages() < clipRect().origin.z + numberOfRegions())
            throw Error(name(), "destinationImage", fmt::format("room for {} regions", numberOfRegions()),
                        destination->description());
    for (std::size_t i = 0; i < sourceImages.size(); ++i)
        encodeImages(commandBuffer, {sourceImages[i]}, {},
                     destinationStates.empty() ? StateBatch{} : StateBatch{destinationStates[i]},
                     {destinationImages[i]}, false);
}

ImageBatch NNCropAndResizeBilinear::encodeBatch(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
                                                const ImageBatch& sourceImages) {
    const auto destinations = makeDestinations(commandBuffer, sourceImages, {});
    undoOnFailure(destinations, {}, [&] { encodeBatch(commandBuffer, sourceImages, destinations); });
    return destinations;
}

ImageBatch NNCropAndResizeBilinear::encodeBatch(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
                                                const ImageBatch& sourceImages, StateBatch* destinationStates,
                                                bool) {
    if (!destinationStates) throw Error(name(), "destinationStates", "an address for the new states", "null");
    auto destinations = encodeBatch(commandBuffer, sourceImages);
    destinationStates->clear();
    return destinations;
}

std::shared_ptr<Kernel> NNCropAndResizeBilinear::copy(const std::shared_ptr<MTL::Device>& device) const {
    auto copy = std::shared_ptr<NNCropAndResizeBilinear>(new NNCropAndResizeBilinear(*this));
    if (device) copy->setDevice(device);
    return copy;
}

}  // namespace MPS
