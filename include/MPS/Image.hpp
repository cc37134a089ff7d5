#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <MPS/Types.hpp>
#include <MTL/Resource.hpp>

namespace MTL {
class CommandBuffer;
class Device;
}  // namespace MTL

namespace pewter::mtl {
class Temporary;
}
namespace pewter::mps {
class ImageStorage;
struct ImageAccess;
}  // namespace pewter::mps

namespace MPS {

class Image;
class ImageAllocator;
class Kernel;

/// MPSImageBatch: one single-image Image a sample. The batches that the library makes lie back to back in one buffer.
using ImageBatch = std::vector<std::shared_ptr<Image>>;

/// MPSImageDescriptor: what an image should be like. A value: to copy it is -copyWithZone:
struct PEWTER_API ImageDescriptor {
    std::size_t width = 1, height = 1, featureChannels = 1, numberOfImages = 1;
    /// None at image creation means Float16.
    ImageFeatureChannelFormat channelFormat = ImageFeatureChannelFormat::None;
    MTL::CPUCacheMode cpuCacheMode = MTL::CPUCacheMode::DefaultCache;
    MTL::StorageMode storageMode = MTL::StorageMode::Managed;
    MTL::TextureUsage usage = MTL::TextureUsageShaderRead | MTL::TextureUsageShaderWrite;

    /// Objective-C: +imageDescriptorWithChannelFormat:width:height:featureChannels:
    static ImageDescriptor imageDescriptor(ImageFeatureChannelFormat channelFormat, std::size_t width,
                                           std::size_t height, std::size_t featureChannels);
    /// Objective-C: +imageDescriptorWithChannelFormat:width:height:featureChannels:numberOfImages:usage:
    static ImageDescriptor imageDescriptor(ImageFeatureChannelFormat channelFormat, std::size_t width,
                                           std::size_t height, std::size_t featureChannels,
                                           std::size_t numberOfImages, MTL::TextureUsage usage);

    /// The format that a texture of this image has: 1, 2 or 4 channels a texel.
    MTL::PixelFormat pixelFormat() const;

    friend bool operator==(const ImageDescriptor&, const ImageDescriptor&) = default;
};

/// MPSImage: numberOfImages pictures of width x height pixels and featureChannels channels, a view onto a buffer.
///
/// Memory order is image, row, column, channel. Storage comes with the first use: an encode, a host copy, texture().
/// A plain image may be used on any command buffer of its device. Source: MPSImage.h.
class PEWTER_API Image : public std::enable_shared_from_this<Image> {
public:
    /// Throws MPS::Error for a null device or a zero extent.   Objective-C: -initWithDevice:imageDescriptor:
    Image(std::shared_ptr<MTL::Device> device, const ImageDescriptor& descriptor);
    /// A view of the texture's memory. A 2D texture serves at most 4 channels; an array's length is a multiple of
    /// (featureChannels + 3) / 4.   Objective-C: -initWithTexture:featureChannels:
    Image(const std::shared_ptr<MTL::Texture>& texture, std::size_t featureChannels);
    virtual ~Image();

    Image(const Image&) = delete;
    Image& operator=(const Image&) = delete;

    /// Makes plain images; what an encode returns through it stays alive until the command buffer completes.
    static std::shared_ptr<ImageAllocator> defaultAllocator();

    const std::shared_ptr<MTL::Device>& device() const { return device_; }
    std::size_t width() const { return width_; }
    std::size_t height() const { return height_; }
    std::size_t featureChannels() const { return channels_; }
    std::size_t numberOfImages() const { return images_; }
    MTL::TextureType textureType() const;
    MTL::PixelFormat pixelFormat() const;
    ImageFeatureChannelFormat featureChannelFormat() const { return format_; }
    /// Significant bits a channel: unorm8 8, unorm16 16, float16 11, bfloat16 8, float32 24, float64 53.
    std::size_t precision() const;
    MTL::TextureUsage usage() const { return usage_; }
    /// Bytes of a texel of pixelFormat().
    std::size_t pixelSize() const;

    /// A texture face of the image's memory. Allocates. Throws for formats that no texture has (bfloat16, float64).
    std::shared_ptr<MTL::Texture> texture();

    const std::string& label() const { return label_; }
    void setLabel(const std::string& label);

