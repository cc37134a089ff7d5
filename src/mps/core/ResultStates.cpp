#include "mps/core/ResultStates.h"

#include <fmt/format.h>

#include <MTL/Error.hpp>

#include "mps/core/ImageAccess.h"

namespace pewter::mps {

void fillRecord(ForwardRecord& record, const MPS::Kernel& kernel, const MPS::Image& source,
                const MPS::Image& destination) {
    record.kernel = kernel.name();
    record.className = kernel.className();
    record.sourceWidth = source.width();
    record.sourceHeight = source.height();
    record.sourceChannels = source.featureChannels();
    record.sourceImages = source.numberOfImages();
    record.sourceFormat = source.featureChannelFormat();
    record.destinationWidth = destination.width();
    record.destinationHeight = destination.height();
    record.destinationChannels = destination.featureChannels();
    record.destinationFormat = destination.featureChannelFormat();
}

void checkStateImages(const MPS::Kernel& kernel,
                      const std::vector<std::pair<const char*, std::shared_ptr<MPS::Image>>>& images) {
    for (const auto& [argument, image] : images)
        if (!image) throw MTL::Error(kernel.name(), argument, "an image", "null");
}

MPS::ImageBatch allocateDestinations(const MPS::Kernel& kernel, MPS::ImageAllocator& allocator,
                                     const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
                                     const MPS::ImageDescriptor& descriptor, std::size_t count) {
    MPS::ImageBatch images;
    try {
        if (count == 1)
            images.push_back(allocator.image(commandBuffer, descriptor, &kernel));
        else
            images = allocator.imageBatch(commandBuffer, descriptor, &kernel, count);
    } catch (const MTL::Error& error) {
        // An image does not know whose it was to be.
        if (error.subject() != "Image") throw;
        throw MTL::Error(kernel.name(), error.argument(), error.expected(), error.found());
    }
    undoOnFailure(images, {}, [&] {
        if (images.size() != count)
            throw MTL::Error(kernel.name(), "destinationImageAllocator", fmt::format("{} images", count),
                             fmt::format("{}", images.size()));
        for (const auto& image : images) {
            if (!image) throw MTL::Error(kernel.name(), "destinationImageAllocator", "an image", "null");
            ImageAccess::setMaker(*image, kernel.name());
        }
    });
    return images;
}

MPS::StateBatch makeStateBatch(const MPS::Kernel& kernel, std::size_t sources, std::size_t destinations, bool reused,
                               const std::function<std::shared_ptr<MPS::State>(std::size_t)>& make) {
    if (sources != destinations)
        throw MTL::Error(kernel.name(), "destinationImage", fmt::format("{} images, as many as sources", sources),
                         fmt::format("{}", destinations));
    if (sources == 0) return {};
    auto first = make(0);
    if (!first) return {};
    if (reused) return MPS::StateBatch(sources, first);
    MPS::StateBatch states{first};
    undoOnFailure({}, states, [&] {
        for (std::size_t i = 1; i < sources; ++i) {
            states.push_back(make(i));
            if (!states.back())
                throw MTL::Error(kernel.name(), "resultStateBatch", "a state for every image or for none",
                                 fmt::format("null for image {}", i));
        }
    });
    return states;
}

MPS::StateBatch statesAt(const std::vector<MPS::StateBatch>& batches, std::size_t index) {
    MPS::StateBatch states;
    for (const auto& batch : batches) states.push_back(batch.at(index));
    return states;
}

}  // namespace pewter::mps
