#include "mps/core/Checks.h"

#include <fmt/format.h>

#include <MTL/Device.hpp>
#include <MTL/Error.hpp>
#include <algorithm>
#include <tuple>
#include <unordered_map>
#include <unordered_set>

#include "mps/core/ImageAccess.h"
#include "mps/core/StateAccess.h"
#include "mtl/CommandBuffer.h"

namespace pewter::mps {

using MTL::Error;

void checkCommandBuffer(const MPS::Kernel& kernel, const std::shared_ptr<MTL::CommandBuffer>& commandBuffer) {
    if (!commandBuffer) throw Error(kernel.name(), "commandBuffer", "a command buffer", "null");
    const auto& root = mtl::recordingBuffer(*commandBuffer, kernel.name());
    if (root.device() != kernel.device())
        throw Error(kernel.name(), "commandBuffer",
                    fmt::format("one of device {}, the kernel's", kernel.device()->name()),
                    fmt::format("one of device {}", root.device()->name()));
}

void checkImages(const MPS::Kernel& kernel, const char* argument, const MPS::ImageBatch& images, bool batch) {
    const auto& backend = mtl::deviceOf(*kernel.device()).backend();
    for (std::size_t i = 0; i < images.size(); ++i) {
        const auto where = [&] { return batch ? fmt::format("{}[{}]", argument, i) : std::string(argument); };
        const auto& image = images[i];
        if (!image) throw Error(kernel.name(), where(), "an image", "null");
        if (image->device() != kernel.device())
            throw Error(kernel.name(), where(), fmt::format("an image of device {}", kernel.device()->name()),
                        fmt::format("one of device {}", image->device()->name()));
        const auto& first = images.front();
        if (batch && image->numberOfImages() != 1)
            throw Error(kernel.name(), where(), "an image that holds one picture in a batch",
                        fmt::format("one that holds {}", image->numberOfImages()));
        if (i == 0) {
            if (!backend.supports(typeOf(image->featureChannelFormat(), kernel.name())))
                throw Error(kernel.name(), where(),
                            fmt::format("a channel format that device {} computes", kernel.device()->name()),
                            nameOf(image->featureChannelFormat()));
        } else if (image->width() != first->width() || image->height() != first->height() ||
                   image->featureChannels() != first->featureChannels() ||
                   image->featureChannelFormat() != first->featureChannelFormat()) {
            throw Error(kernel.name(), where(), "the size and format of the batch's first image, " + first->description(),
                        image->description());
        }
    }
}

namespace {

void checkCount(const MPS::Kernel& kernel, const char* argument, std::size_t expected, std::size_t found) {
    if (expected != found)
        throw Error(kernel.name(), argument, fmt::format("{} entries, as in the other arguments", expected),
                    fmt::format("{}", found));
}

/// In how many argument slots a temporary is read, and their names: each slot is a reader.
struct Slots {
    std::size_t count = 0;
    std::string names;
};

std::unordered_map<const MPS::Image*, Slots> countSlots(const std::vector<SourceArgument>& sources) {
    std::unordered_map<const MPS::Image*, Slots> slots;
    for (const auto& source : sources) {
        std::unordered_set<const MPS::Image*> seen;
        for (const auto& image : source.images)
            if (image->isTemporary() && seen.insert(image.get()).second) {
                auto& slot = slots[image.get()];
                slot.names += (slot.count++ ? " and " : "") + std::string(source.name);
            }
    }
    return slots;
}

/// A kernel reads and writes images as textures: their usage must allow it. Unknown (0) allows everything.
void checkUsage(const MPS::Kernel& kernel, const char* argument, const MPS::ImageBatch& images, bool write) {
    const auto needed = write ? MTL::TextureUsageShaderWrite : MTL::TextureUsageShaderRead;
    for (const auto& image : images)
        if (const auto usage = image->usage(); usage != MTL::TextureUsageUnknown && !(usage & needed))
            throw Error(kernel.name(), argument,
                        fmt::format("an image whose usage has {}", write ? "ShaderWrite" : "ShaderRead"),
                        fmt::format("{} with usage {:#x}", image->description(), usage));
}

/// No two destinations may touch a common element. Sorted by place, so that only images that reach into one another
/// are compared.
void checkDestinationsApart(const MPS::Kernel& kernel, const MPS::ImageBatch& destinations) {
    if (destinations.size() < 2) return;
    struct Written {
        const void* storage;
        ImageAccess::Interval interval;
        const MPS::Image* image;
    };
    std::vector<Written> written;
    written.reserve(destinations.size());
    for (const auto& image : destinations)
        written.push_back({ImageAccess::storage(*image)->identity(), ImageAccess::interval(*image), image.get()});
    std::sort(written.begin(), written.end(), [](const Written& a, const Written& b) {
        return std::tie(a.storage, a.interval.first) < std::tie(b.storage, b.interval.first);
    });
    for (std::size_t i = 0; i < written.size(); ++i)
        for (std::size_t j = i + 1; j < written.size() && written[j].storage == written[i].storage &&
                                    written[j].interval.first < written[i].interval.end;
             ++j) {
            if (written[i].image == written[j].image)
                throw Error(kernel.name(), "destinationImages", "distinct images",
                            written[i].image->description() + " twice");
            if (ImageAccess::overlap(*written[i].image, *written[j].image))
                throw Error(kernel.name(), "destinationImages", "images that share no memory with each other",
                            fmt::format("{} and {}, which overlap", written[i].image->description(),
                                        written[j].image->description()));
        }
}

}  // namespace

void checkArguments(const MPS::Kernel& kernel, const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
                    const std::vector<SourceArgument>& sources, const char* statesName,
                    const MPS::StateBatch& sourceStates, const MPS::StateBatch& destinationStates,
                    const MPS::ImageBatch& destinations, bool batch) {
    checkCommandBuffer(kernel, commandBuffer);
    const std::size_t count = sources.front().images.size();
    for (const auto& source : sources) {
        checkCount(kernel, source.name, count, source.images.size());
        checkImages(kernel, source.name, source.images, batch);
    }
    if (!destinations.empty()) {
        checkCount(kernel, "destinationImages", count, destinations.size());
        checkImages(kernel, "destinationImage", destinations, batch);
    }
    if (!sourceStates.empty()) checkCount(kernel, statesName, count, sourceStates.size());
    if (!destinationStates.empty()) checkCount(kernel, "destinationStates", count, destinationStates.size());

    const auto& heap = *mtl::rootOf(*commandBuffer).heap();
    const auto slots = countSlots(sources);
    for (const auto& source : sources)
        for (const auto& image : source.images)
            if (const auto& temporary = ImageAccess::temporary(*image))
                temporary->require(kernel.name(), slots.at(image.get()).names, heap, slots.at(image.get()).count);
    for (const auto& image : destinations)
        if (const auto& temporary = ImageAccess::temporary(*image))
            temporary->require(kernel.name(), "destinationImage", heap, 0);
    for (const auto& state : sourceStates) {
        if (!state) throw Error(kernel.name(), statesName, "a state", "null");
        requireState(*state, kernel.name(), statesName, *commandBuffer, 1);
    }
    for (const auto& state : destinationStates) {
        if (!state) throw Error(kernel.name(), "destinationState", "a state", "null");
        requireState(*state, kernel.name(), "destinationState", *commandBuffer, 0);
    }

    for (const auto& source : sources) checkUsage(kernel, source.name, source.images, false);
    checkUsage(kernel, "destinationImage", destinations, true);
    checkDestinationsApart(kernel, destinations);

    // Sources against destinations; images that share no memory are told apart by one comparison of pointers.
    std::unordered_multimap<const void*, const MPS::Image*> written;
    for (const auto& image : destinations) written.emplace(ImageAccess::storage(*image)->identity(), image.get());
    for (const auto& source : sources)
        for (const auto& image : source.images) {
            const auto [from, to] = written.equal_range(ImageAccess::storage(*image)->identity());
            for (auto it = from; it != to; ++it)
                if (ImageAccess::overlap(*image, *it->second))
                    throw Error(kernel.name(), "destinationImage",
                                fmt::format("an image that shares no memory with {}", source.name),
                                it->second->description());
        }
}

void checkOffset(const MPS::Kernel& kernel, const char* argument, const MPS::Offset& offset) {
    constexpr std::int64_t kFarthest = std::int64_t{1} << 40;
    for (const std::int64_t along : {offset.x, offset.y})
        if (along < -kFarthest || along > kFarthest)
            throw Error(kernel.name(), argument, fmt::format("at most {} pixels either way", kFarthest),
                        fmt::format("{}", along));
}

void checkDestinationChannels(const MPS::Kernel& kernel, std::size_t offset, std::size_t channels,
                              const MPS::Image& destination) {
    if (offset % 4 != 0)
        throw Error(kernel.name(), "destinationFeatureChannelOffset", "a multiple of 4", fmt::format("{}", offset));
    if (destination.featureChannels() < offset + channels)
        throw Error(kernel.name(), "destinationImage",
                    fmt::format("at least {} feature channels ({} from channel {})", offset + channels, channels,
                                offset),
                    destination.description());
}

void checkEdgeMode(const MPS::Kernel& kernel, const char* argument, MPS::ImageEdgeMode mode, bool all) {
    if (all && mode <= MPS::ImageEdgeMode::Constant) return;
    if (mode != MPS::ImageEdgeMode::Zero && mode != MPS::ImageEdgeMode::Clamp)
        throw Error(kernel.name(), argument, all ? "one of five" : "Zero or Clamp",
                    fmt::format("ImageEdgeMode {}", static_cast<std::uint64_t>(mode)));
}

void consumeImages(const MPS::ImageBatch& images, const std::string& kernel) {
    std::unordered_set<const MPS::Image*> seen;
    for (const auto& image : images)
        if (image->isTemporary() && seen.insert(image.get()).second) ImageAccess::temporary(*image)->consume(kernel);
}

void discard(const MPS::ImageBatch& images, const MPS::StateBatch& states) {
    for (const auto& image : images)
        if (image && image->isTemporary() && ImageAccess::temporary(*image)->readCount() > 0)
            ImageAccess::temporary(*image)->setReadCount(0);
    for (const auto& state : states)
        if (state && state->isTemporary() && state->readCount() > 0) state->setReadCount(0);
}

}  // namespace pewter::mps
