#pragma once

#include <MTL/Resource.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "mtl/Device.h"
#include "mtl/FreeList.h"
#include "mtl/Memory.h"

namespace pewter::mtl {

/// Where heaps come from when the user provides them (MPSHeapProvider), and go back to.
struct HeapSource {
    std::function<std::shared_ptr<MTL::Heap>(const MTL::HeapDescriptor&)> make;
    std::function<void(std::shared_ptr<MTL::Heap>, double cacheSeconds)> retire;
};

/// The temporary memory of one command buffer and of those that continue it.
///
/// Ranges are taken and returned while encoding, in an address space without memory behind it; the memory arrives when
/// the command buffer is committed, in one piece of exactly the extent that was needed. What is encoded after a commit
/// (commitAndContinue) first reuses what that piece has free.
class TemporaryHeap : public std::enable_shared_from_this<TemporaryHeap> {
public:
    class Range;

    explicit TemporaryHeap(std::shared_ptr<Device> device) : device_(std::move(device)) {}

    /// A range for `bytes` bytes. Its address is valid once materialize() has run.
    std::shared_ptr<Range> take(std::size_t bytes);

    /// A range for one run of a plan that needs `bytes` bytes; of these, and of all that is taken besides, at most `live`
    /// are in use at a time while it runs.
    std::shared_ptr<Range> takeForPlan(std::size_t bytes, std::size_t live);

    /// Puts memory behind every range taken so far; called by commit.
    void materialize();

    /// The next piece of memory will have at least this size.
    void hint(std::size_t bytes);
    /// Bytes that can still be taken without new memory.
    std::size_t available() const;
    void setCacheSeconds(double seconds) { cacheSeconds_ = seconds; }
    void setSource(HeapSource source) { source_ = std::move(source); }
    const HeapSource& source() const { return source_; }

    // --- plans: a heap whose ranges are placed and never given memory of their own ---

    /// One range of a plan: taken at one tick, returned at another.
    struct Trace {
        std::shared_ptr<Range> range;
        std::size_t taken = 0, released = static_cast<std::size_t>(-1);
        /// Taken between setApart(true) and setApart(false): placed by whoever runs the plan, not by the plan.
        bool apart = false;
    };
    /// Before the first take: every range is noted, and bind() will say where the memory of a run lies.
    void startPlan();
    void setApart(bool apart) { apart_ = apart; }
    const std::vector<Trace>& traces() const { return traces_; }
    /// Counts takes and returns.
    std::size_t tick() const { return tick_; }
    /// Gives the ranges of the plan (not those apart) the offsets found for them; extent: the bytes they need together.
    void place(const std::vector<std::size_t>& offsets, std::size_t extent);
    /// Bytes of the plan, without those apart.
    std::size_t planExtent() const;
    /// From now on the plan's addresses start here. Called while commands run, by the queue's worker.
    void bind(std::byte* base);

    /// Extent of all pieces: what a run reserves.
    std::size_t peak() const;
    /// The largest sum of live bytes so far.
    std::size_t livePeak() const { return livePeak_; }
    std::size_t live() const { return live_; }

private:
    class Segment;
    std::shared_ptr<Range> findRoom(std::size_t size);

    std::shared_ptr<Device> device_;
    std::vector<std::shared_ptr<Segment>> segments_;
    HeapSource source_;
    double cacheSeconds_ = 5.0;
    std::size_t hint_ = 0, live_ = 0, livePeak_ = 0;
    bool planned_ = false, apart_ = false;
    std::size_t tick_ = 0;
    std::vector<Trace> traces_;
    std::optional<std::size_t> extent_;
};

class TemporaryHeap::Range final : public Memory {
public:
    Range(std::shared_ptr<TemporaryHeap> heap, std::shared_ptr<Segment> segment, std::size_t offset,
          std::size_t size);
    ~Range() override;
    std::byte* address() const override;
    std::size_t size() const override { return size_; }
    std::size_t offset() const { return offset_; }
    /// Returns the bytes for the next taker. Commands encoded before still find the memory here.
    void release();

private:
    friend class TemporaryHeap;
    std::weak_ptr<TemporaryHeap> heap_;
    std::shared_ptr<Segment> segment_;
    std::size_t offset_, size_;
    std::size_t trace_ = static_cast<std::size_t>(-1);
    bool released_ = false, isPlan_ = false;
};

}  // namespace pewter::mtl
