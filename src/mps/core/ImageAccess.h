#pragma once

#include <MPS/Image.hpp>
#include <memory>

#include "mps/core/ImageStorage.h"
#include "mps/core/TensorRef.h"

namespace pewter::mps {

/// What the library does with images beyond their public face.
struct ImageAccess {
    static const std::shared_ptr<ImageStorage>& storage(const MPS::Image& image) { return image.storage_; }
    static const std::shared_ptr<mtl::Temporary>& temporary(const MPS::Image& image) { return image.temporary_; }
    /// First element of image `index`, in elements of the storage.
    static std::size_t offset(const MPS::Image& image, std::size_t index = 0) {
        return image.offset_ + index * image.strideN_;
    }

    /// Extents and strides of `count` images from `first`, without memory.
    static ops::Tensor shape(const MPS::Image& image, std::size_t first, std::size_t count);
    /// The same with memory, taken now.
    static TensorRef tensor(const MPS::Image& image, std::size_t first, std::size_t count);

    /// The elements of its storage between which an image lies.
    struct Interval {
        std::size_t first = 0, end = 0;
    };
    static Interval interval(const MPS::Image& image);
    /// Whether two images can touch a common element.
    static bool overlap(const MPS::Image& a, const MPS::Image& b);

    /// `count` images back to back on one storage.
    static MPS::ImageBatch makeBatch(const std::shared_ptr<MTL::Device>& device, const MPS::ImageDescriptor& descriptor,
                                     std::size_t count);
    static MPS::ImageBatch makeTemporaryBatch(MTL::CommandBuffer& commandBuffer,
                                              const MPS::ImageDescriptor& descriptor, std::size_t count,
                                              const std::string& maker);
    /// A plain image of the same extents, strides, offset and type on other memory.
    static std::shared_ptr<MPS::Image> standIn(const MPS::Image& image, std::shared_ptr<ImageStorage> storage);
    /// `count` plain images back to back on memory that is there.
    static MPS::ImageBatch batchOn(const std::shared_ptr<MTL::Buffer>& buffer, const MPS::ImageDescriptor& descriptor,
                                   std::size_t count);
    static void setMaker(const MPS::Image& image, const std::string& maker);

private:
    static void initialize(MPS::Image& image, const std::shared_ptr<MTL::Device>& device,
                           const MPS::ImageDescriptor& descriptor);
    static MPS::ImageBatch views(MPS::Image& image, std::size_t first, std::size_t count);
    static std::shared_ptr<MPS::Image> view(MPS::Image& parent);
    static void share(MPS::Image& parent, const MPS::ImageBatch& views);
    static void copyBytes(MPS::Image& image, bool write, std::byte* bytes, MPS::DataLayout layout,
                          std::size_t bytesPerColumn, std::size_t bytesPerRow, std::size_t bytesPerImage,
                          const MTL::Region& region, const MPS::ImageReadWriteParams& channels,
                          std::size_t imageIndex);
    friend class MPS::Image;
    friend class MPS::TemporaryImage;
};

}  // namespace pewter::mps
