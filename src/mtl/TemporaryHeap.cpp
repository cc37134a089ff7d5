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

    /// A segment of a plan: `extent` bytes at an address that changes from run to run.
    void bind(std::byte* base) { bound_ = base; }

    std::byte* base() const {
        if (bound_) return bound_;
        return heap_ ? static_cast<Heap&>(*heap_).base() : memory_->address();
    }

private:
    std::shared_ptr<Memory> memory_;
    std::shared_ptr<MTL::Heap> heap_;
    std::function<void(std::shared_ptr<MTL::Heap>, double)> retire_;
    double cacheSeconds_ = 0;
    std::byte* bound_ = nullptr;
};

void TemporaryHeap::startPlan() {
    planned_ = true;
    segments_ = {std::make_shared<Segment>(), std::make_shared<Segment>()};  // the plan's own, and those apart
}

void TemporaryHeap::place(const std::vector<std::size_t>& offsets, std::size_t extent) {
    std::size_t next = 0;
    for (auto& trace : traces_)
        if (!trace.apart) trace.range->offset_ = offsets[next++];
    extent_ = extent;
}

std::size_t TemporaryHeap::planExtent() const { return extent_ ? *extent_ : segments_[0]->free.highest(); }

void TemporaryHeap::bind(std::byte* base) { segments_[0]->bind(base); }

std::shared_ptr<TemporaryHeap::Range> TemporaryHeap::take(std::size_t bytes) {
    const std::size_t size = roundUp(std::max<std::size_t>(bytes, 1));
    live_ += size;
    livePeak_ = std::max(livePeak_, live_);
    if (planned_) {
        const auto& segment = segments_[apart_ ? 1 : 0];
        auto range = std::make_shared<Range>(shared_from_this(), segment, *segment->free.take(size), size);
        range->trace_ = traces_.size();
        traces_.push_back({.range = range, .taken = tick_++, .apart = apart_});
        return range;
    }
    return findRoom(size);
}

std::shared_ptr<TemporaryHeap::Range> TemporaryHeap::takeForPlan(std::size_t bytes, std::size_t live) {
    livePeak_ = std::max(livePeak_, live);
    auto range = findRoom(roundUp(bytes));
    range->isPlan_ = true;
    return range;
}

std::shared_ptr<TemporaryHeap::Range> TemporaryHeap::findRoom(std::size_t size) {
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
    if (planned_) return planExtent() + segments_[1]->free.highest();
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
        if (trace_ < heap->traces_.size()) heap->traces_[trace_].released = heap->tick_++;
        segment_->free.give(offset_, size_);
        if (!isPlan_) heap->live_ -= size_;
    }
}

}  // namespace pewter::mtl
