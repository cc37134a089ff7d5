#include "mtl/TemporaryHeap.h"

#include <MTL/Error.hpp>
#include <algorithm>

#include "mtl/Heap.h"

namespace pewter::mtl {

/// One piece: grows until it is committed, then keeps its size.
class TemporaryHeap::Segment {
public:
    ~Segment() {
        if (heap_ && retire_) retire_(heap_, cacheSeconds_);
    }

    FreeList free;
    bool committed = false;

    void materialize(Device& device, const HeapSource& source, std::size_t hint, double cacheSeconds) {
        const std::size_t bytes = std::max(free.highest(), hint);
        cacheSeconds_ = cacheSeconds;
        if (source.make) {
            MTL::HeapDescriptor descriptor;
            descriptor.size = bytes;
            auto heap = source.make(descriptor);
            if (heap && heap->size() < bytes)
                throw MTL::Error("heap provider", "newHeap", "a heap of at least " + std::to_string(bytes) + " bytes",
                                 std::to_string(heap->size()));
            // Its memory is reached through our own class; another's address could only be guessed.
            if (heap && !dynamic_cast<Heap*>(heap.get()))
                throw MTL::Error("heap provider", "newHeap", "a heap made by MTL::Device::newHeap()",
                                 "an object of another class derived from MTL::Heap");
            if (heap && heap->device().get() != &device)
                throw MTL::Error("heap provider", "newHeap", "a heap of device " + device.name(),
                                 "one of device " + heap->device()->name());
            heap_ = std::move(heap);
            retire_ = source.retire;
        }
        // A provider that declines leaves the choice to the device's own cache.
        if (!heap_) memory_ = device.pool().allocate(bytes, "temporary memory", cacheSeconds);
        free.freeze(bytes);
        committed = true;
    }

    std::byte* base() const { return heap_ ? static_cast<Heap&>(*heap_).base() : memory_->address(); }

private:
    std::shared_ptr<Memory> memory_;
    std::shared_ptr<MTL::Heap> heap_;
    std::function<void(std::shared_ptr<MTL::Heap>, double)> retire_;
    double cacheSeconds_ = 0;
};

std::shared_ptr<TemporaryHeap::Range> TemporaryHeap::take(std::size_t bytes) {
    const std::size_t size = roundUp(std::max<std::size_t>(bytes, 1));
    live_ += size;
    livePeak_ = std::max(livePeak_, live_);
    for (auto& segment : segments_)
        if (const auto offset = segment->free.take(size))
            return std::make_shared<Range>(shared_from_this(), segment, *offset, size);
    segments_.push_back(std::make_shared<Segment>());
    const auto offset = segments_.back()->free.take(size);
    return std::make_shared<Range>(shared_from_this(), segments_.back(), *offset, size);
}

void TemporaryHeap::materialize() {
    for (auto& segment : segments_)
        if (!segment->committed) {
            segment->materialize(*device_, source_, hint_, cacheSeconds_);
            hint_ = 0;  // a hint waits for the piece it is about
        }
}

void TemporaryHeap::hint(std::size_t bytes) { hint_ = std::max(hint_, roundUp(bytes)); }

std::size_t TemporaryHeap::available() const {
    std::size_t most = hint_;
    for (const auto& segment : segments_) most = std::max(most, segment->free.largest());
    return most;
}

std::size_t TemporaryHeap::peak() const {
    std::size_t sum = 0;
    for (const auto& segment : segments_) sum += segment->free.highest();
    return sum;
}

TemporaryHeap::Range::Range(std::shared_ptr<TemporaryHeap> heap, std::shared_ptr<Segment> segment,
                            std::size_t offset, std::size_t size)
    : heap_(heap), segment_(std::move(segment)), offset_(offset), size_(size) {}

TemporaryHeap::Range::~Range() = default;

std::byte* TemporaryHeap::Range::address() const { return segment_->base() + offset_; }

void TemporaryHeap::Range::release() {
    if (released_) return;
    released_ = true;
    if (auto heap = heap_.lock()) {
        segment_->free.give(offset_, size_);
        heap->live_ -= size_;
    }
}

}  // namespace pewter::mtl
