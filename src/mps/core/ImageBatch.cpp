#include <fmt/format.h>

#include <MPS/Image.hpp>
#include <MPS/SecureCoding.hpp>
#include <MTL/CommandBuffer.hpp>
#include <MTL/Device.hpp>
#include <MTL/Error.hpp>
#include <limits>
#include <unordered_set>

#include "mps/core/ImageAccess.h"
#include "mtl/CommandBuffer.h"

namespace MPS {

using pewter::mps::ImageAccess;

namespace {

void requireImages(const ImageBatch& batch, const char* function) {
    for (std::size_t i = 0; i < batch.size(); ++i)
        if (!batch[i]) throw Error(function, "batch", "images", fmt::format("null at index {}", i));
}

class PlainAllocator final : public ImageAllocator, public SecureCoding {
public:
    const char* className() const override { return "ImageDefaultAllocator"; }
    void encodeWithCoder(Coder&) const override {}  // the class says it all
    std::shared_ptr<Image> image(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
                                 const ImageDescriptor& descriptor, const Kernel* kernel) override {
        return imageBatch(commandBuffer, descriptor, kernel, 1).front();
    }
    ImageBatch imageBatch(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer, const ImageDescriptor& descriptor,
                          const Kernel*, std::size_t count) override {
        auto batch = ImageAccess::makeBatch(commandBuffer->device(), descriptor, count);
        auto& root = pewter::mtl::rootOf(*commandBuffer);
        for (const auto& image : batch) root.retain(image);
        return batch;
    }
};

class TemporaryAllocator final : public ImageAllocator, public SecureCoding {
public:
    const char* className() const override { return "TemporaryImageDefaultAllocator"; }
    void encodeWithCoder(Coder&) const override {}  // the class says it all
    std::shared_ptr<Image> image(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
                                 const ImageDescriptor& descriptor, const Kernel* kernel) override {
        return imageBatch(commandBuffer, descriptor, kernel, 1).front();
    }
    ImageBatch imageBatch(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer, const ImageDescriptor& descriptor,
                          const Kernel*, std::size_t count) override {
        return ImageAccess::makeTemporaryBatch(*commandBuffer, descriptor, count, "");
    }
};

}  // namespace

ImageAllocator::~ImageAllocator() = default;

ImageBatch ImageAllocator::imageBatch(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
                                      const ImageDescriptor& descriptor, const Kernel* kernel, std::size_t count) {
    ImageBatch batch;
    for (std::size_t i = 0; i < count; ++i) batch.push_back(image(commandBuffer, descriptor, kernel));
    return batch;
}

std::shared_ptr<ImageAllocator> Image::defaultAllocator() {
    static const auto allocator = std::make_shared<PlainAllocator>();
    return allocator;
}

std::shared_ptr<ImageAllocator> TemporaryImage::defaultAllocator() {
    static const auto allocator = std::make_shared<TemporaryAllocator>();
    return allocator;
}

std::int64_t ImageBatchIterate(const ImageBatch& batch,
                               const std::function<std::int64_t(const std::shared_ptr<Image>&, std::size_t)>& block) {
    requireImages(batch, "ImageBatchIterate");
    constexpr auto goOn = std::numeric_limits<std::int64_t>::min();
    std::int64_t result = goOn;
    std::unordered_set<const Image*> seen;
    for (std::size_t i = 0; i < batch.size() && result == goOn; ++i)
        if (seen.insert(batch[i].get()).second) result = block(batch[i], i);
    return result;
}

std::size_t ImageBatchIncrementReadCount(const ImageBatch& batch, std::int64_t amount) {
    requireImages(batch, "ImageBatchIncrementReadCount");
    std::unordered_set<Image*> distinct;
    for (const auto& image : batch) distinct.insert(image.get());
    const auto count = [](const Image& image) {
        const auto& temporary = ImageAccess::temporary(image);
        return temporary ? static_cast<std::int64_t>(temporary->readCount()) : 0;
    };
    for (const Image* image : distinct)
        if (count(*image) > 0 && count(*image) + amount < 0)
            throw Error("ImageBatchIncrementReadCount", "amount",
                        fmt::format("at least -{}, the read count of {}", count(*image), image->description()),
                        fmt::format("{}", amount));
    for (const Image* image : distinct)
        if (count(*image) > 0)
            ImageAccess::temporary(*image)->setReadCount(static_cast<std::size_t>(count(*image) + amount));
    return distinct.size();
}

void ImageBatchSynchronize(const ImageBatch& batch, const std::shared_ptr<MTL::CommandBuffer>& commandBuffer) {
    ImageBatchIterate(batch, [&](const std::shared_ptr<Image>& image, std::size_t) {
        image->synchronize(commandBuffer);
        return std::numeric_limits<std::int64_t>::min();
    });
}

std::size_t ImageBatchResourceSize(const ImageBatch& batch) {
    std::size_t sum = 0;
    ImageBatchIterate(batch, [&](const std::shared_ptr<Image>& image, std::size_t) {
        sum += image->resourceSize();
        return std::numeric_limits<std::int64_t>::min();
    });
    return sum;
}

}  // namespace MPS
