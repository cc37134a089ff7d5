#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <MTL/Export.hpp>
#include <MTL/Resource.hpp>
#include <MTL/Types.hpp>

namespace MTL {

class CommandQueue;

/// MTLDevice: one processor. What is made from a device works only with that device.
class PEWTER_API Device : public std::enable_shared_from_this<Device> {
public:
    virtual ~Device();

    /// The name it is looked up by: "reference", "cpu".
    virtual const std::string& name() const = 0;
    /// Processor and libraries in one line (extension).
    virtual std::string description() const = 0;
    virtual std::uint64_t registryID() const = 0;
    virtual bool isLowPower() const = 0;
    virtual bool isHeadless() const = 0;
    virtual bool isRemovable() const = 0;
    virtual bool hasUnifiedMemory() const = 0;
    /// Bytes.
    virtual std::uint64_t recommendedMaxWorkingSetSize() const = 0;
    /// Bytes taken from the system and not yet returned, cached blocks included.
    virtual std::uint64_t currentAllocatedSize() const = 0;
    virtual std::uint64_t maxBufferLength() const = 0;
    /// How often the device has asked the system for memory so far (extension): constant in a steady training loop.
    virtual std::uint64_t systemAllocationCount() const = 0;

    /// A queue with its own worker; at most 64 uncompleted command buffers unless told otherwise.
    /// Objective-C: -newCommandQueue, -newCommandQueueWithMaxCommandBufferCount:
    virtual std::shared_ptr<CommandQueue> newCommandQueue() = 0;
    virtual std::shared_ptr<CommandQueue> newCommandQueue(std::size_t maxCommandBufferCount) = 0;

    /// Zero-filled memory. Throws MTL::Error for a length of 0 or above maxBufferLength().
    /// Objective-C: -newBufferWithLength:options:
    virtual std::shared_ptr<Buffer> newBuffer(std::size_t length,
                                              ResourceOptions options = ResourceStorageModeShared) = 0;
    /// A copy of the caller's bytes.   Objective-C: -newBufferWithBytes:length:options:
    virtual std::shared_ptr<Buffer> newBuffer(const void* bytes, std::size_t length,
                                              ResourceOptions options = ResourceStorageModeShared) = 0;
    /// The caller's memory itself; deallocator (may be empty) runs when the buffer dies.
    /// Objective-C: -newBufferWithBytesNoCopy:length:options:deallocator:
    virtual std::shared_ptr<Buffer> newBuffer(void* bytes, std::size_t length, ResourceOptions options,
                                              std::function<void(void*, std::size_t)> deallocator) = 0;
    /// Objective-C: -newTextureWithDescriptor:
    virtual std::shared_ptr<Texture> newTexture(const TextureDescriptor& descriptor) = 0;
    /// Objective-C: -newHeapWithDescriptor:
    virtual std::shared_ptr<Heap> newHeap(const HeapDescriptor& descriptor) = 0;
    virtual std::shared_ptr<Fence> newFence() = 0;
    /// What a heap spends. Objective-C: -heapBufferSizeAndAlignWithLength:options:, -heapTextureSizeAndAlignWithDescriptor:
    virtual SizeAndAlign heapBufferSizeAndAlign(std::size_t length, ResourceOptions options) const = 0;
    virtual SizeAndAlign heapTextureSizeAndAlign(const TextureDescriptor& descriptor) const = 0;
};

/// The best device of this machine; never null: `reference` is always there.   C: MTLCreateSystemDefaultDevice()
PEWTER_API std::shared_ptr<Device> createSystemDefaultDevice();
/// Every device, best first.   C: MTLCopyAllDevices()
PEWTER_API std::vector<std::shared_ptr<Device>> copyAllDevices();
/// The device of that name. Throws MTL::Error that lists the devices there are and, for a device that this build or
/// machine lacks, why (extension).
PEWTER_API std::shared_ptr<Device> copyDevice(const std::string& name);

}  // namespace MTL
