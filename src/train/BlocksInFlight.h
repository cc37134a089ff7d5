#pragma once

#include <MPS/CommandBuffer.hpp>
#include <MTL/Device.hpp>
#include <memory>
#include <mutex>
#include <vector>

namespace pewter::train {

constexpr int kBatchesInFlight = 2;

/// The temporary memory of the batches in flight, all of it taken with the first: otherwise the block of the second would
/// be taken when two first overlap, which may be late in a run.
class BlocksInFlight final : public MPS::HeapProvider {
public:
    explicit BlocksInFlight(std::shared_ptr<MTL::Device> device) : device_(std::move(device)) {}

    std::shared_ptr<MTL::Heap> newHeap(const MTL::HeapDescriptor& descriptor) override {
        std::lock_guard lock(mutex_);
        if (descriptor.size > size_) {
            size_ = descriptor.size;
            idle_.clear();
            for (int i = 0; i < kBatchesInFlight; ++i) idle_.push_back(device_->newHeap(descriptor));
        }
        if (idle_.empty()) return nullptr;
        auto heap = std::move(idle_.back());
        idle_.pop_back();
        return heap;
    }

    void retireHeap(const std::shared_ptr<MTL::Heap>& heap, double) override {
        std::lock_guard lock(mutex_);
        if (heap->size() >= size_) idle_.push_back(heap);
    }

private:
    std::shared_ptr<MTL::Device> device_;
    std::mutex mutex_;
    std::size_t size_ = 0;
    std::vector<std::shared_ptr<MTL::Heap>> idle_;
};

}  // namespace pewter::train
