#pragma once

#include <MTL/Resource.hpp>
#include <functional>
#include <memory>
#include <string>

#include "mtl/Memory.h"

namespace pewter::mtl {

class Buffer final : public MTL::Buffer {
public:
    Buffer(std::shared_ptr<MTL::Device> device, std::shared_ptr<Memory> memory, std::size_t length,
           MTL::ResourceOptions options)
        : device_(std::move(device)), memory_(std::move(memory)), length_(length), options_(options) {}

    const std::string& label() const override { return label_; }
    void setLabel(const std::string& label) override { label_ = label; }
    std::shared_ptr<MTL::Device> device() const override { return device_; }
    MTL::StorageMode storageMode() const override { return MTL::storageModeOf(options_); }
    MTL::CPUCacheMode cpuCacheMode() const override { return static_cast<MTL::CPUCacheMode>(options_ & 0xF); }
    std::size_t allocatedSize() const override { return memory_->size(); }
    std::shared_ptr<MTL::Heap> heap() const override { return heap_; }
    std::size_t heapOffset() const override { return heapOffset_; }
    void makeAliasable() override;
    bool isAliasable() const override { return aliasable_; }
    MTL::PurgeableState setPurgeableState(MTL::PurgeableState state) override;

    std::size_t length() const override { return length_; }
    void* contents() override;
    void didModifyRange(std::size_t location, std::size_t length) override;

    Memory& memory() const { return *memory_; }
    /// Marks the buffer as part of a heap; onAliasable gives its bytes back.
    void setHeap(std::shared_ptr<MTL::Heap> heap, std::size_t offset, std::function<void()> onAliasable) {
        heap_ = std::move(heap);
        heapOffset_ = offset;
        onAliasable_ = std::move(onAliasable);
    }

private:
    std::shared_ptr<MTL::Device> device_;
    std::shared_ptr<Memory> memory_;
    std::size_t length_;
    MTL::ResourceOptions options_;
    std::string label_;
    std::shared_ptr<MTL::Heap> heap_;
    std::size_t heapOffset_ = 0;
    std::function<void()> onAliasable_;
    bool aliasable_ = false;
    MTL::PurgeableState purgeable_ = MTL::PurgeableState::NonVolatile;
};

/// Where the bytes are. For temporary memory: valid from the commit of the work that uses it.
std::byte* addressOf(MTL::Buffer& buffer);

}  // namespace pewter::mtl
