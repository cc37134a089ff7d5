#include "mtl/Device.h"

#include <fmt/format.h>
#include <unistd.h>

#include <MTL/Error.hpp>
#include <stdexcept>

#include "mtl/Buffer.h"
#include "mtl/CommandQueue.h"
#include "mtl/Heap.h"
#include "mtl/Texture.h"

namespace MTL {
Device::~Device() = default;
}  // namespace MTL

namespace pewter::mtl {

namespace {

std::uint64_t physicalMemory() {
    // Asked once: the system takes longer to answer than a buffer to be made.
    static const long pages = sysconf(_SC_PHYS_PAGES), bytes = sysconf(_SC_PAGESIZE);
    return pages > 0 && bytes > 0 ? static_cast<std::uint64_t>(pages) * static_cast<std::uint64_t>(bytes) : 0;
}

class Fence final : public MTL::Fence {
public:
    explicit Fence(std::shared_ptr<MTL::Device> device) : device_(std::move(device)) {}
    std::shared_ptr<MTL::Device> device() const override { return device_; }

private:
    std::shared_ptr<MTL::Device> device_;
};

/// Memory of the caller, handed back through his deallocator.
class CallerMemory final : public Memory {
public:
    CallerMemory(std::shared_ptr<ops::Backend> backend, void* bytes, std::size_t length,
                 std::function<void(void*, std::size_t)> deallocator)
        : backend_(std::move(backend)), bytes_(bytes), length_(length), deallocator_(std::move(deallocator)) {
        try {
            shared_ = backend_->share(bytes, length);
        } catch (const std::runtime_error& e) {
            throw MTL::Error("device " + backend_->name(), "bytes", "memory that the device can reach", e.what());
        }
    }
    ~CallerMemory() override {
        backend_->unshare(bytes_);
        if (deallocator_) deallocator_(bytes_, length_);
    }
    std::byte* address() const override { return static_cast<std::byte*>(shared_); }
    std::byte* hostAddress() const override { return static_cast<std::byte*>(bytes_); }
    std::size_t size() const override { return length_; }

private:
    std::shared_ptr<ops::Backend> backend_;
    void* bytes_;
    void* shared_ = nullptr;
    std::size_t length_;
    std::function<void(void*, std::size_t)> deallocator_;
};

}  // namespace

Device::Device(std::shared_ptr<ops::Backend> backend, std::uint64_t registryID)
    : backend_(std::move(backend)),
      name_(backend_->name()),
      registryID_(registryID),
      pool_(std::make_shared<MemoryPool>(backend_, MemoryKind::Device)),
      // One pool for both where they are the same memory.
      sharedPool_(backend_->hostVisible() ? pool_ : std::make_shared<MemoryPool>(backend_, MemoryKind::Shared)) {}

std::uint64_t Device::recommendedMaxWorkingSetSize() const { return maxBufferLength() / 4 * 3; }

std::uint64_t Device::maxBufferLength() const {
    const std::uint64_t own = backend_->memoryBytes();
    return own ? own : physicalMemory();
}

std::uint64_t Device::currentAllocatedSize() const {
    pool_->trim();
    if (sharedPool_ == pool_) return pool_->systemBytes();
    sharedPool_->trim();
    return pool_->systemBytes() + sharedPool_->systemBytes();
}

std::uint64_t Device::systemAllocationCount() const {
    return pool_->systemAllocations() + (sharedPool_ == pool_ ? 0 : sharedPool_->systemAllocations());
}

std::shared_ptr<MTL::CommandQueue> Device::newCommandQueue() { return newCommandQueue(64); }

std::shared_ptr<MTL::CommandQueue> Device::newCommandQueue(std::size_t maxCommandBufferCount) {
    if (maxCommandBufferCount == 0)
        throw MTL::Error("device " + name_, "maxCommandBufferCount", "at least 1", "0");
    return std::make_shared<CommandQueue>(shared_from_this(), maxCommandBufferCount);
}

void Device::checkLength(std::size_t length) const {
    if (length == 0 || length > maxBufferLength())
        throw MTL::Error("device " + name_, "buffer length", fmt::format("1 to {} bytes", maxBufferLength()),
                         fmt::format("{}", length));
}

std::shared_ptr<MTL::Buffer> Device::newUninitializedBuffer(std::size_t length, MTL::ResourceOptions options) {
    checkLength(length);
    auto& pool = MTL::storageModeOf(options) == MTL::StorageMode::Shared ? *sharedPool_ : *pool_;
    return std::make_shared<Buffer>(shared_from_this(), pool.allocate(length, "a buffer"), length, options);
}

std::shared_ptr<MTL::Buffer> Device::newBuffer(std::size_t length, MTL::ResourceOptions options) {
    auto buffer = newUninitializedBuffer(length, options);
    fillBytes(*buffer, 0);
    return buffer;
}

std::shared_ptr<MTL::Buffer> Device::newBuffer(const void* bytes, std::size_t length, MTL::ResourceOptions options) {
    if (!bytes) throw MTL::Error("device " + name_, "bytes", "a pointer", "null");
    auto buffer = newUninitializedBuffer(length, options);
    writeBytes(*buffer, 0, bytes, length);
    return buffer;
}

std::shared_ptr<MTL::Buffer> Device::newBuffer(void* bytes, std::size_t length, MTL::ResourceOptions options,
                                               std::function<void(void*, std::size_t)> deallocator) {
    if (!bytes) throw MTL::Error("device " + name_, "bytes", "a pointer", "null");
    checkLength(length);
    return std::make_shared<Buffer>(shared_from_this(),
                                    std::make_shared<CallerMemory>(backend_, bytes, length, std::move(deallocator)), length,
                                    options);
}

std::shared_ptr<MTL::Texture> Device::newTexture(const MTL::TextureDescriptor& descriptor) {
    return makeTexture(std::static_pointer_cast<Device>(shared_from_this()), descriptor);
}

std::shared_ptr<MTL::Heap> Device::newHeap(const MTL::HeapDescriptor& descriptor) {
    checkLength(descriptor.size);
    auto& pool = descriptor.storageMode == MTL::StorageMode::Shared ? *sharedPool_ : *pool_;
    return std::make_shared<Heap>(shared_from_this(), pool.allocate(descriptor.size, "a heap"), descriptor);
}

std::shared_ptr<MTL::Fence> Device::newFence() { return std::make_shared<Fence>(shared_from_this()); }

MTL::SizeAndAlign Device::heapBufferSizeAndAlign(std::size_t length, MTL::ResourceOptions) const {
    return {roundUp(length), kMemoryGranularity};
}

MTL::SizeAndAlign Device::heapTextureSizeAndAlign(const MTL::TextureDescriptor& descriptor) const {
    return {roundUp(textureBytes(descriptor)), kMemoryGranularity};
}

void Device::noteFault(const MTL::CommandFailure& cause) {
    std::call_once(faulting_, [&] {
        fault_ = {MTL::CommandBufferError::DeviceRemoved,
                  fmt::format("not run: device {} has stopped since {}", name_, cause.localizedDescription), cause.command};
        hasFault_ = true;
    });
}

std::optional<MTL::CommandFailure> Device::fault() const {
    if (!hasFault_) return std::nullopt;
    return fault_;
}

Device& deviceOf(MTL::Device& device) { return static_cast<Device&>(device); }

}  // namespace pewter::mtl
