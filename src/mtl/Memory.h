#pragma once

#include <cstddef>
#include <memory>
#include <mutex>
#include <vector>

#include "ops/Backend.h"

namespace pewter::mtl {

/// A range of device memory. The address may become known only when the work that uses it is committed.
class Memory {
public:
    virtual ~Memory() = default;
    /// Where the device finds it.
    virtual std::byte* address() const = 0;
    /// Where the host finds it; null where that is address(), or nowhere: the backend knows (HostView asks).
    virtual std::byte* hostAddress() const { return nullptr; }
    virtual std::size_t size() const = 0;
};

/// Who reaches a piece of memory: the device (and the host, where the backend is visible to it), or both everywhere.
enum class MemoryKind { Device, Shared };

/// Memory of one device: blocks come from the backend, and go to a cache when released, so that a steady loop asks the
/// system for nothing. Blocks unused for their cache duration go back to the system. Thread-safe.
class MemoryPool : public std::enable_shared_from_this<MemoryPool> {
public:
    MemoryPool(std::shared_ptr<ops::Backend> backend, MemoryKind kind) : backend_(std::move(backend)), kind_(kind) {}
    ~MemoryPool();

    /// Throws MTL::Error naming `purpose` when the system refuses.
    std::shared_ptr<Memory> allocate(std::size_t bytes, const char* purpose, double cacheSeconds = 5.0);

    bool hostVisible() const;
    std::size_t systemBytes() const;
    std::size_t systemAllocations() const;
    /// Returns expired cached blocks (every cached block when `all`) to the system.
    void trim(bool all = false);

private:
    struct Block {
        std::byte* address = nullptr;
        std::size_t size = 0;
        double expires = 0;
    };
    class PooledMemory;

    std::byte* take(std::size_t bytes);
    void giveBack(Block block, double cacheSeconds) noexcept;
    void trimLocked(double now, bool all);

    std::shared_ptr<ops::Backend> backend_;
    MemoryKind kind_;
    mutable std::mutex mutex_;
    std::vector<Block> cache_;
    std::size_t systemBytes_ = 0, systemAllocations_ = 0;
};

/// Every size is rounded up to this, and every address is a multiple of it.
inline constexpr std::size_t kMemoryGranularity = 64;

constexpr std::size_t roundUp(std::size_t bytes, std::size_t unit = kMemoryGranularity) {
    return (bytes + unit - 1) / unit * unit;
}

}  // namespace pewter::mtl
