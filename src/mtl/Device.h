#pragma once

#include <MTL/CommandBuffer.hpp>
#include <MTL/Device.hpp>
#include <atomic>
#include <memory>
#include <mutex>
#include <optional>

#include "mtl/Memory.h"
#include "ops/Backend.h"

namespace pewter::mtl {

/// A backend with a memory pool: what every MTL::Device here is.
class Device final : public MTL::Device {
public:
    Device(std::shared_ptr<ops::Backend> backend, std::uint64_t registryID);

    const std::string& name() const override { return name_; }
    std::string description() const override { return backend_->description(); }
    std::uint64_t registryID() const override { return registryID_; }
    bool isLowPower() const override { return false; }
    bool isHeadless() const override { return true; }
    bool isRemovable() const override { return false; }
    bool hasUnifiedMemory() const override { return backend_->hostVisible(); }
    std::uint64_t recommendedMaxWorkingSetSize() const override;
    std::uint64_t currentAllocatedSize() const override;
    std::uint64_t maxBufferLength() const override;
    std::uint64_t systemAllocationCount() const override;

    std::shared_ptr<MTL::CommandQueue> newCommandQueue() override;
    std::shared_ptr<MTL::CommandQueue> newCommandQueue(std::size_t maxCommandBufferCount) override;
    std::shared_ptr<MTL::Buffer> newBuffer(std::size_t length, MTL::ResourceOptions options) override;
    std::shared_ptr<MTL::Buffer> newBuffer(const void* bytes, std::size_t length,
                                           MTL::ResourceOptions options) override;
    std::shared_ptr<MTL::Buffer> newBuffer(void* bytes, std::size_t length, MTL::ResourceOptions options,
                                           std::function<void(void*, std::size_t)> deallocator) override;
    std::shared_ptr<MTL::Texture> newTexture(const MTL::TextureDescriptor& descriptor) override;
    std::shared_ptr<MTL::Heap> newHeap(const MTL::HeapDescriptor& descriptor) override;
    std::shared_ptr<MTL::Fence> newFence() override;
    MTL::SizeAndAlign heapBufferSizeAndAlign(std::size_t length, MTL::ResourceOptions options) const override;
    MTL::SizeAndAlign heapTextureSizeAndAlign(const MTL::TextureDescriptor& descriptor) const override;

    ops::Backend& backend() const { return *backend_; }
    MemoryPool& pool() const { return *pool_; }
    /// A buffer whose contents are garbage: for images and states that are written before they are read.
    std::shared_ptr<MTL::Buffer> newUninitializedBuffer(std::size_t length, MTL::ResourceOptions options);

    /// From now on command buffers of the device fail at once, and say why. Only the first call counts.
    void noteFault(const MTL::CommandFailure& cause);
    /// The failure of a command buffer of a device that has stopped. Nothing for one that works.
    std::optional<MTL::CommandFailure> fault() const;

    /// Memory of the host that shows bytes of the device.
    std::shared_ptr<Memory> newMirror(std::size_t length) { return sharedPool_->allocate(length, "host copy of a buffer"); }

private:
    void checkLength(std::size_t length) const;

    std::shared_ptr<ops::Backend> backend_;
    std::string name_;
    std::uint64_t registryID_;
    /// Of the device, and of shared storage.
    std::shared_ptr<MemoryPool> pool_, sharedPool_;

    std::once_flag faulting_;
    MTL::CommandFailure fault_;
    std::atomic<bool> hasFault_ = false;  // what every command buffer asks costs one load
};

/// The implementation behind a public handle; every device of a process is one of ours.
Device& deviceOf(MTL::Device& device);

}  // namespace pewter::mtl
