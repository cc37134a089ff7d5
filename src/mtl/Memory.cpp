#include "mtl/Memory.h"

#include <fmt/format.h>

#include <MTL/Error.hpp>
#include <algorithm>
#include <bit>
#include <chrono>
#include <new>

#include "ops/DeviceFault.h"

namespace pewter::mtl {

namespace {

double seconds() {
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

/// Sizes are rounded to eighths of a power of two, so that a block fits the next request of nearly its size.
std::size_t sizeClass(std::size_t bytes) {
    bytes = std::max(roundUp(bytes), kMemoryGranularity);
    const std::size_t step = std::max(kMemoryGranularity, std::bit_floor(bytes) / 8);
    return roundUp(bytes, step);
}

}  // namespace

class MemoryPool::PooledMemory final : public Memory {
public:
    PooledMemory(std::shared_ptr<MemoryPool> pool, Block block, double cacheSeconds)
        : pool_(std::move(pool)), block_(block), cacheSeconds_(cacheSeconds) {}
    ~PooledMemory() override { pool_->giveBack(block_, cacheSeconds_); }
    std::byte* address() const override { return block_.address; }
    std::byte* hostAddress() const override { return pool_->hostVisible() ? block_.address : nullptr; }
    std::size_t size() const override { return block_.size; }

private:
    std::shared_ptr<MemoryPool> pool_;
    Block block_;
    double cacheSeconds_;
};

MemoryPool::~MemoryPool() {
    trim(true);
}

std::shared_ptr<Memory> MemoryPool::allocate(std::size_t bytes, const char* purpose, double cacheSeconds) {
    const std::size_t size = sizeClass(bytes);
    Block block;
    {
        std::lock_guard lock(mutex_);
        trimLocked(seconds(), false);
        // Smallest cached block that fits without wasting more than a quarter.
        auto best = cache_.end();
        for (auto it = cache_.begin(); it != cache_.end(); ++it)
            if (it->size >= size && it->size <= size + size / 4 && (best == cache_.end() || it->size < best->size))
                best = it;
        if (best != cache_.end()) {
            block = *best;
            *best = cache_.back();
            cache_.pop_back();
        }
    }
    if (!block.address) {
        const auto refuse = [&](const std::string& why) {
            throw MTL::Error(fmt::format("device {}", backend_->name()), purpose, fmt::format("{} bytes of memory", bytes), why);
        };
        try {
            block.address = take(size);
        } catch (const std::bad_alloc&) {
            trim(true);
            try {
                block.address = take(size);
            } catch (const std::bad_alloc&) {
                refuse(fmt::format("out of memory, with {} bytes taken", systemBytes()));
            }
        } catch (const ops::DeviceFault& e) {
            refuse(fmt::format("a device that has stopped: {}", e.what()));
        }
        block.size = size;
        std::lock_guard lock(mutex_);
        systemBytes_ += size;
        ++systemAllocations_;
    }
    return std::make_shared<PooledMemory>(shared_from_this(), block, cacheSeconds);
}

std::byte* MemoryPool::take(std::size_t bytes) {
    return static_cast<std::byte*>(kind_ == MemoryKind::Shared ? backend_->allocateShared(bytes)
                                                               : backend_->allocate(bytes));
}

bool MemoryPool::hostVisible() const { return kind_ == MemoryKind::Shared || backend_->hostVisible(); }

void MemoryPool::giveBack(Block block, double cacheSeconds) noexcept {
    std::lock_guard lock(mutex_);
    const double now = seconds();
    block.expires = now + cacheSeconds;
    cache_.push_back(block);
    trimLocked(now, false);
}

void MemoryPool::trim(bool all) {
    std::lock_guard lock(mutex_);
    trimLocked(seconds(), all);
}

void MemoryPool::trimLocked(double now, bool all) {
    std::erase_if(cache_, [&](const Block& block) {
        if (!all && block.expires > now) return false;
        if (kind_ == MemoryKind::Shared)
            backend_->deallocateShared(block.address, block.size);
        else
            backend_->deallocate(block.address, block.size);
        systemBytes_ -= block.size;
        return true;
    });
}

std::size_t MemoryPool::systemBytes() const {
    std::lock_guard lock(mutex_);
    return systemBytes_;
}

std::size_t MemoryPool::systemAllocations() const {
    std::lock_guard lock(mutex_);
    return systemAllocations_;
}

}  // namespace pewter::mtl
