#include "mtl/CommandBuffer.h"

#include <fmt/format.h>

#include <MTL/Error.hpp>
#include <chrono>
#include <new>
#include <typeinfo>
#include <utility>

#include "mtl/Buffer.h"
#include "mtl/CommandQueue.h"
#include "mtl/Device.h"
#include "mtl/Diagnostics.h"
#include "mtl/RunningCommand.h"
#include "ops/DeviceFault.h"

namespace MTL {
CommandBuffer::~CommandBuffer() = default;
BlitCommandEncoder::~BlitCommandEncoder() = default;
std::function<bool()> CommandBuffer::executionCondition() const { return {}; }
}  // namespace MTL

namespace pewter::mtl {

namespace {

double hostSeconds() {
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

std::string nameOf(const std::string& label) {
    return label.empty() ? "command buffer" : fmt::format("command buffer '{}'", label);
}

}  // namespace

class BlitEncoder final : public MTL::BlitCommandEncoder {
public:
    explicit BlitEncoder(std::shared_ptr<CommandBuffer> buffer) : buffer_(std::move(buffer)) {}

    void copy(const std::shared_ptr<MTL::Buffer>& source, std::size_t sourceOffset,
              const std::shared_ptr<MTL::Buffer>& destination, std::size_t destinationOffset,
              std::size_t size) override {
        check(source, "sourceBuffer", sourceOffset, size);
        check(destination, "destinationBuffer", destinationOffset, size);
        buffer_->append("blit copy", [=, &backend = backend()](ops::Stream& stream) {
            backend.copyBytes(addressOf(*destination) + destinationOffset, addressOf(*source) + sourceOffset, size,
                              stream);
        });
    }
    void fill(const std::shared_ptr<MTL::Buffer>& target, std::size_t location, std::size_t length,
              std::uint8_t value) override {
        check(target, "buffer", location, length);
        buffer_->append("blit fill", [=, &backend = backend()](ops::Stream& stream) {
            backend.fillBytes(addressOf(*target) + location, value, length, stream);
        });
    }
    void synchronize(const std::shared_ptr<MTL::Resource>& resource) override {
        requireOpen();
        if (!resource) throw MTL::Error("blit encoder", "resource", "a resource", "null");
        buffer_->retain(resource);
        if (auto* managed = dynamic_cast<Buffer*>(resource.get()))
            buffer_->append("blit synchronize", [managed](ops::Stream& stream) { managed->updateMirror(stream); });
    }
    void endEncoding() override {
        requireOpen();
        buffer_->openEncoder_.reset();
        buffer_.reset();
    }

private:
    ops::Backend& backend() const { return deviceOf(*buffer_->device()).backend(); }
    void requireOpen() const {
        if (!buffer_) throw MTL::Error("blit encoder", "state", "an open encoder", "one whose encoding has ended");
    }
    void check(const std::shared_ptr<MTL::Buffer>& buffer, const char* argument, std::size_t offset,
               std::size_t size) const {
        requireOpen();
        if (!buffer) throw MTL::Error("blit encoder", argument, "a buffer", "null");
        if (offset > buffer->length() || size > buffer->length() - offset)
            throw MTL::Error("blit encoder", argument, fmt::format("a range inside {} bytes", buffer->length()),
                             fmt::format("{} bytes at {}", size, offset));
    }
    std::shared_ptr<CommandBuffer> buffer_;
};

CommandBuffer::CommandBuffer(std::shared_ptr<CommandQueue> queue, const MTL::CommandBufferDescriptor& descriptor)
    : queue_(std::move(queue)), descriptor_(descriptor) {}

CommandBuffer::~CommandBuffer() {
    if (status_ <= MTL::CommandBufferStatus::Enqueued)
        queue_->forget(this, status_ == MTL::CommandBufferStatus::Enqueued);
}

std::shared_ptr<MTL::Device> CommandBuffer::device() const { return queue_->device(); }
std::shared_ptr<MTL::CommandQueue> CommandBuffer::commandQueue() const { return queue_; }

std::string CommandBuffer::label() const {
    std::lock_guard lock(mutex_);
    return label_;
}

void CommandBuffer::setLabel(const std::string& label) {
    std::lock_guard lock(mutex_);
    label_ = label;
}

MTL::CommandBufferStatus CommandBuffer::status() const {
    std::lock_guard lock(mutex_);
    return status_;
}

std::optional<MTL::CommandFailure> CommandBuffer::error() const {
    std::lock_guard lock(mutex_);
    return failure_;
}

double CommandBuffer::gpuStartTime() const {
    std::lock_guard lock(mutex_);
    return start_;
}

double CommandBuffer::gpuEndTime() const {
    std::lock_guard lock(mutex_);
    return end_;
}

void CommandBuffer::requireUncommitted(const std::string& who) const {
    std::lock_guard lock(mutex_);
    if (status_ > MTL::CommandBufferStatus::Enqueued)
        throw MTL::Error(who, "commandBuffer", "a command buffer that is not committed yet",
                         nameOf(label_) + " that is");
}

void CommandBuffer::requireRecordable(const std::string& who) const {
    requireUncommitted(who);
    if (!openEncoder_.expired())
        throw MTL::Error(who, "commandBuffer", "a command buffer without an open encoder",
                         nameOf(label()) + " with one");
}

void CommandBuffer::enqueue() {
    {
        std::lock_guard lock(mutex_);
        if (status_ != MTL::CommandBufferStatus::NotEnqueued) return;
        status_ = MTL::CommandBufferStatus::Enqueued;
    }
    queue_->reserve(this);
}

void CommandBuffer::commit() {
    requireRecordable("commit");
    std::vector<std::string> leftovers;
    for (const auto& temporary : temporaries_)
        if (temporary->readCount() > 0)
            leftovers.push_back(fmt::format("{} (read count {})", temporary->describe(), temporary->readCount()));
    if (!leftovers.empty() && MTL::strictTemporaries())
        throw MTL::Error("commit", "temporaries", "every read count at 0",
                         fmt::format("{}{}", leftovers.front(),
                                     leftovers.size() > 1 ? fmt::format(" and {} more", leftovers.size() - 1) : ""));
    submit(std::move(leftovers));
}

void CommandBuffer::submit(std::vector<std::string> leftovers) {
    if (heap_) {
        heap_->materialize();  // may throw: then nothing has changed
        peak_ = heap_->peak();
        livePeak_ = heap_->livePeak();
    }
    enqueue();
    for (const auto& temporary : temporaries_) temporary->retire();
    temporaries_.clear();
    heap_.reset();
    {
        std::lock_guard lock(mutex_);
        status_ = MTL::CommandBufferStatus::Committed;
    }
    for (const auto& leftover : leftovers)
        diagnose(fmt::format("{} was committed with {} still unread; its memory returns when the buffer completes",
                             nameOf(label()), leftover));
    queue_->submit(std::static_pointer_cast<CommandBuffer>(shared_from_this()));
}

void CommandBuffer::truncateTemporaries(std::size_t count) {
    for (std::size_t i = count; i < temporaries_.size(); ++i)
        if (temporaries_[i]->readCount() > 0) temporaries_[i]->setReadCount(0);
    if (count < temporaries_.size()) temporaries_.resize(count);
}

CommandBuffer::Continuation CommandBuffer::commitAndKeep() {
    requireRecordable("commitAndContinue");
    if (heap_) {
        heap_->materialize();  // may throw: then nothing has changed
        peak_ = heap_->peak();
        livePeak_ = heap_->livePeak();
    }
    Continuation kept{std::move(heap_), std::exchange(temporaries_, {})};
    submit({});
    return kept;
}

void CommandBuffer::adopt(Continuation continuation) {
    heap_ = std::move(continuation.heap);
    temporaries_ = std::move(continuation.temporaries);
}

void CommandBuffer::waitUntilScheduled() {
    std::unique_lock lock(mutex_);
    if (status_ <= MTL::CommandBufferStatus::Enqueued)
        throw MTL::Error("waitUntilScheduled", "status", "a committed command buffer", nameOf(label_) + " that is not");
    if (!scheduledDone_ && queue_->onWorker())
        throw MTL::Error("waitUntilScheduled", "thread", "a thread other than the queue's worker",
                         "the worker, which would wait for itself");
    changed_.wait(lock, [&] { return scheduledDone_; });
}

void CommandBuffer::waitUntilCompleted() {
    std::unique_lock lock(mutex_);
    if (status_ <= MTL::CommandBufferStatus::Enqueued)
        throw MTL::Error("waitUntilCompleted", "status", "a committed command buffer", nameOf(label_) + " that is not");
    if (!completedDone_ && queue_->onWorker())
        throw MTL::Error("waitUntilCompleted", "thread", "a thread other than the queue's worker",
                         "the worker, which would wait for itself");
    changed_.wait(lock, [&] { return completedDone_; });
}

void CommandBuffer::addScheduledHandler(MTL::CommandBufferHandler handler) {
    requireUncommitted("addScheduledHandler");
    scheduledHandlers_.push_back(std::move(handler));
}

void CommandBuffer::addCompletedHandler(MTL::CommandBufferHandler handler) {
    requireUncommitted("addCompletedHandler");
    completedHandlers_.push_back(std::move(handler));
}

void CommandBuffer::pushDebugGroup(const std::string& name) { groups_.push_back(name); }

void CommandBuffer::popDebugGroup() {
    if (groups_.empty()) throw MTL::Error("popDebugGroup", "debug groups", "at least one pushed", "none");
    groups_.pop_back();
}

std::shared_ptr<MTL::BlitCommandEncoder> CommandBuffer::blitCommandEncoder() {
    requireRecordable("blitCommandEncoder");
    auto encoder = std::make_shared<BlitEncoder>(std::static_pointer_cast<CommandBuffer>(shared_from_this()));
    openEncoder_ = encoder;
    return encoder;
}

void CommandBuffer::encodeHostFunction(const std::string& label, std::function<void()> function) {
    requireRecordable("encodeHostFunction");
    if (!function) throw MTL::Error(label, "function", "a callable", "an empty one");
    append(label, [function = std::move(function)](ops::Stream& stream) {
        stream.synchronize();
        function();
    });
}

void CommandBuffer::append(Command command) {
    for (auto group = groups_.rbegin(); group != groups_.rend(); ++group) command.label.insert(0, *group + "/");
    commands_.push_back({std::move(command), nullptr, 0, 0, nullptr});
}

void CommandBuffer::appendList(std::string label, std::shared_ptr<const CommandList> list, std::size_t first,
                               std::size_t last, Prepare prepare) {
    commands_.push_back({{std::move(label), nullptr, nullptr}, std::move(list), first, last, std::move(prepare)});
}

CommandList CommandBuffer::takeCommands() {
    CommandList list;
    list.reserve(commands_.size());
    for (auto& entry : commands_) list.push_back(std::move(entry.own));
    commands_.clear();
    return list;
}

void CommandBuffer::retain(std::shared_ptr<const void> object) { retained_.push_back(std::move(object)); }

const std::shared_ptr<TemporaryHeap>& CommandBuffer::heap() {
    if (!heap_) heap_ = std::make_shared<TemporaryHeap>(std::static_pointer_cast<Device>(queue_->device()));
    return heap_;
}

void CommandBuffer::runHandlers(std::vector<MTL::CommandBufferHandler>& handlers) {
    for (auto& handler : std::exchange(handlers, {})) {
        try {
            handler(shared_from_this());
        } catch (const std::exception& e) {
            diagnose(fmt::format("a handler of {} threw: {}", nameOf(label()), e.what()));
        } catch (...) {
            diagnose(fmt::format("a handler of {} threw something that is no exception", nameOf(label())));
        }
    }
}

namespace {

/// The failure that the exception being handled stands for: of the command, or, where the device has stopped, of `faulty`.
MTL::CommandFailure failureOf(const std::string& command, const std::string& faulty) {
    const auto made = [](MTL::CommandBufferError code, const std::string& label, const std::string& why) {
        return MTL::CommandFailure{
            code, fmt::format("{} failed: {}", label.empty() ? "an unnamed command" : label, why), label};
    };
    try {
        throw;
    } catch (const std::bad_alloc& e) {
        const bool isPlain = typeid(e) == typeid(std::bad_alloc);
        return made(MTL::CommandBufferError::OutOfMemory, command, isPlain ? "out of memory" : e.what());
    } catch (const ops::DeviceFault& e) {
        return made(MTL::CommandBufferError::PageFault, faulty, e.what());
    } catch (const std::exception& e) {
        return made(MTL::CommandBufferError::Internal, command, e.what());
    } catch (...) {
        return made(MTL::CommandBufferError::Internal, command, "unknown exception");
    }
}

/// A command buffer and what is in it: all that is known of a fault of which the device tells afterwards.
template <class Entries>
std::string workOf(const std::string& name, const Entries& entries) {
    std::size_t count = 0;
    const std::string *first = nullptr, *last = nullptr;
    const auto add = [&](const std::string& label) {
        if (count++ == 0) first = &label;
        last = &label;
    };
    for (const auto& entry : entries) {
        if (!entry.list) add(entry.own.label);
        for (std::size_t i = entry.first; entry.list && i < entry.last; ++i) add((*entry.list)[i].label);
    }
    if (count == 0) return name;
    return count == 1 ? fmt::format("{} ('{}')", name, *first)
                      : fmt::format("{} ({} commands, '{}' to '{}')", name, count, *first, *last);
}

const std::string kNoLabel;
thread_local const std::string* running = nullptr;

}  // namespace

const std::string& runningCommand() { return running ? *running : kNoLabel; }

void CommandBuffer::start(ops::Stream& stream) {
    {
        std::lock_guard lock(mutex_);
        status_ = MTL::CommandBufferStatus::Scheduled;
        start_ = hostSeconds();
    }
    runHandlers(scheduledHandlers_);
    {
        std::lock_guard lock(mutex_);
        scheduledDone_ = true;
    }
    changed_.notify_all();

    if ((handedOver_ = deviceOf(*device()).fault())) return;
    running = nullptr;
    try {
        const Entry* before = nullptr;  // the last stretch
        for (auto& entry : commands_) {
            running = &entry.own.label;
            if (!entry.list) {
                entry.own.run(stream);
                continue;
            }
            // Another run, with addresses of its own.
            if (before && (before->list != entry.list || entry.first < before->last)) stream.endReplay();
            before = &entry;
            auto addresses = entry.prepare(stream);
            if (!addresses) continue;
            stream.replay({entry.list, entry.first, entry.last, std::move(*addresses)}, [&] {
                for (std::size_t i = entry.first; i < entry.last; ++i) {
                    const Command& command = (*entry.list)[i];
                    running = &command.label;
                    command.run(stream);
                }
            });
        }
        mark_ = stream.mark();
    } catch (...) {
        // A device that works beside the host tells of a fault at some later command than the one.
        const std::string command = running ? *running : "commit";
        const std::string faulty = stream.isAsynchronous() ? workOf(nameOf(label()), commands_) : command;
        handedOver_ = failureOf(command, faulty);
        try {
            stream.synchronize();  // what was handed over before it may still be running
        } catch (const ops::DeviceFault&) {
            handedOver_ = failureOf(command, faulty);  // the cause, whatever a library made of it
        } catch (...) {
        }
    }
    running = nullptr;  // The labels go with the commands.
}

void CommandBuffer::finish(ops::Stream& stream) {
    std::optional<MTL::CommandFailure> failure = std::exchange(handedOver_, std::nullopt);
    try {
        if (!failure) stream.wait(mark_);
    } catch (...) {
        const std::string work = workOf(nameOf(label()), commands_);
        failure = failureOf(work, work);
    }
    if (failure && failure->code == MTL::CommandBufferError::PageFault) {
        // Buffers end in order, so the first one to come here has the cause; those handed over behind it say no more.
        auto& own = deviceOf(*device());
        if (auto before = own.fault())
            failure = std::move(before);
        else
            own.noteFault(*failure);
    }
    commands_.clear();  // returns temporary memory before anybody is told
    {
        std::lock_guard lock(mutex_);
        end_ = hostSeconds();
        failure_ = failure;
        status_ = failure ? MTL::CommandBufferStatus::Error : MTL::CommandBufferStatus::Completed;
    }
    runHandlers(completedHandlers_);
    retained_.clear();
    {
        // Notified under the lock: the waiter may destroy this object as soon as it has it.
        std::lock_guard lock(mutex_);
        completedDone_ = true;
        changed_.notify_all();
    }
}

CommandBuffer& rootOf(MTL::CommandBuffer& commandBuffer) {
    return static_cast<CommandBuffer&>(*commandBuffer.rootCommandBuffer());
}

CommandBuffer& recordingBuffer(MTL::CommandBuffer& commandBuffer, const std::string& who) {
    auto& root = rootOf(commandBuffer);
    root.requireRecordable(who);
    return root;
}

void append(MTL::CommandBuffer& commandBuffer, Command command) {
    if (auto condition = commandBuffer.executionCondition())
        command.run = [condition = std::move(condition), run = std::move(command.run)](ops::Stream& stream) {
            stream.synchronize();
            if (condition()) run(stream);
        };
    rootOf(commandBuffer).append(std::move(command));
}

void appendList(MTL::CommandBuffer& commandBuffer, std::string label, std::shared_ptr<const CommandList> list,
                std::size_t first, std::size_t last, std::function<std::vector<const void*>()> bind) {
    rootOf(commandBuffer)
        .appendList(std::move(label), std::move(list), first, last,
                    [condition = commandBuffer.executionCondition(),
                     bind = std::move(bind)](ops::Stream& stream) -> std::optional<std::vector<const void*>> {
                        if (condition) {
                            stream.synchronize();
                            if (!condition()) return std::nullopt;
                        }
                        return bind();
                    });
}

}  // namespace pewter::mtl