    /// The image this one is a view of, or null.
    const std::shared_ptr<Image>& parent() const { return parent_; }
    /// Whether storage belongs to a command buffer's heap (then this is a TemporaryImage).
    bool isTemporary() const { return temporary_ != nullptr; }

    /// One single-image view for each image. Views of temporaries are temporary, start at count 1, and together hold one
    /// read of this image.   Objective-C: -batchRepresentation
    ImageBatch batchRepresentation();
    /// Objective-C: -batchRepresentationWithSubRange:
    ImageBatch batchRepresentation(Range subRange);
    /// A view of channels [location, location + length): multiples of 4; the length is cut to what there is.
    /// Throws for an image that holds several.   Objective-C: -subImageWithFeatureChannelRange:
    std::shared_ptr<Image> subImage(Range featureChannelRange);

    /// Bytes of storage, 0 for views; does not allocate.
    std::size_t resourceSize() const;
    /// Objective-C: -setPurgeableState:
    PurgeableState setPurgeableState(PurgeableState state);

    /// Makes device results readable by the host once the command buffer completes. Nothing to do for temporaries.
    /// Objective-C: -synchronizeOnCommandBuffer:
    void synchronize(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer);

    /// Copies elements between host memory and the image without conversion: the host's element type is the image's
    /// channel format. With e bytes a channel and N channels in the window, element (image n, row y, column x,
    /// channel c), all relative to the region and the window, lies at
    ///   HWC: n*bytesPerImage + y*bytesPerRow + x*N*e + c*e
    ///   CHW: n*bytesPerImage + c*region.height*bytesPerRow + y*bytesPerRow + x*e
    /// The first image touched is imageIndex + region.origin.z. Lanes past featureChannels() up to the next multiple of
    /// 4 read 0 and are ignored on write. Throws MPS::Error for temporaries, private storage and windows outside.
    /// Objective-C: -readBytes:dataLayout:bytesPerRow:region:featureChannelInfo:imageIndex:,
    /// -readBytes:dataLayout:bytesPerRow:bytesPerImage:region:featureChannelInfo:imageIndex:
    void readBytes(void* bytes, DataLayout layout, std::size_t bytesPerRow, const MTL::Region& region,
                   const ImageReadWriteParams& channels, std::size_t imageIndex);
    void readBytes(void* bytes, DataLayout layout, std::size_t bytesPerRow, std::size_t bytesPerImage,
                   const MTL::Region& region, const ImageReadWriteParams& channels, std::size_t imageIndex);
    /// The whole image, all channels, tightly packed.   Objective-C: -readBytes:dataLayout:imageIndex:
    void readBytes(void* bytes, DataLayout layout, std::size_t imageIndex);

    /// Objective-C: -writeBytes:dataLayout:bytesPerRow:region:featureChannelInfo:imageIndex:,
    /// -writeBytes:dataLayout:bytesPerRow:bytesPerImage:region:featureChannelInfo:imageIndex:
    void writeBytes(const void* bytes, DataLayout layout, std::size_t bytesPerRow, const MTL::Region& region,
                    const ImageReadWriteParams& channels, std::size_t imageIndex);
    void writeBytes(const void* bytes, DataLayout layout, std::size_t bytesPerRow, std::size_t bytesPerImage,
                    const MTL::Region& region, const ImageReadWriteParams& channels, std::size_t imageIndex);
    /// bytesPerColumn is the distance of neighbouring columns in place of N*e (HWC) or e (CHW). Objective-C:
    /// -writeBytes:dataLayout:bytesPerColumn:bytesPerRow:bytesPerImage:region:featureChannelInfo:imageIndex:
    void writeBytes(const void* bytes, DataLayout layout, std::size_t bytesPerColumn, std::size_t bytesPerRow,
                    std::size_t bytesPerImage, const MTL::Region& region, const ImageReadWriteParams& channels,
                    std::size_t imageIndex);
    /// Objective-C: -writeBytes:dataLayout:imageIndex:
    void writeBytes(const void* bytes, DataLayout layout, std::size_t imageIndex);

