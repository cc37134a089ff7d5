#include "mps/graph/Recording.h"

#include <fmt/format.h>

#include <MTL/CommandBuffer.hpp>
#include <MTL/Device.hpp>
#include <algorithm>
#include <unordered_set>

#include "mps/core/ImageAccess.h"
#include "mps/graph/Execution.h"
#include "mps/graph/Report.h"
#include "mps/graph/SharedMemory.h"
#include "mtl/FreeList.h"

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

std::shared_ptr<Recording> Recording::make(const std::shared_ptr<GraphProgram>& program,
                                           const std::shared_ptr<MTL::Device>& device, const Settings& settings,
                                           const std::vector<MPS::ImageBatch>& images,
                                           const std::vector<MPS::StateBatch>& states) {
    const auto apart = std::make_shared<Recording>(program, device, settings, images, states);
    // Pictures of one image lie at distances that parts and images in blocks do not have.
    if (!apart->isPlan_ || !settings.batch) return apart;
    auto best = apart;
    if (auto parts = program->concatenateInPlace ? apart->chooseParts(*program) : ImageParts(); !parts.isEmpty()) {
        auto together = std::make_shared<Recording>(program, device, settings, images, states, std::move(parts), apart->report);
        if (together->report.peakBytes <= apart->report.peakBytes) best = std::move(together);
    }
    auto& backend = mtl::deviceOf(*device).backend();
    if (!program->chooseLayouts || !backend.hasLayouts()) return best;
    auto layouts = best->chooseLayouts(*program, backend);
    if (layouts.inBlocks.empty()) return best;
    auto inBlocks = std::make_shared<Recording>(program, device, settings, images, states, best->parts_, apart->report,
                                                std::move(layouts.inBlocks));
    inBlocks->report.millisecondsByLayouts = layouts.saved;
    return inBlocks;
}

Recording::Recording(const std::shared_ptr<GraphProgram>& shared, const std::shared_ptr<MTL::Device>& device,
                     const Settings& settings, const std::vector<MPS::ImageBatch>& images,
                     const std::vector<MPS::StateBatch>& states, ImageParts parts, const NNGraphReport& extents,
                     std::vector<bool> inBlocks)
    : report(outlineReport(*shared)), settings_(settings), inBlocks_(std::move(inBlocks)), parts_(std::move(parts)) {
    GraphProgram& program = *shared;
    ranges_.resize(program.images.size());
    for (std::size_t slot = 0; slot < program.images.size(); ++slot)
        if (parts_.isShared(slot) && !parts_.isPart(slot)) {
            const auto& whole = extents.images[slot];
            const auto format = program.images[slot].format == MPS::ImageFeatureChannelFormat::None
                                    ? settings_.format
                                    : program.images[slot].format;
            wholes_[slot] = MPS::ImageDescriptor::imageDescriptor(format, whole.width, whole.height, whole.featureChannels);
        }
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
                                 const std::shared_ptr<MTL::CommandBuffer>& commandBuffer) {
    const std::size_t slot = program.steps[index].result;
    if (parts_.isPart(slot)) return part(slot, descriptor.featureChannels, count, *commandBuffer);
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
        std::make_shared<mtl::Buffer>(commandBuffer->device(), memory, bytes, MTL::ResourceStorageModeManaged), descriptor, count);
}

