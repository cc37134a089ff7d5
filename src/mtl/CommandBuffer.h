#pragma once

#include <MTL/CommandBuffer.hpp>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "mtl/Temporary.h"
#include "mtl/TemporaryHeap.h"
#include "ops/Backend.h"

namespace pewter::mtl {

class CommandQueue;

/// What goes before a stretch of recorded commands, on the queue's worker: binds their addresses and returns them; nothing
/// when the commands are not to run.
using Prepare = std::function<std::optional<std::vector<const void*>>(ops::Stream&)>;

/// One piece of work with the name that errors give it.
struct Command {
    std::string label;
    std::function<void(ops::Stream&)> run;
    /// Shows the operation that run() would run; empty: there is none.
    std::function<void(ops::OperationVisitor&)> show = {};
};
using CommandList = std::vector<Command>;

class CommandBuffer final : public MTL::CommandBuffer {
public:
    CommandBuffer(std::shared_ptr<CommandQueue> queue, const MTL::CommandBufferDescriptor& descriptor);
    ~CommandBuffer() override;

    std::shared_ptr<MTL::Device> device() const override;
    std::shared_ptr<MTL::CommandQueue> commandQueue() const override;
    std::string label() const override;
    void setLabel(const std::string& label) override;
    MTL::CommandBufferStatus status() const override;
    std::optional<MTL::CommandFailure> error() const override;
    bool retainedReferences() const override { return descriptor_.retainedReferences; }
    void enqueue() override;
    void commit() override;
    void waitUntilScheduled() override;
    void waitUntilCompleted() override;
    void addScheduledHandler(MTL::CommandBufferHandler handler) override;
    void addCompletedHandler(MTL::CommandBufferHandler handler) override;
    double gpuStartTime() const override;
    double gpuEndTime() const override;
    void pushDebugGroup(const std::string& name) override;
    void popDebugGroup() override;
    std::shared_ptr<MTL::BlitCommandEncoder> blitCommandEncoder() override;
    void encodeHostFunction(const std::string& label, std::function<void()> function) override;
    std::size_t peakTemporaryMemory() const override { return peak_ ? peak_ : (heap_ ? heap_->peak() : 0); }
    std::size_t liveTemporaryMemoryPeak() const override {
        return livePeak_ ? livePeak_ : (heap_ ? heap_->livePeak() : 0);
    }
    std::shared_ptr<MTL::CommandBuffer> rootCommandBuffer() override { return shared_from_this(); }

    // --- for encoders ---

    /// Throws once committed.
    void requireUncommitted(const std::string& who) const;
    /// Throws unless commands may be appended now.
    void requireRecordable(const std::string& who) const;
    void append(Command command);
    void append(std::string label, std::function<void(ops::Stream&)> run) {
        append(Command{std::move(label), std::move(run)});
    }
    /// Appends commands [first, last) of a list that is recorded once and run by many buffers.
    void appendList(std::string label, std::shared_ptr<const CommandList> list, std::size_t first, std::size_t last,
                    Prepare prepare);
    /// Takes the commands out of a buffer that is never committed.
    CommandList takeCommands();
    /// Number of entries so far, and the way back to it when an encode fails halfway.
    std::size_t commandCount() const { return commands_.size(); }
    void truncate(std::size_t count) { commands_.resize(count); }
    /// The same for completed handlers, which a failed encode may have added.
    std::size_t completedHandlerCount() const { return completedHandlers_.size(); }
    void truncateCompletedHandlers(std::size_t count) { completedHandlers_.resize(count); }
    /// Keeps an object alive until the completed handlers have run.
    void retain(std::shared_ptr<const void> object);
    const std::shared_ptr<TemporaryHeap>& heap();
    void addTemporary(std::shared_ptr<Temporary> temporary) { temporaries_.push_back(std::move(temporary)); }
    std::size_t temporaryCount() const { return temporaries_.size(); }
    /// Gives up every temporary made after the first `count`: their encode failed.
    void truncateTemporaries(std::size_t count);
    /// Heap and live temporaries, on their way from a committed buffer to the one that continues it.
    struct Continuation {
        std::shared_ptr<TemporaryHeap> heap;
        std::vector<std::shared_ptr<Temporary>> temporaries;
    };
    /// commitAndContinue: commits this buffer without ending the life of its temporaries.
    Continuation commitAndKeep();
    void adopt(Continuation continuation);

    // --- for the queue ---

    void markScheduled();
    /// Hands all commands to the stream.
    void start(ops::Stream& stream);
    /// Waits until they are done, and tells everybody.
    void finish(ops::Stream& stream);

private:
    struct Entry {
        Command own;
        std::shared_ptr<const CommandList> list;
        std::size_t first = 0, last = 0;
        Prepare prepare;
    };

    void submit(std::vector<std::string> leftovers);
    void runHandlers(std::vector<MTL::CommandBufferHandler>& handlers);

    std::shared_ptr<CommandQueue> queue_;
    MTL::CommandBufferDescriptor descriptor_;
    std::shared_ptr<TemporaryHeap> heap_;
    std::vector<Entry> commands_;
    std::vector<std::shared_ptr<const void>> retained_;
    std::vector<std::shared_ptr<Temporary>> temporaries_;
    std::vector<std::string> groups_;
    std::weak_ptr<MTL::BlitCommandEncoder> openEncoder_;
    std::size_t peak_ = 0, livePeak_ = 0;
    // Between start() and finish().
    std::optional<MTL::CommandFailure> handedOver_;
    std::uint64_t mark_ = 0;

    mutable std::mutex mutex_;  // guards everything below
    std::condition_variable changed_;
    std::string label_;
    MTL::CommandBufferStatus status_ = MTL::CommandBufferStatus::NotEnqueued;
    bool scheduledDone_ = false, completedDone_ = false;
    std::optional<MTL::CommandFailure> failure_;
    std::vector<MTL::CommandBufferHandler> scheduledHandlers_, completedHandlers_;
    double start_ = 0, end_ = 0;

    friend class BlitEncoder;
};

/// The real command buffer behind a handle; throws when it can record nothing any more. `who` opens the sentence.
CommandBuffer& recordingBuffer(MTL::CommandBuffer& commandBuffer, const std::string& who);
/// The same without the check.
CommandBuffer& rootOf(MTL::CommandBuffer& commandBuffer);

/// Appends a command through a handle, under the handle's predicate.
void append(MTL::CommandBuffer& commandBuffer, Command command);
inline void append(MTL::CommandBuffer& commandBuffer, std::string label, std::function<void(ops::Stream&)> run) {
    append(commandBuffer, Command{std::move(label), std::move(run)});
}

/// Appends recorded commands through a handle, under the handle's predicate.
void appendList(MTL::CommandBuffer& commandBuffer, std::string label, std::shared_ptr<const CommandList> list,
                std::size_t first, std::size_t last, std::function<std::vector<const void*>()> bind);

/// Appends one operation of the seam. make() is called when the command runs and returns the operation's struct; what
/// it captures lives until then.
template <class Make>
void encodeOp(MTL::CommandBuffer& commandBuffer, std::string label, ops::Backend& backend, Make make) {
    const auto shared = std::make_shared<const Make>(std::move(make));
    append(commandBuffer,
           {std::move(label), [shared, &backend](ops::Stream& stream) { backend.run((*shared)(), stream); },
            [shared](ops::OperationVisitor& visitor) { visitor.visit((*shared)()); }});
}

}  // namespace pewter::mtl
