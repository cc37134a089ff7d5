#include "mps/core/ImageAccess.h"
#include "mps/core/ResultStates.h"
#include "mps/graph/Execution.h"

namespace pewter::mps {

using MPS::ImageBatch;

namespace {

/// Where one run of a recording finds its memory, and its numbers. Owned by the command buffer's entries.
struct Run {
    std::shared_ptr<Recording> recording;
    std::shared_ptr<mtl::TemporaryHeap::Range> arena;  ///< null: nothing temporary
    std::vector<std::shared_ptr<MTL::Buffer>> sources, results;
    std::vector<std::uint64_t> numbers;

    /// Before each stretch of commands, on the queue's worker: another run may have come in between. Returns the addresses.
    std::vector<const void*> bind() const {
        std::vector<const void*> bound;
        const auto note = [&](std::byte* address) {
            bound.push_back(address);
            return address;
        };
        if (arena) recording->heap->bind(note(arena->address()));
        for (std::size_t i = 0; i < sources.size(); ++i)
            recording->sources[i]->bind(note(mtl::addressOf(*sources[i])));
        for (std::size_t i = 0; i < results.size(); ++i)
            recording->results[i].memory->bind(note(mtl::addressOf(*results[i])));
        for (std::size_t i = 0; i < numbers.size(); ++i) *recording->numbers[i].cell = numbers[i];
        return bound;
    }
};

/// The next encode of the command buffer may have the memory, whether this one succeeds or not.
struct ReturnAtEnd {
    const std::shared_ptr<mtl::TemporaryHeap::Range>& range;
    ~ReturnAtEnd() {
        if (range) range->release();
    }
};

}  // namespace

void Execution::replay(const std::shared_ptr<Recording>& recording, const SourceShape& shape) {
    const auto run = std::make_shared<Run>();
    run->recording = recording;
    // Results that leave the graph are part of the plan's own account.
    const std::size_t live = root().heap()->live();
    for (const auto& storage : shape.storages()) run->sources.push_back(storage->materialize());
    for (const auto& result : recording->results) {
        const auto& step = shared_->steps[result.step];
        const auto images =
            allocateDestinations(step.step->kernel(), *allocatorOf(*shared_, result.slot, settings_.resultAllocator),
                                 commandBuffer_, result.descriptor, result.count);
        keepResult(result.slot, images);
        setReads(images, std::max<std::size_t>(shared_->images[result.slot].readCount() -
                                                   shared_->images[result.slot].reads, 1));
        run->results.push_back(ImageAccess::storage(*images[0])->materialize());
    }
    if (const std::size_t bytes = recording->heap->planExtent())
        run->arena = root().heap()->takeForPlan(bytes, live + recording->report.lowerBoundBytes);
    const ReturnAtEnd returned{run->arena};
    stepsBegun_ = shared_->steps.size();
    for (const auto& number : recording->numbers)
        run->numbers.push_back(shared_->steps[number.step].step->nextNumber());

    std::size_t begin = 0;
    const auto append = [&](std::size_t end) {
        if (begin == end) return;
        mtl::appendList(*commandBuffer_, settings_.name, recording->commands, begin, end, [run] { return run->bind(); });
        begin = end;
    };
    for (const auto& update : recording->updates) {
        append(update.end);
        runHostPart(update);
    }
    append(recording->commands->size());

    for (const auto& result : recording->results) {
        const ImageSlot& slot = shared_->images[result.slot];
        // One that only kernels of the graph needed.
        if (!slot.leaves()) setReads(images_[result.slot], 0);
        if (slot.synchronize) MPS::ImageBatchSynchronize(images_[result.slot], commandBuffer_);
    }
    for (const auto& held : held_) held.temporary->consume(settings_.name);
    held_.clear();
    done_ = true;
}

void Execution::runHostPart(const Recording::Update& update) {
    auto& step = *shared_->steps[update.step].step;
    step.encoded(commandBuffer_);
    if (!step.updates()) return;
    auto arguments = update.arguments;
    arguments.commandBuffer = commandBuffer_;
    for (const auto& saved : update.states)
        StateAccess::renew(*saved.state, saved.resources, saved.readCount, *commandBuffer_);
    step.update(arguments);
    // Reads of later kernels, which recorded commands do.
    for (const auto& saved : update.states)
        if (saved.state->readCount() > 0) saved.state->setReadCount(0);
}

}  // namespace pewter::mps