MPS::ImageBatch Recording::part(std::size_t slot, std::size_t channels, std::size_t count,
                                MTL::CommandBuffer& commandBuffer) const {
    // Channels of images like those of the whole; the plan puts both in one place.
    const auto place = parts_.place(slot);
    MPS::ImageBatch batch;
    for (const auto& whole : ImageAccess::makeTemporaryBatch(commandBuffer, wholes_.at(place.whole), count, ""))
        batch.push_back(whole->subImage({place.firstChannel, channels}));
    return batch;
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
        out.bytes = (parts_.isPart(step.result) ? packedBytes(first) : first.resourceSize()) * arguments.destinations.size();
        out.readCount = out.temporary ? slot.readCount() : 0;
        const bool inBlocks = ImageAccess::storage(first)->layout() == ops::ImageLayout::ChannelBlocks;
        if (inBlocks && !out.inBlocks) ++report.imagesInBlocks;
        out.inBlocks = inBlocks;
        if (const void* range = ImageAccess::storage(first)->range()) {
            ranges_[step.result] = range;
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

std::vector<std::size_t> Recording::tracesOfImages() const {
    const auto& traces = heap->traces();
    std::vector<std::size_t> traceOf(report.images.size(), kNone);
    for (std::size_t i = 0; i < traces.size(); ++i) {
        const auto owner = owners_.find(traces[i].range.get());
        if (owner != owners_.end() && owner->second.image != NNGraphReport::npos && !traces[i].apart)
            traceOf[owner->second.image] = i;
    }
    return traceOf;
}

void Recording::tie(const GraphProgram& program, const ImageParts& parts, Lives& lives) const {
    const auto& traces = heap->traces();
    const auto traceOf = tracesOfImages();
    SharedMemory shared(program, parts);
    for (std::size_t index = 0; index < program.steps.size() && program.inPlace; ++index) {
        const auto& step = program.steps[index];
        const std::size_t result = traceOf[step.result];
        if (result == kNone || parts.isPart(step.result)) continue;
        for (std::size_t position = 0; position < step.images.size(); ++position) {
            const std::size_t slot = step.images[position], source = traceOf[slot];
            if (source == kNone || parts.isPart(slot) || !shared.mayShare(index, position)) continue;
            const auto &from = report.images[slot], &to = report.images[step.result];
            if (from.width != to.width || from.height != to.height || from.featureChannels != to.featureChannels ||
                from.count != to.count || from.format != to.format ||
                traces[source].range->size() != traces[result].range->size())
                continue;
            shared.share(index, position);
            const std::size_t root = lives.roots[result] = lives.roots[source];
            lives.of[root].end = std::max(lives.of[root].end, lives.of[result].end);
            break;
        }
    }
    for (std::size_t slot = 0; slot < traceOf.size(); ++slot) {
        if (!parts.isPart(slot) || traceOf[slot] == kNone) continue;
        const std::size_t root = lives.roots[traceOf[parts.place(slot).whole]];
        lives.roots[traceOf[slot]] = root;
        const auto& life = lives.of[traceOf[slot]];
        lives.of[root].first = std::min(lives.of[root].first, life.first);
        lives.of[root].end = std::max(lives.of[root].end, life.end);
    }
}

Recording::Lives Recording::livesWith(const GraphProgram& program, const ImageParts& parts) const {
    Lives lives;
    const auto& traces = heap->traces();
    for (std::size_t i = 0; i < traces.size(); ++i) {
        lives.roots.push_back(i);
        lives.of.push_back({traces[i].range->size(), traces[i].taken, std::min(traces[i].released, heap->tick())});
    }
    if (isPlan_) tie(program, parts, lives);
    return lives;
}

std::vector<Interval> Recording::ofRoots(const Lives& lives) const {
    std::vector<Interval> all;
    for (std::size_t i = 0; i < lives.roots.size(); ++i)
        if (lives.roots[i] == i) all.push_back(lives.of[i]);
    return all;
}

ImageParts Recording::chooseParts(const GraphProgram& program) const {
    const auto traceOf = tracesOfImages();
    const auto isOwn = [&](std::size_t slot) {
        return traceOf[slot] != kNone && !isBound(program, slot, settings_.resultAllocator);
    };
    return pewter::mps::chooseParts(
        possibleParts(program, report, isOwn), program.images.size(),
        [&](const ImageParts& parts) { return lowerBound(ofRoots(livesWith(program, parts))); });
}

void Recording::plan(const GraphProgram& program) {
    const auto& traces = heap->traces();
    lives_ = livesWith(program, parts_);
    std::vector<Interval> own;
    std::vector<std::size_t> index(traces.size());
    for (std::size_t i = 0; i < traces.size(); ++i) {
        if (lives_.roots[i] != i || traces[i].apart) continue;
        index[i] = own.size();
        own.push_back(lives_.of[i]);
    }
    if (isPlan_) {
        const auto found = pewter::mps::place(own);
        std::vector<std::size_t> offsets;
        bool tied = false;
        for (std::size_t i = 0; i < traces.size(); ++i) {
            tied |= lives_.roots[i] != i;
            if (!traces[i].apart) offsets.push_back(found.offsets[index[lives_.roots[i]]]);
        }
        if (tied || found.extent < heap->planExtent()) heap->place(offsets, found.extent);
    }
    placeApart();
    report.peakBytes = isPlan_ ? heap->planExtent() + apartBytes_ : heap->peak();
    report.lowerBoundBytes = lowerBound(ofRoots(lives_));
    report.peakWithoutRecomputation = report.peakBytes;
    for (const auto& step : program.steps)
        if (step.recomputes != kNone) {
            ++report.recomputedSteps;
            report.recomputedBytes += report.images[step.result].bytes;
        }
}

void Recording::placeApart() {
    const auto& traces = heap->traces();
    apartOffsets_.assign(traces.size(), 0);
    mtl::FreeList space;
    // A run makes all results before it starts.
    std::vector<std::pair<std::size_t, std::size_t>> events;
    for (std::size_t i = 0; i < traces.size(); ++i) {
        if (!traces[i].apart) continue;
        const auto owner = owners_.find(traces[i].range.get());
        if (owner != owners_.end() && owner->second.image != NNGraphReport::npos) {
            apartOffsets_[i] = *space.take(traces[i].range->size());
        } else {
            events.emplace_back(traces[i].taken, i);
            events.emplace_back(traces[i].released, i);
        }
    }
    std::sort(events.begin(), events.end());
    for (const auto& [tick, i] : events) {
        if (tick == traces[i].taken)
            apartOffsets_[i] = *space.take(traces[i].range->size());
        else
            space.give(apartOffsets_[i], traces[i].range->size());
    }
    apartBytes_ = space.highest();
}

void Recording::noteRanges() {
    const auto& traces = heap->traces();
    std::vector<std::pair<std::size_t, std::ptrdiff_t>> events;
    for (std::size_t i = 0; i < traces.size(); ++i) {
        if (lives_.roots[i] != i) continue;
        const auto& life = lives_.of[i];
        const auto owner = owners_.find(traces[i].range.get());
        NNGraphReport::Range range{.offset = traces[i].apart ? heap->planExtent() + apartOffsets_[i]
                                                           : traces[i].range->offset(),
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
    const auto traceOf = tracesOfImages();
    for (std::size_t slot = 0; slot < traceOf.size(); ++slot) {
        if (!parts_.isPart(slot) || traceOf[slot] == kNone) continue;
        auto& image = report.images[slot];
        const std::size_t element = image.bytes / (image.width * image.height * image.featureChannels * image.count);
        image.offset = traces[traceOf[slot]].range->offset() + parts_.place(slot).firstChannel * element;
    }
    std::sort(events.begin(), events.end());
    std::size_t live = 0, next = 0;
    for (const auto& [tick, change] : events) {
        for (; next < endTicks_.size() && endTicks_[next] <= tick; ++next) report.steps[next].liveBytes = live;
        live = static_cast<std::size_t>(static_cast<std::ptrdiff_t>(live) + change);
    }
    for (; next < endTicks_.size(); ++next) report.steps[next].liveBytes = live;
    live = 0;
    for (const auto& [tick, change] : events) {
        live = static_cast<std::size_t>(static_cast<std::ptrdiff_t>(live) + change);
        auto& peak = report.steps[stepOf(tick)].peakBytes;
        peak = std::max(peak, live);
    }
}

}  // namespace pewter::mps
