#include "mtl/Heap.h"

#include "mtl/Buffer.h"

namespace pewter::mtl {

namespace {

/// A part of a heap; returns when the buffer dies, unless makeAliasable returned it before.
class HeapPart final : public Memory {
public:
    HeapPart(std::shared_ptr<Heap> heap, std::size_t offset, std::size_t size)
        : heap_(std::move(heap)), offset_(offset), size_(size) {}
    ~HeapPart() override { release(); }
    std::byte* address() const override { return heap_->base() + offset_; }
    std::byte* hostAddress() const override {
        std::byte* base = heap_->hostBase();
        return base ? base + offset_ : nullptr;
    }
    std::size_t size() const override { return size_; }
    void release() {
        if (!released_) heap_->release(offset_, size_);
        released_ = true;
    }

private:
    std::shared_ptr<Heap> heap_;
    std::size_t offset_, size_;
    bool released_ = false;
};

}  // namespace

Heap::Heap(std::shared_ptr<MTL::Device> device, std::shared_ptr<Memory> memory,
           const MTL::HeapDescriptor& descriptor)
    : device_(std::move(device)),
      memory_(std::move(memory)),
      descriptor_(descriptor),
      free_(roundUp(descriptor.size)) {}

std::size_t Heap::usedSize() const {
    std::lock_guard lock(mutex_);
    return free_.used();
}

std::size_t Heap::maxAvailableSize(std::size_t) const {
    std::lock_guard lock(mutex_);
    return free_.largest();
}

std::shared_ptr<MTL::Buffer> Heap::newBuffer(std::size_t length, MTL::ResourceOptions options) {
    if (length == 0) return nullptr;
    const std::size_t size = roundUp(length);
    std::size_t offset = 0;
    {
        std::lock_guard lock(mutex_);
        const auto found = free_.take(size);
        if (!found) return nullptr;
        offset = *found;
    }
    auto part = std::make_shared<HeapPart>(shared_from_this(), offset, size);
    auto buffer = std::make_shared<Buffer>(device_, part, length, options);
    buffer->setHeap(shared_from_this(), offset, [part] { part->release(); });
    return buffer;
}

void Heap::release(std::size_t offset, std::size_t size) {
    std::lock_guard lock(mutex_);
    free_.give(offset, size);
}

}  // namespace pewter::mtl
