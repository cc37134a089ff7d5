#pragma once

#include <MPS/CommandBuffer.hpp>
#include <MTL/Device.hpp>
#include <memory>
#include <mutex>

namespace pewter::train {

constexpr int kBatchesInFlight = 2;

/// The temporary memory of all batches in flight, one block: the command buffers of one queue run one after another, and
/// nothing temporary outlives its command buffer, so that the batch being encoded may be given the memory in which
/// the one before still runs.
class SharedBlock final : public MPS::HeapProvider {
public:
    explicit SharedBlock(std::shared_ptr<MTL::Device> device) : device_(std::move(device)) {}

    std::shared_ptr<MTL::Heap> newHeap(const MTL::HeapDescriptor& descriptor) override {
        std::lock_guard lock(mutex_);
        if (!heap_ || descriptor.size > heap_->size()) {
            heap_ = nullptr;  // Where no batch runs in it, its memory goes before the larger one comes.
            heap_ = device_->newHeap(descriptor);
        }
        return heap_;
    }

    void retireHeap(const std::shared_ptr<MTL::Heap>&, double) override {}

private:
    std::shared_ptr<MTL::Device> device_;
    std::mutex mutex_;
    std::shared_ptr<MTL::Heap> heap_;
};

}  // namespace pewter::train
