#include "mtl/CommandQueue.h"

#include <MTL/Error.hpp>
#include <algorithm>
#include <exception>
#include <utility>

#include "mtl/CommandBuffer.h"
#include "mtl/Device.h"
#include "mtl/Diagnostics.h"

namespace MTL {
CommandQueue::~CommandQueue() = default;
}  // namespace MTL

namespace pewter::mtl {

/// What the worker thread shares with the queue; outlives the queue when its last buffer dies on the worker itself.
struct CommandQueue::Worker {
    std::mutex mutex;
    std::condition_variable changed;
    std::deque<Place> order;
    std::string label;
    std::size_t capacity = 0, uncompleted = 0;
    bool stop = false;
    ops::Backend* backend = nullptr;
    std::thread thread;
    /// Handed to the device and not done yet. Only where commands are still under way when their call has returned.
    std::deque<std::shared_ptr<CommandBuffer>> running;
    bool closed = false;  ///< nothing more will run
};

namespace {

/// The queue for which this thread works.
thread_local const void* servedWorker = nullptr;

/// One that runs and one that follows it before the device runs dry. The stream knows the ends of so many.
constexpr std::size_t kMostRunning = 2;

/// A new stream, or one that does nothing and why: nobody is there to catch anything on a queue's thread.
std::unique_ptr<ops::Stream> newStreamOr(std::exception_ptr& problem, ops::Backend& backend) {
    try {
        return backend.newStream();
    } catch (...) {
        problem = std::current_exception();
        return std::make_unique<ops::Stream>();
    }
}

}  // namespace

CommandQueue::CommandQueue(std::shared_ptr<MTL::Device> device, std::size_t capacity)
    : device_(std::move(device)), worker_(std::make_shared<Worker>()) {
    worker_->capacity = capacity;
    worker_->backend = &deviceOf(*device_).backend();
    std::lock_guard lock(worker_->mutex);
    worker_->thread = std::thread(work, worker_);
}

CommandQueue::~CommandQueue() {
    {
        std::lock_guard lock(worker_->mutex);
        worker_->stop = true;
    }
    worker_->changed.notify_all();
    if (onWorker())
        worker_->thread.detach();
    else
        worker_->thread.join();
}

std::string CommandQueue::label() const {
    std::lock_guard lock(worker_->mutex);
    return worker_->label;
}

void CommandQueue::setLabel(const std::string& label) {
    std::lock_guard lock(worker_->mutex);
    worker_->label = label;
}

std::shared_ptr<MTL::CommandBuffer> CommandQueue::commandBuffer() { return commandBuffer({}); }

std::shared_ptr<MTL::CommandBuffer> CommandQueue::commandBufferWithUnretainedReferences() {
    return commandBuffer({.retainedReferences = false, .errorOptions = 0});
}

std::shared_ptr<MTL::CommandBuffer> CommandQueue::commandBuffer(const MTL::CommandBufferDescriptor& descriptor) {
    {
        std::unique_lock lock(worker_->mutex);
        if (worker_->uncompleted >= worker_->capacity && onWorker())
            throw MTL::Error("commandBuffer", "thread",
                             "a thread other than the queue's worker while the queue's capacity is used up",
                             "the worker, which would wait for itself");
        worker_->changed.wait(lock, [&] { return worker_->uncompleted < worker_->capacity; });
        ++worker_->uncompleted;
    }
    return std::make_shared<CommandBuffer>(shared_from_this(), descriptor);
}

bool CommandQueue::onWorker() const { return servedWorker == worker_.get(); }

void CommandQueue::reserve(const CommandBuffer* buffer) {
    std::lock_guard lock(worker_->mutex);
    worker_->order.push_back({buffer, nullptr});
}

void CommandQueue::submit(std::shared_ptr<CommandBuffer> buffer) {
    {
        std::lock_guard lock(worker_->mutex);
        const auto place = std::find_if(worker_->order.begin(), worker_->order.end(),
                                        [&](const Place& p) { return p.key == buffer.get(); });
        place->buffer = std::move(buffer);
    }
    worker_->changed.notify_all();
}

void CommandQueue::forget(const CommandBuffer* buffer, bool reserved) {
    {
        std::lock_guard lock(worker_->mutex);
        if (reserved) std::erase_if(worker_->order, [&](const Place& p) { return p.key == buffer; });
        --worker_->uncompleted;
    }
    worker_->changed.notify_all();
}

void CommandQueue::work(std::shared_ptr<Worker> state) {
    servedWorker = state.get();
    std::exception_ptr problem;
    const auto stream = newStreamOr(problem, *state->backend);
    const bool isAsynchronous = stream->isAsynchronous();
    std::unique_lock lock(state->mutex);
    const auto finish = [&stream, state = state.get()](std::unique_lock<std::mutex>& held, std::shared_ptr<CommandBuffer> buffer) {
        held.unlock();
        buffer->finish(*stream);
        buffer.reset();
        held.lock();
        --state->uncompleted;
    };
    // Waits for the device, so that the worker is free to hand the next buffer over as soon as it comes.
    std::thread finisher;
    if (isAsynchronous)
        finisher = std::thread([state, &finish] {
            servedWorker = state.get();
            std::unique_lock lock(state->mutex);
            while (true) {
                state->changed.wait(lock, [&] { return !state->running.empty() || state->closed; });
                if (state->running.empty()) return;
                finish(lock, std::move(state->running.front()));  // its place is free when it is done
                state->running.pop_front();
                state->changed.notify_all();
            }
        });
    while (true) {
        const auto isReady = [&] { return !state->order.empty() && state->order.front().buffer; };
        state->changed.wait(lock, [&] {
            return (isReady() && state->running.size() < kMostRunning) || (state->stop && state->order.empty());
        });
        if (state->order.empty()) break;
        auto next = std::move(state->order.front().buffer);
        state->order.pop_front();
        lock.unlock();
        if (problem) {  // the only command that such a stream can take
            next->takeCommands();
            next->append("the stream of its queue", [problem](ops::Stream&) { std::rethrow_exception(problem); });
        }
        next->start(*stream);
        lock.lock();
        if (isAsynchronous)
            state->running.push_back(std::move(next));
        else
            finish(lock, std::move(next));
        state->changed.notify_all();
    }
    state->closed = true;
    state->changed.notify_all();
    lock.unlock();
    if (isAsynchronous) finisher.join();
}

}  // namespace pewter::mtl
