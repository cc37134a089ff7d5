#include "mtl/CommandQueue.h"

#include <MTL/Error.hpp>
#include <algorithm>
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
    std::thread::id id;
};

CommandQueue::CommandQueue(std::shared_ptr<MTL::Device> device, std::size_t capacity)
    : device_(std::move(device)), worker_(std::make_shared<Worker>()) {
    worker_->capacity = capacity;
    worker_->backend = &deviceOf(*device_).backend();
    std::lock_guard lock(worker_->mutex);
    worker_->thread = std::thread(work, worker_);
    worker_->id = worker_->thread.get_id();
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

bool CommandQueue::onWorker() const { return std::this_thread::get_id() == worker_->id; }

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
    const auto stream = state->backend->newStream();
    // Handed to the device and not done yet; the next one follows before the device runs dry.
    std::shared_ptr<CommandBuffer> running;
    std::unique_lock lock(state->mutex);
    const auto finish = [&](std::shared_ptr<CommandBuffer> buffer) {
        lock.unlock();
        buffer->finish(*stream);
        buffer.reset();
        lock.lock();
        --state->uncompleted;
        state->changed.notify_all();
    };
    while (true) {
        const auto isReady = [&] { return !state->order.empty() && state->order.front().buffer; };
        if (running && !isReady()) {
            finish(std::exchange(running, nullptr));
            continue;
        }
        state->changed.wait(lock, [&] { return isReady() || (state->stop && state->order.empty()); });
        if (state->order.empty()) return;
        auto next = std::move(state->order.front().buffer);
        state->order.pop_front();
        lock.unlock();
        next->start(*stream);
        lock.lock();
        if (running) finish(std::exchange(running, nullptr));
        if (stream->isAsynchronous())
            running = std::move(next);
        else
            finish(std::move(next));
    }
}

}  // namespace pewter::mtl
