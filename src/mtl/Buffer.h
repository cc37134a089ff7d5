#pragma once

#include <MTL/Resource.hpp>
#include <functional>
#include <memory>
#include <string>
#include <vector>

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
    /// Where the host finds the bytes themselves; null where it has to copy them.
    std::byte* hostAddress() const;
    /// The copy that contents() gave out, if any, brought up to date by a command of the stream.
    void updateMirror(ops::Stream& stream);
    /// The copy, brought up to date now; made if there is none.
    std::byte* updatedMirror();
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
    /// What contents() shows of managed memory that the host cannot reach.
    std::shared_ptr<Memory> mirror_;
};

/// Where the bytes are. For temporary memory: valid from the commit of the work that uses it.
std::byte* addressOf(MTL::Buffer& buffer);

/// Copies between the host and a buffer, wherever its bytes are, now: no device work that uses them may be under way.
void readBytes(MTL::Buffer& buffer, std::size_t offset, void* to, std::size_t bytes);
void writeBytes(MTL::Buffer& buffer, std::size_t offset, const void* from, std::size_t bytes);
void fillBytes(MTL::Buffer& buffer, std::uint8_t value);

/// `count` values of a buffer from `offset` bytes on, as they are now.
template <class T>
std::vector<T> valuesOf(MTL::Buffer& buffer, std::size_t count, std::size_t offset = 0) {
    std::vector<T> values(count);
    readBytes(buffer, offset, values.data(), count * sizeof(T));
    return values;
}

/// Host pointer to the bytes as they are now, valid while the buffer lives. Where the host cannot reach them it is a copy:
/// what is written there counts from didModifyRange() on.
void* currentContents(MTL::Buffer& buffer);

enum class HostAccess { Read, Write, ReadWrite };

/// A range of a buffer that the host may touch: the bytes themselves, or a copy that goes back with the view. Write: all of
/// the range will be written.
class HostView {
public:
    HostView(MTL::Buffer& buffer, std::size_t offset, std::size_t bytes, HostAccess access);
    ~HostView();
    HostView(const HostView&) = delete;
    HostView& operator=(const HostView&) = delete;

    std::byte* data() const { return data_; }
    template <class T>
    T* as() const {
        return reinterpret_cast<T*>(data_);
    }

private:
    Buffer& buffer_;
    std::size_t offset_;
    HostAccess access_;
    std::byte* data_;
    std::vector<std::byte> copy_;
};

}  // namespace pewter::mtl
