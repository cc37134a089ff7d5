#pragma once

#include <memory>

#include <MPS/Types.hpp>
#include <MTL/CommandBuffer.hpp>
#include <MTL/Resource.hpp>

namespace MPS {

/// MPSPredicate: a condition read when a kernel would run: true when the uint32 at the offset is not 0.
class PEWTER_API Predicate {
public:
    /// Throws MPS::Error for a null buffer, an offset that is no multiple of 4, or one beyond the buffer.
    /// Objective-C: -initWithBuffer:offset:, +predicateWithBuffer:offset:
    explicit Predicate(std::shared_ptr<MTL::Buffer> buffer, std::size_t offset = 0);
    /// Four bytes of its own, 0 at first.   Objective-C: -initWithDevice:
    explicit Predicate(const std::shared_ptr<MTL::Device>& device);

    const std::shared_ptr<MTL::Buffer>& predicateBuffer() const { return buffer_; }
    std::size_t predicateOffset() const { return offset_; }

private:
    std::shared_ptr<MTL::Buffer> buffer_;
    std::size_t offset_;
};

/// MPSHeapProvider: where temporary memory comes from, when not from the device's cache.
class PEWTER_API HeapProvider {
public:
    virtual ~HeapProvider();
    /// A heap of at least descriptor.size bytes, or null to leave it to the device.
    /// Objective-C: -newHeapWithDescriptor:
    virtual std::shared_ptr<MTL::Heap> newHeap(const MTL::HeapDescriptor& descriptor) = 0;
    /// The heap is no longer used.   Objective-C: -retireHeap:cacheDelay:
    virtual void retireHeap(const std::shared_ptr<MTL::Heap>& heap, double cacheDelaySeconds);
};

/// MPSCommandBuffer: a command buffer that can hand over what it has and go on.
///
/// Everything of MTL::CommandBuffer is forwarded to the root. Temporaries stay valid across commitAndContinue().
/// Source: MPSCommandBuffer.h.
class PEWTER_API CommandBuffer final : public MTL::CommandBuffer {
public:
    /// Throws MPS::Error for null.   Objective-C: -initWithCommandBuffer:
    explicit CommandBuffer(std::shared_ptr<MTL::CommandBuffer> commandBuffer);

    /// Objective-C: +commandBufferWithCommandBuffer:
    static std::shared_ptr<CommandBuffer> commandBuffer(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer);
    /// Objective-C: +commandBufferFromCommandQueue:
    static std::shared_ptr<CommandBuffer> commandBufferFromCommandQueue(
        const std::shared_ptr<MTL::CommandQueue>& commandQueue);

    /// The wrapped buffer; after commitAndContinue() the live one, never a committed one.
    std::shared_ptr<MTL::CommandBuffer> commandBuffer() const { return wrapped_; }
    /// The innermost real command buffer now in use. Keep it before commitAndContinue() to wait for what was handed over.
    std::shared_ptr<MTL::CommandBuffer> rootCommandBuffer() override;

    /// Condition of the kernels encoded through this wrapper; null: that of the wrapped one, or none.
    const std::shared_ptr<Predicate>& predicate() const { return predicate_; }
    void setPredicate(std::shared_ptr<Predicate> predicate) { predicate_ = std::move(predicate); }

    /// Source of heaps of the underlying command buffer, shared by all wrappers of one root; null: the device's cache.
    std::shared_ptr<HeapProvider> heapProvider() const;
    void setHeapProvider(std::shared_ptr<HeapProvider> provider);

    /// Commits the root and goes on with a new one of the same queue, with the same label. Temporaries, their memory and
    /// the heap provider move along; handlers added so far fire for the buffer that was committed.
    /// Throws MPS::Error on a committed buffer or while an encoder is open.   Objective-C: -commitAndContinue
    void commitAndContinue();

    /// Makes room for `size` more bytes of temporary memory in one piece, now.
    /// Objective-C: -prefetchHeapForWorkloadSize:
    void prefetchHeap(std::size_t size);

    std::shared_ptr<MTL::Device> device() const override { return wrapped_->device(); }
    std::shared_ptr<MTL::CommandQueue> commandQueue() const override { return wrapped_->commandQueue(); }
    std::string label() const override { return wrapped_->label(); }
    void setLabel(const std::string& label) override { wrapped_->setLabel(label); }
    MTL::CommandBufferStatus status() const override { return wrapped_->status(); }
    std::optional<MTL::CommandFailure> error() const override { return wrapped_->error(); }
    bool retainedReferences() const override { return wrapped_->retainedReferences(); }
    void enqueue() override { wrapped_->enqueue(); }
    void commit() override { wrapped_->commit(); }
    void waitUntilScheduled() override { wrapped_->waitUntilScheduled(); }
    void waitUntilCompleted() override { wrapped_->waitUntilCompleted(); }
    void addScheduledHandler(MTL::CommandBufferHandler handler) override {
        wrapped_->addScheduledHandler(std::move(handler));
    }
    void addCompletedHandler(MTL::CommandBufferHandler handler) override {
        wrapped_->addCompletedHandler(std::move(handler));
    }
    double gpuStartTime() const override { return wrapped_->gpuStartTime(); }
    double gpuEndTime() const override { return wrapped_->gpuEndTime(); }
    void pushDebugGroup(const std::string& name) override { wrapped_->pushDebugGroup(name); }
    void popDebugGroup() override { wrapped_->popDebugGroup(); }
    std::shared_ptr<MTL::BlitCommandEncoder> blitCommandEncoder() override { return wrapped_->blitCommandEncoder(); }
    void encodeHostFunction(const std::string& label, std::function<void()> function) override;
    std::size_t peakTemporaryMemory() const override { return wrapped_->peakTemporaryMemory(); }
    std::size_t liveTemporaryMemoryPeak() const override { return wrapped_->liveTemporaryMemoryPeak(); }
    std::function<bool()> executionCondition() const override;

private:
    std::shared_ptr<MTL::CommandBuffer> wrapped_;
    std::shared_ptr<Predicate> predicate_;
};

}  // namespace MPS
