#pragma once

#include <MTL/Resource.hpp>
#include <memory>
#include <string>

#include "mtl/FreeList.h"
#include "mtl/Memory.h"

namespace pewter::mtl {

class Heap final : public MTL::Heap, public std::enable_shared_from_this<Heap> {
public:
    Heap(std::shared_ptr<MTL::Device> device, std::shared_ptr<Memory> memory, const MTL::HeapDescriptor& descriptor);

    const std::string& label() const override { return label_; }
    void setLabel(const std::string& label) override { label_ = label; }
    std::shared_ptr<MTL::Device> device() const override { return device_; }
    MTL::StorageMode storageMode() const override { return descriptor_.storageMode; }
    std::size_t size() const override { return free_.capacity(); }
    std::size_t usedSize() const override;
    std::size_t maxAvailableSize(std::size_t alignment) const override;
    std::shared_ptr<MTL::Buffer> newBuffer(std::size_t length, MTL::ResourceOptions options) override;

    std::byte* base() const { return memory_->address(); }
    std::byte* hostBase() const { return memory_->hostAddress(); }
    void release(std::size_t offset, std::size_t size);

private:
    std::shared_ptr<MTL::Device> device_;
    std::shared_ptr<Memory> memory_;
    MTL::HeapDescriptor descriptor_;
    std::string label_;
    mutable std::mutex mutex_;
    FreeList free_;
};

}  // namespace pewter::mtl