    /// "Image 'x': 28 x 28 x 32, 1 image, float32".
    std::string description() const;

protected:
    Image() = default;

private:
    std::shared_ptr<MTL::Device> device_;
    std::shared_ptr<pewter::mps::ImageStorage> storage_;
    std::shared_ptr<pewter::mtl::Temporary> temporary_;
    std::shared_ptr<Image> parent_;
    std::size_t width_ = 0, height_ = 0, channels_ = 0, images_ = 0;
    /// In elements of the storage.
    std::size_t offset_ = 0, strideN_ = 0, strideH_ = 0, strideW_ = 0;
    ImageFeatureChannelFormat format_ = ImageFeatureChannelFormat::None;
    MTL::TextureUsage usage_ = 0;
    std::string label_;

    friend struct pewter::mps::ImageAccess;
    friend class TemporaryImage;
};

/// MPSTemporaryImage: an image whose storage belongs to the heap of one command buffer and returns to it when the read
/// count reaches 0. No host access. Storage is private whatever the descriptor says.
class PEWTER_API TemporaryImage final : public Image {
public:
    /// Read count 1.   Objective-C: +temporaryImageWithCommandBuffer:imageDescriptor:
    static std::shared_ptr<TemporaryImage> temporaryImage(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
                                                          const ImageDescriptor& descriptor);
    /// The texture must be 2D or a 2D array, private, depth 1. Without a channel count the pixel format gives it and
    /// numberOfImages is arrayLength.
    /// Objective-C: +temporaryImageWithCommandBuffer:textureDescriptor:featureChannels:, …textureDescriptor:
    static std::shared_ptr<TemporaryImage> temporaryImage(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
                                                          const MTL::TextureDescriptor& descriptor);
    static std::shared_ptr<TemporaryImage> temporaryImage(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
                                                          const MTL::TextureDescriptor& descriptor,
                                                          std::size_t featureChannels);
    /// A hint: images like these will be made.   Objective-C: +prefetchStorageWithCommandBuffer:imageDescriptorList:
    static void prefetchStorage(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
                                const std::vector<ImageDescriptor>& imageDescriptorList);
    /// Makes temporary images with read count 1.
    static std::shared_ptr<ImageAllocator> defaultAllocator();

    ~TemporaryImage() override;

    /// How many more encodes will read the image. Each lowers it by one; at 0 the storage is gone for good.
    std::size_t readCount() const;
    /// Throws MPS::Error when the count is 0 already. 0 gives the storage back at once.
    void setReadCount(std::size_t count);

private:
    TemporaryImage() = default;
    friend struct pewter::mps::ImageAccess;
};

/// MPSImageAllocator: who makes the images that encodes return.
class PEWTER_API ImageAllocator {
public:
    virtual ~ImageAllocator();
    /// An image that matches the descriptor and lives at least until the command buffer completes. `kernel` is the one
    /// that will write it. Objective-C: -imageForCommandBuffer:imageDescriptor:kernel:
    virtual std::shared_ptr<Image> image(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
                                         const ImageDescriptor& descriptor, const Kernel* kernel) = 0;
    /// `count` distinct images; by default a loop over image().
    /// Objective-C: -imageBatchForCommandBuffer:imageDescriptor:kernel:count:
    virtual ImageBatch imageBatch(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
                                  const ImageDescriptor& descriptor, const Kernel* kernel, std::size_t count);
};

/// Adds `amount` to the read count of every distinct live temporary of the batch; plain and spent images are skipped.
/// Returns the number of distinct images. Throws MPS::Error rather than going below 0.
/// C: MPSImageBatchIncrementReadCount()
PEWTER_API std::size_t ImageBatchIncrementReadCount(const ImageBatch& batch, std::int64_t amount);
/// C: MPSImageBatchSynchronize()
PEWTER_API void ImageBatchSynchronize(const ImageBatch& batch,
                                      const std::shared_ptr<MTL::CommandBuffer>& commandBuffer);
/// Sum over distinct images.   C: MPSImageBatchResourceSize()
PEWTER_API std::size_t ImageBatchResourceSize(const ImageBatch& batch);
/// Calls once for every distinct image with the first index where it appears; a value above the smallest int64 stops.
/// Returns the last value, or the smallest int64 for an empty batch.   C: MPSImageBatchIterate()
PEWTER_API std::int64_t ImageBatchIterate(
    const ImageBatch& batch, const std::function<std::int64_t(const std::shared_ptr<Image>&, std::size_t)>& block);

/// Texture shape of the image as a shader sees it.   C: MPSGetImageType()
PEWTER_API ImageType GetImageType(const Image& image);

}  // namespace MPS
