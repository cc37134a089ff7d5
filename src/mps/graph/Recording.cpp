#include "mps/graph/Recording.h"

#include <fmt/format.h>

#include <MTL/CommandBuffer.hpp>
#include <MTL/Device.hpp>
#include <algorithm>
#include <unordered_set>

#include "mps/core/ImageAccess.h"
#include "mps/graph/Execution.h"
#include "mps/graph/Report.h"

namespace pewter::mps {

using MPS::NNGraphReport;

namespace {

/// Allocators that answer alike for equal descriptors, with images that lie back to back.
bool isReadyMade(const std::shared_ptr<MPS::ImageAllocator>& allocator) {
    return allocator == MPS::Image::defaultAllocator() || allocator == MPS::TemporaryImage::defaultAllocator();
}

/// Whether every run makes the image of the slot anew, outside the plan.
bool isBound(const GraphProgram& program, std::size_t slot, const std::shared_ptr<MPS::ImageAllocator>& ofResult) {
    return program.images[slot].leaves() ||
           allocatorOf(program, slot, ofResult) != MPS::TemporaryImage::defaultAllocator();
}

}  // namespace

bool Recording::isPossible(const GraphProgram& program, const Settings& settings, const SourceShape& shape) {
    if (!shape.canStandIn()) return false;
    for (const auto& step : program.steps) {
        if (!step.step->isReplayable()) return false;
        if (program.images[step.result].isMade &&
            !isReadyMade(allocatorOf(program, step.result, settings.resultAllocator)))
            return false;
    }
    // States that outlive the encode are objects of their own each time.
    return std::none_of(program.states.begin(), program.states.end(), [](const StateSlot& state) {
        return !state.source && state.producer != kNone && (state.persistent || state.exported);
    });
}

Recording::Recording(const std::shared_ptr<GraphProgram>& shared, const std::shared_ptr<MTL::Device>& device,
                     const Settings& settings, const std::vector<MPS::ImageBatch>& images,
                     const std::vector<MPS::StateBatch>& states)
    : report(outlineReport(*shared)), settings_(settings) {
    GraphProgram& program = *shared;
    const auto commandBuffer = device->newCommandQueue()->commandBuffer();
    auto& root = mtl::rootOf(*commandBuffer);
    heap = root.heap();
    heap->startPlan();
    {
        Execution execution(shared, commandBuffer, settings, this);
        const SourceShape shape(images, states);
        isPlan_ = isPossible(program, settings, shape);
        auto standIns = shape.standIns(images, states);
        execution.bindSources(standIns.images, standIns.states);
        noteSources(report, program, images, states);
        execution.run();
        execution.deliver(nullptr, nullptr);
        sources = std::move(standIns.memory);
    }
    commands = std::make_shared<const mtl::CommandList>(root.takeCommands());
    root.truncateTemporaries(0);
    plan(program);
    noteRanges();
}

MPS::ImageBatch Recording::bound(const GraphProgram& program, std::size_t index,
                                 const MPS::ImageDescriptor& descriptor, std::size_t count,
                                 const std::shared_ptr<MTL::Device>& device) {
    const std::size_t slot = program.steps[index].result;
    if (!isPlan_ || !isBound(program, slot, settings_.resultAllocator)) return {};
    const std::size_t bytes = count * descriptor.numberOfImages * descriptor.width * descriptor.height *
                              descriptor.featureChannels * ops::sizeOf(typeOf(descriptor.channelFormat, "NNGraph"));
    auto memory = std::make_shared<RunMemory>(bytes);
    // A temporary result lies beside the plan, and lives on after it.
    if (allocatorOf(program, slot, settings_.resultAllocator) == MPS::TemporaryImage::defaultAllocator()) {
        heap->setApart(true);
        owners_[heap->take(bytes).get()].image = slot;
        heap->setApart(false);
    }
    results.push_back({slot, index, count, descriptor, memory});
    return ImageAccess::batchOn(
        std::make_shared<mtl::Buffer>(device, memory, bytes, MTL::ResourceStorageModeManaged), descriptor, count);
}

void Recording::beginStep(std::size_t index, Step& step, bool isRepetition) {
    stepTicks_.resize(index + 1, heap->tick());
    if (isRepetition) return;  // with the number of the first time
    if (auto cell = step.recordNumber()) numbers.push_back({index, std::move(cell)});
}

void Recording::noteState(std::size_t slot, const MPS::StateBatch& states) {
    std::unordered_set<const void*> seen;
    for (const auto& state : states)
        if (seen.insert(state.get()).second)
            for (const void* range : StateAccess::memory(*state)) owners_[range].state = slot;
}

void Recording::noteStep(const GraphProgram& program, std::size_t index, const StepArguments& arguments) {
    const auto& step = program.steps[index];
    if (!arguments.destinations.empty()) {
        auto& out = report.images[step.result];
        const auto& slot = program.images[step.result];
        const auto& first = *arguments.destinations.front();
        out.width = first.width();
        out.height = first.height();
        out.featureChannels = first.featureChannels();
        out.format = nameOf(first.featureChannelFormat());
        out.count = arguments.destinations.size();
        out.temporary = allocatorOf(program, step.result, settings_.resultAllocator) ==
                        MPS::TemporaryImage::defaultAllocator();
        out.bytes = first.resourceSize() * arguments.destinations.size();
        out.readCount = out.temporary ? slot.readCount() : 0;
        if (const void* range = ImageAccess::storage(first)->range()) {
            auto& owner = owners_[range];
            // In place: the memory is noted for the image that took it first.
            if (owner.image == NNGraphReport::npos) owner.image = step.result;
        }
    }
    for (std::size_t i = 0; i < step.made.size(); ++i) {
        if (step.made[i] == kNone) continue;
        const auto& states = i == 0 ? arguments.resultStates : arguments.furtherStates[i - 1];
        if (states.empty()) continue;
        auto& out = report.states[step.made[i]];
        out.className = states.front()->className();
        out.description = states.front()->description();
        out.temporary = states.front()->isTemporary();
        out.bytes = MPS::StateBatchResourceSize(states);
        out.count = std::unordered_set<std::shared_ptr<MPS::State>>(states.begin(), states.end()).size();
        out.readCount = out.temporary ? program.states[step.made[i]].readCount() : 0;
        noteState(step.made[i], states);
    }
    // A state's memory may be taken by the kernel that reads it.
    for (std::size_t i = 0; i < step.states.size(); ++i)
        if (!program.states[step.states[i]].source) noteState(step.states[i], arguments.states[i]);
}

void Recording::noteUpdate(std::size_t index, std::size_t end, const StepArguments& arguments) {
    Update update{.step = index, .end = end};
    update.arguments.states = arguments.states;
    update.arguments.batch = arguments.batch;
    std::unordered_set<const void*> seen;
    for (const auto& batch : arguments.states)
        for (const auto& state : batch)
            if (state->isTemporary() && seen.insert(state.get()).second)
                update.states.push_back({state.get(), StateAccess::resources(*state), state->readCount()});
    updates.push_back(std::move(update));
}

std::size_t Recording::stepOf(std::size_t tick) const {
    const auto after = std::upper_bound(stepTicks_.begin(), stepTicks_.end(), tick);
    return after == stepTicks_.begin() ? 0 : static_cast<std::size_t>(after - stepTicks_.begin()) - 1;
}

void Recording::tie(const GraphProgram& program) {
    const auto& traces = heap->traces();
    std::vector<std::size_t> traceOf(program.images.size(), kNone);
    for (std::size_t i = 0; i < traces.size(); ++i) {
        const auto owner = owners_.find(traces[i].range.get());
        if (owner != owners_.end() && owner->second.image != NNGraphReport::npos && !traces[i].apart)
            traceOf[owner->second.image] = i;
    }
    for (std::size_t index = 0; index < program.steps.size(); ++index) {
        const auto& step = program.steps[index];
        const std::size_t result = traceOf[step.result];
        if (result == kNone) continue;
        for (std::size_t position = 0; position < step.images.size(); ++position) {
            const std::size_t slot = step.images[position], source = traceOf[slot];
            if (source == kNone || program.images[slot].lastReader != index || !step.step->canOverwrite(position) ||
                std::count(step.images.begin(), step.images.end(), slot) != 1)
                continue;
            const auto &from = report.images[slot], &to = report.images[step.result];
            if (from.width != to.width || from.height != to.height || from.featureChannels != to.featureChannels ||
                from.count != to.count || from.format != to.format ||
                traces[source].range->size() != traces[result].range->size())
                continue;
            roots_[result] = roots_[source];
            lives_[roots_[source]].end = lives_[result].end;
            break;
        }
    }
}

void Recording::plan(const GraphProgram& program) {
    const auto& traces = heap->traces();
    for (std::size_t i = 0; i < traces.size(); ++i) {
        roots_.push_back(i);
        lives_.push_back({traces[i].range->size(), traces[i].taken, std::min(traces[i].released, heap->tick())});
    }
    if (isPlan_ && program.inPlace) tie(program);
    std::vector<Interval> all, own;
    std::vector<std::size_t> index(traces.size());
    for (std::size_t i = 0; i < traces.size(); ++i) {
        if (roots_[i] != i) continue;
        all.push_back(lives_[i]);
        index[i] = own.size();
        if (!traces[i].apart) own.push_back(lives_[i]);
    }
    if (isPlan_) {
        const auto found = pewter::mps::place(own);
        std::vector<std::size_t> offsets;
        bool tied = false;
        for (std::size_t i = 0; i < traces.size(); ++i) {
            tied |= roots_[i] != i;
            if (!traces[i].apart) offsets.push_back(found.offsets[index[roots_[i]]]);
        }
        if (tied || found.extent < heap->planExtent()) heap->place(offsets, found.extent);
    }
    report.peakBytes = heap->peak();
    report.lowerBoundBytes = lowerBound(all);
    report.peakWithoutRecomputation = report.peakBytes;
    for (const auto& step : program.steps)
        if (step.recomputes != kNone) {
            ++report.recomputedSteps;
            report.recomputedBytes += report.images[step.result].bytes;
        }
}

void Recording::noteRanges() {
    const auto& traces = heap->traces();
    std::vector<std::pair<std::size_t, std::ptrdiff_t>> events;
    for (std::size_t i = 0; i < traces.size(); ++i) {
        if (roots_[i] != i) continue;
        const auto& life = lives_[i];
        const auto owner = owners_.find(traces[i].range.get());
        NNGraphReport::Range range{.offset = traces[i].range->offset() + (traces[i].apart ? heap->planExtent() : 0),
                                   .bytes = life.bytes,
                                   .firstStep = stepOf(life.first),
                                   .lastStep = stepOf(life.end == 0 ? 0 : life.end - 1)};
        if (owner != owners_.end()) {
            range.image = owner->second.image;
            range.state = owner->second.state;
            if (range.image != NNGraphReport::npos) report.images[range.image].offset = range.offset;
            if (range.state != NNGraphReport::npos)
                report.states[range.state].offset = std::min(report.states[range.state].offset, range.offset);
        }
        report.ranges.push_back(range);
        events.emplace_back(life.first, static_cast<std::ptrdiff_t>(life.bytes));
        events.emplace_back(life.end, -static_cast<std::ptrdiff_t>(life.bytes));
    }
    std::sort(events.begin(), events.end());
    std::size_t live = 0;
    for (const auto& [tick, change] : events) {
        live = static_cast<std::size_t>(static_cast<std::ptrdiff_t>(live) + change);
        auto& peak = report.steps[stepOf(tick)].peakBytes;
        peak = std::max(peak, live);
    }
}

}  // namespace pewter::mps
