#pragma once

#include <cstddef>
#include <memory>
#include <string>

#include <MTL/Export.hpp>
#include <MTL/Types.hpp>

namespace MTL {

class Device;
class Heap;

/// MTLResource: memory of a device, as a buffer or a texture.
class PEWTER_API Resource {
public:
    virtual ~Resource();

    virtual const std::string& label() const = 0;
    virtual void setLabel(const std::string& label) = 0;
    virtual std::shared_ptr<Device> device() const = 0;
    virtual StorageMode storageMode() const = 0;
    virtual CPUCacheMode cpuCacheMode() const = 0;
    /// Bytes of memory that the resource holds.
    virtual std::size_t allocatedSize() const = 0;
    /// The heap the resource was made from, or null.
    virtual std::shared_ptr<Heap> heap() const = 0;
    virtual std::size_t heapOffset() const = 0;

    /// Lets later allocations of the heap reuse this resource's bytes; cannot be undone. Throws for a resource that no
    /// heap made.   Objective-C: -makeAliasable
    virtual void makeAliasable() = 0;
    virtual bool isAliasable() const = 0;
    /// Returns the previous state. Memory is never discarded behind the owner's back here.
    /// Objective-C: -setPurgeableState:
    virtual PurgeableState setPurgeableState(PurgeableState state) = 0;
};

/// MTLBuffer: untyped memory.
class PEWTER_API Buffer : public Resource {
public:
    /// Bytes asked for when the buffer was made.
    virtual std::size_t length() const = 0;

    /// Host pointer to the bytes; null for private storage. Valid while the buffer lives.
    /// Device work that uses the buffer must have completed before the host touches it.
    virtual void* contents() = 0;

    /// Announces host writes to a managed buffer.   Objective-C: -didModifyRange:
    virtual void didModifyRange(std::size_t location, std::size_t length) = 0;
};

/// MTLTextureDescriptor.
struct TextureDescriptor {
    TextureType textureType = TextureType::Texture2D;
    PixelFormat pixelFormat = PixelFormat::RGBA8Unorm;
    std::size_t width = 1, height = 1, depth = 1;
    std::size_t mipmapLevelCount = 1, sampleCount = 1, arrayLength = 1;
    StorageMode storageMode = StorageMode::Managed;
    CPUCacheMode cpuCacheMode = CPUCacheMode::DefaultCache;
    TextureUsage usage = TextureUsageShaderRead;
};

/// MTLTexture: a 2D picture or an array of them, one texel of 1, 2 or 4 channels a pixel. Here it is a face of a buffer:
/// the texture of an MPS::Image shows the image's own memory four channels a slice.
class PEWTER_API Texture : public Resource {
public:
    virtual TextureType textureType() const = 0;
    virtual PixelFormat pixelFormat() const = 0;
    virtual std::size_t width() const = 0;
    virtual std::size_t height() const = 0;
    virtual std::size_t arrayLength() const = 0;
    virtual TextureUsage usage() const = 0;

    /// Copies a region of one slice to host memory; lanes beyond the texture's channels read 0.
    /// Throws for private storage and for regions outside.
    /// Objective-C: -getBytes:bytesPerRow:bytesPerImage:fromRegion:mipmapLevel:slice:
    virtual void getBytes(void* bytes, std::size_t bytesPerRow, std::size_t bytesPerImage, const Region& region,
                          std::size_t mipmapLevel, std::size_t slice) = 0;

    /// Copies host memory to a region of one slice.
    /// Objective-C: -replaceRegion:mipmapLevel:slice:withBytes:bytesPerRow:bytesPerImage:
    virtual void replaceRegion(const Region& region, std::size_t mipmapLevel, std::size_t slice, const void* bytes,
                               std::size_t bytesPerRow, std::size_t bytesPerImage) = 0;
};

/// MTLHeapDescriptor.
struct HeapDescriptor {
    std::size_t size = 0;
    StorageMode storageMode = StorageMode::Private;
    CPUCacheMode cpuCacheMode = CPUCacheMode::DefaultCache;
    HazardTrackingMode hazardTrackingMode = HazardTrackingMode::Untracked;
    HeapType type = HeapType::Automatic;
};

/// Size and alignment that a heap would spend on a resource (MTLSizeAndAlign).
struct SizeAndAlign {
    std::size_t size = 0, align = 0;
};

/// MTLHeap: a block of memory that hands out parts of itself.
class PEWTER_API Heap {
public:
    virtual ~Heap();
    virtual const std::string& label() const = 0;
    virtual void setLabel(const std::string& label) = 0;
    virtual std::shared_ptr<Device> device() const = 0;
    virtual StorageMode storageMode() const = 0;
    virtual std::size_t size() const = 0;
    virtual std::size_t usedSize() const = 0;
    /// The largest resource that still fits.   Objective-C: -maxAvailableSizeWithAlignment:
    virtual std::size_t maxAvailableSize(std::size_t alignment) const = 0;
    /// A buffer inside the heap, or null when it does not fit. Its bytes return to the heap when it is destroyed or
    /// made aliasable.   Objective-C: -newBufferWithLength:options:
    virtual std::shared_ptr<Buffer> newBuffer(std::size_t length, ResourceOptions options) = 0;
};

/// MTLFence: orders encoders that touch untracked memory. Commands of one buffer run in order here, so it has no work.
class PEWTER_API Fence {
public:
    virtual ~Fence();
    virtual std::shared_ptr<Device> device() const = 0;
};

}  // namespace MTL
