#include "mtl/CommandBuffer.h"

#include <fmt/format.h>

#include <MPS/CommandBuffer.hpp>
#include <MTL/Device.hpp>
#include <MTL/Error.hpp>
#include <cstring>

#include "mtl/Buffer.h"

namespace MPS {

namespace mtl = pewter::mtl;

namespace {

/// Keeps the provider next to the heap it serves, so that wrappers of one root share it.
struct ProviderSource {
    std::shared_ptr<HeapProvider> provider;
    std::shared_ptr<MTL::Heap> operator()(const MTL::HeapDescriptor& descriptor) const {
        return provider->newHeap(descriptor);
    }
};

}  // namespace

Predicate::Predicate(std::shared_ptr<MTL::Buffer> buffer, std::size_t offset)
    : buffer_(std::move(buffer)), offset_(offset) {
    if (!buffer_) throw Error("Predicate", "buffer", "a buffer", "null");
    if (offset_ % 4 != 0 || buffer_->length() < 4 || offset_ > buffer_->length() - 4)
        throw Error("Predicate", "offset", fmt::format("a multiple of 4 inside {} bytes", buffer_->length()),
                    fmt::format("{}", offset_));
}

Predicate::Predicate(const std::shared_ptr<MTL::Device>& device)
    : Predicate(device ? device->newBuffer(4) : nullptr, 0) {}

HeapProvider::~HeapProvider() = default;
void HeapProvider::retireHeap(const std::shared_ptr<MTL::Heap>&, double) {}

CommandBuffer::CommandBuffer(std::shared_ptr<MTL::CommandBuffer> commandBuffer) : wrapped_(std::move(commandBuffer)) {
    if (!wrapped_) throw Error("CommandBuffer", "commandBuffer", "a command buffer", "null");
}

std::shared_ptr<CommandBuffer> CommandBuffer::commandBuffer(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer) {
    return std::make_shared<CommandBuffer>(commandBuffer);
}

std::shared_ptr<CommandBuffer> CommandBuffer::commandBufferFromCommandQueue(
    const std::shared_ptr<MTL::CommandQueue>& queue) {
    if (!queue) throw Error("CommandBuffer", "commandQueue", "a command queue", "null");
    return std::make_shared<CommandBuffer>(queue->commandBuffer());
}

std::shared_ptr<MTL::CommandBuffer> CommandBuffer::rootCommandBuffer() { return wrapped_->rootCommandBuffer(); }

std::shared_ptr<HeapProvider> CommandBuffer::heapProvider() const {
    const auto* source = mtl::rootOf(*wrapped_).heap()->source().make.target<ProviderSource>();
    return source ? source->provider : nullptr;
}

void CommandBuffer::setHeapProvider(std::shared_ptr<HeapProvider> provider) {
    const auto& heap = mtl::recordingBuffer(*wrapped_, "setHeapProvider").heap();
    if (!provider) {
        heap->setSource({});
        return;
    }
    heap->setSource({ProviderSource{provider}, [provider](std::shared_ptr<MTL::Heap> old, double seconds) {
                         provider->retireHeap(old, seconds);
                     }});
}

void CommandBuffer::commitAndContinue() {
    if (auto* inner = dynamic_cast<CommandBuffer*>(wrapped_.get())) return inner->commitAndContinue();
    auto& root = mtl::recordingBuffer(*wrapped_, "commitAndContinue");
    // Committed first: a queue of capacity 1 has no room for the successor before.
    auto kept = root.commitAndKeep();
    auto next = root.commandQueue()->commandBuffer();
    next->setLabel(root.label());
    mtl::rootOf(*next).adopt(std::move(kept));
    wrapped_ = std::move(next);
}

void CommandBuffer::prefetchHeap(std::size_t size) {
    const auto& heap = mtl::recordingBuffer(*wrapped_, "prefetchHeap").heap();
    if (heap->available() < size) heap->hint(size);
}

std::function<bool()> CommandBuffer::executionCondition() const {
    // The outermost wrapper with a predicate decides.
    if (!predicate_) return wrapped_->executionCondition();
    return [predicate = predicate_] {
        std::uint32_t value = 0;
        mtl::readBytes(*predicate->predicateBuffer(), predicate->predicateOffset(), &value, sizeof value);
        return value != 0;
    };
}

void CommandBuffer::encodeHostFunction(const std::string& label, std::function<void()> function) {
    const auto root = rootCommandBuffer();
    auto condition = executionCondition();
    // At the root, so that the predicates of inner wrappers do not count as well.
    if (condition && function)
        root->encodeHostFunction(label, [condition = std::move(condition), function = std::move(function)] {
            if (condition()) function();
        });
    else
        root->encodeHostFunction(label, std::move(function));
}

}  // namespace MPS
