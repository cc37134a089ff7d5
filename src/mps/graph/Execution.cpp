#include "mps/graph/Execution.h"

#include <fmt/format.h>

#include <MPS/Handle.hpp>
#include <MTL/Device.hpp>
#include <MTL/Error.hpp>
#include <algorithm>
#include <unordered_set>

#include "mps/core/Checks.h"
#include "mps/core/ImageAccess.h"
#include "mps/core/ResultStates.h"
#include "mps/core/StateAccess.h"
#include "mps/graph/passes/Fusion.h"

namespace pewter::mps {

using MPS::ImageBatch;
using MPS::StateBatch;
using MTL::Error;

namespace {

std::string labelOf(const std::shared_ptr<MPS::Handle>& handle) {
    return handle ? handle->label() : std::string();
}

template <class Batch>
void forDistinct(const Batch& batch, const auto& fn) {
    std::unordered_set<const void*> seen;
    for (const auto& object : batch)
        if (object && seen.insert(object.get()).second) fn(object);
}

const std::shared_ptr<mtl::Temporary>& temporaryOf(const MPS::Image& image) { return ImageAccess::temporary(image); }
const std::shared_ptr<mtl::Temporary>& temporaryOf(const MPS::State& state) { return StateAccess::temporary(state); }

template <class Batch>
void setReadsOf(const Batch& batch, std::size_t reads) {
    forDistinct(batch, [&](const auto& object) {
        if (const auto& temporary = temporaryOf(*object); temporary && temporary->readCount() != reads)
            temporary->setReadCount(reads);
    });
}

}  // namespace

void setReads(const ImageBatch& batch, std::size_t reads) { setReadsOf(batch, reads); }
void setReads(const StateBatch& batch, std::size_t reads) { setReadsOf(batch, reads); }

Execution::Execution(std::shared_ptr<GraphProgram> program, std::shared_ptr<MTL::CommandBuffer> commandBuffer,
                     Settings settings, Recording* recording)
    : shared_(std::move(program)),
      commandBuffer_(std::move(commandBuffer)),
      start_(commandBuffer_->rootCommandBuffer()),
      settings_(std::move(settings)),
      recording_(recording),
      commands_(mtl::recordingBuffer(*commandBuffer_, settings_.name).commandCount()),
      handlers_(root().completedHandlerCount()),
      temporaries_(root().temporaryCount()),
      images_(shared_->images.size()),
      states_(shared_->states.size()) {}

Execution::~Execution() {
    if (done_) return;
    // A failed encode leaves the command buffer and the caller's temporaries as they were.
    // What a callback has handed over is gone; the buffer that continues it holds nothing older than this
    // encode.
    const bool same = commandBuffer_->rootCommandBuffer() == start_;
    root().truncate(same ? commands_ : 0);
    root().truncateCompletedHandlers(same ? handlers_ : 0);
    root().truncateTemporaries(temporaries_);
    for (auto held = held_.rbegin(); held != held_.rend(); ++held)
        if (held->temporary->readCount() > 0) held->temporary->setReadCount(held->before);
    for (std::size_t i = 0; i < stepsBegun_; ++i) shared_->steps[i].step->rewind();
}

void Execution::use(std::shared_ptr<GraphProgram> program) {
    shared_ = std::move(program);
    images_.assign(shared_->images.size(), {});
    states_.assign(shared_->states.size(), {});
    held_.clear();
}

void Execution::raiseHeld() {
    // One read is the graph's own and is given back at the end: the encode lowers the count by exactly one.
    for (auto& held : held_) {
        held.before = held.temporary->readCount();
        held.temporary->setReadCount(held.before + held.reads);
    }
}

void Execution::returnHeld() {
    for (const auto& held : held_)
        if (held.temporary->readCount() > 0) held.temporary->setReadCount(held.temporary->readCount() - 1);
    held_.clear();
}

void Execution::bindSources(const std::vector<ImageBatch>& images, const std::vector<StateBatch>& states) {
    checkFormat();
    const auto count = [&](const char* argument, std::size_t expected, std::size_t found,
                           const auto& handles) {
        if (expected == found) return;
        std::string names;
        for (const auto& handle : handles) names += (names.empty() ? " (" : ", ") + labelOf(handle);
        throw Error(settings_.name, argument,
                    fmt::format("{} inputs{}", expected, names.empty() ? "" : names + ")"),
                    fmt::format("{}", found));
    };
    count("sourceImages", shared_->sourceImages.size(), images.size(), shared_->sourceImageHandles);
    count("sourceStates", shared_->sourceStates.size(), states.size(), shared_->sourceStateHandles);
    const std::size_t length = images.empty() ? 0 : images[0].size();
    if (length == 0)
        throw Error(settings_.name, "sourceImages", "at least one image an input", "an empty batch");
    const auto equal = [&](const char* argument, std::size_t index, std::size_t found) {
        if (found != length)
            throw Error(settings_.name, fmt::format("{}[{}]", argument, index),
                        fmt::format("{} entries, as in the first batch of images", length),
                        found == 0 ? "none" : fmt::format("{}", found));
    };
    const auto hold = [&](const std::shared_ptr<mtl::Temporary>& temporary, const char* argument,
                          std::size_t reads) {
        if (!temporary) return;
        temporary->require(settings_.name, argument, *root().heap(), reads ? 1 : 0);
        if (reads == 0) return;
        // Given for several inputs it is read once for each.
        std::size_t inputs = 1;
        for (const auto& held : held_) inputs += held.temporary == temporary;
        if (temporary->readCount() < inputs)
            throw Error(settings_.name, argument,
                        fmt::format("a read count of at least {}, one for each input", inputs),
                        fmt::format("{} with read count {}", temporary->describe(), temporary->readCount()));
        held_.push_back({temporary, temporary->readCount(), reads});
    };
    const auto& backend = mtl::deviceOf(*root().device()).backend();
    for (std::size_t i = 0; i < images.size(); ++i) {
        equal("sourceImages", i, images[i].size());
        for (std::size_t j = 0; j < images[i].size(); ++j) {
            const auto& image = images[i][j];
            const auto where = [&] { return fmt::format("sourceImages[{}][{}]", i, j); };
            if (!image) throw Error(settings_.name, where(), "an image", "null");
            if (image->device() != root().device())
                throw Error(settings_.name, where(), "an image of device " + root().device()->name(),
                            "one of device " + image->device()->name());
            if (!backend.supports(typeOf(image->featureChannelFormat(), settings_.name)))
                throw Error(settings_.name, where(),
                            fmt::format("a channel format that device {} computes", root().device()->name()),
                            nameOf(image->featureChannelFormat()));
            if (settings_.batch && image->numberOfImages() != 1)
                throw Error(settings_.name, where(), "an image that holds one picture in a batch",
                            image->description());
            const auto& first = *images[i][0];
            if (image->width() != first.width() || image->height() != first.height() ||
                image->featureChannels() != first.featureChannels() ||
                image->featureChannelFormat() != first.featureChannelFormat())
                throw Error(settings_.name, where(),
                            "the size and format of the batch's first image, " + first.description(),
                            image->description());
        }
    }
    for (std::size_t i = 0; i < states.size(); ++i) {
        equal("sourceStates", i, states[i].size());
        for (std::size_t j = 0; j < states[i].size(); ++j)
            if (!states[i][j])
                throw Error(settings_.name, fmt::format("sourceStates[{}][{}]", i, j), "a state", "null");
    }
    for (std::size_t i = 0; i < images.size(); ++i) {
        const std::size_t slot = shared_->sourceImages[i];
        images_[slot] = images[i];
        forDistinct(images[i], [&](const auto& image) {
            hold(ImageAccess::temporary(*image), "sourceImages", shared_->images[slot].reads);
        });
    }
    for (std::size_t i = 0; i < states.size(); ++i) {
        const std::size_t slot = shared_->sourceStates[i];
        states_[slot] = states[i];
        forDistinct(states[i], [&](const auto& state) {
            hold(StateAccess::temporary(*state), "sourceStates", shared_->states[slot].reads);
        });
    }
}

void Execution::checkImage(const ProgramStep& step, const MPS::ImageDescriptor& descriptor,
                           const ImageBatch& images) const {
    for (const auto& image : images)
        if (image->width() != descriptor.width || image->height() != descriptor.height ||
            image->featureChannels() != descriptor.featureChannels ||
            image->numberOfImages() != descriptor.numberOfImages)
            throw Error(step.step->kernel().name(), "imageAllocator",
                        fmt::format("an image of {} x {} x {}", descriptor.width, descriptor.height,
                                    descriptor.featureChannels),
                        image->description());
}

void Execution::keepResult(std::size_t index, const ImageBatch& images) {
    const ImageSlot& slot = shared_->images[index];
    if (slot.handle)
        for (const auto& image : images)
            if (image->label().empty()) image->setLabel(slot.handle->label());
    images_[index] = images;
}

void Execution::checkFormat() const {
    if (!clamps(settings_.format)) return;
    for (const auto& step : shared_->steps)
        if (!step.absorbed.empty())
            throw Error(settings_.name, "format",
                        fmt::format("one that does not clamp, since {} became part of {} and the image between them is not "
                                    "made, or a graph made with NNGraphOptions::none()",
                                    step.absorbed.front(), step.step->kernel().name()),
                        nameOf(settings_.format));
}

void Execution::makeImages(const ProgramStep& step, StepArguments& arguments) {
    const ImageSlot& slot = shared_->images[step.result];
    if (!slot.isMade) return;
    std::vector<std::shared_ptr<MPS::Image>> representatives;
    for (const auto& batch : arguments.images) representatives.push_back(batch.front());
    StateBatch states;
    for (const auto& batch : arguments.states) states.push_back(batch.front());
    auto descriptor = step.step->describe(representatives, states);
    descriptor.channelFormat =
        slot.format == MPS::ImageFeatureChannelFormat::None ? settings_.format : slot.format;
    const std::size_t count = arguments.images.empty() ? 1 : arguments.images[0].size();
    if (step.step->addsToResult()) {
        arguments.destinations = images_[step.result];
        return checkImage(step, descriptor, arguments.destinations);
    }
    if (recording_)
        arguments.destinations = recording_->bound(
            *shared_, static_cast<std::size_t>(&step - shared_->steps.data()), descriptor, count, commandBuffer_);
    if (arguments.destinations.empty())
        arguments.destinations =
            allocateDestinations(step.step->kernel(), *allocatorOf(*shared_, step.result, settings_.resultAllocator),
                                 commandBuffer_, descriptor, count);
    checkImage(step, descriptor, arguments.destinations);
    if (recording_ && recording_->isInBlocks(step.result))
        ImageAccess::storage(*arguments.destinations[0])->setLayout(ops::ImageLayout::ChannelBlocks);
    keepResult(step.result, arguments.destinations);
    // What leaves the graph leaves with a read for each way out.
    setReads(arguments.destinations, std::max<std::size_t>(slot.readCount(), 1));
}

void Execution::makeStates(const ProgramStep& step, StepArguments& arguments) {
    if (step.made.empty()) return;
    const auto ownerOf = [&](const StateSlot& slot) {
        const bool temporary = !slot.persistent && (!slot.exported || settings_.outputStateIsTemporary);
        return temporary ? MPS::StateOwner::of(commandBuffer_) : MPS::StateOwner::of(root().device());
    };
    const auto keep = [&](std::size_t index, const StateBatch& batch) {
        const StateSlot& slot = shared_->states[index];
        if (batch.empty() && slot.reads > 0)
            throw Error(step.step->kernel().name(), "resultState", "a state, which another filter reads", "none");
        forDistinct(batch, [&](const auto& state) {
            if (slot.handle && state->label().empty()) state->setLabel(slot.handle->label());
        });
        setReads(batch, std::max<std::size_t>(slot.readCount(), 1));
        states_[index] = batch;
    };
    if (step.firstMade() != kNone) {
        arguments.resultStates = step.step->makeStates(ownerOf(shared_->states[step.firstMade()]), arguments);
        keep(step.firstMade(), arguments.resultStates);
    }
    if (step.made.size() == 1) return;
    std::vector<bool> wanted;
    const StateSlot* any = nullptr;
    for (std::size_t i = 1; i < step.made.size(); ++i) {
        wanted.push_back(step.made[i] != kNone);
        if (wanted.back()) any = &shared_->states[step.made[i]];
    }
    arguments.furtherStates = step.step->makeFurtherStates(ownerOf(*any), arguments, wanted);
    for (std::size_t i = 0; i < arguments.furtherStates.size(); ++i)
        if (wanted[i]) keep(step.made[i + 1], arguments.furtherStates[i]);
}

void Execution::runStep(std::size_t index) {
    auto& step = shared_->steps[index];
    StepArguments arguments;
    arguments.commandBuffer = commandBuffer_;
    arguments.batch = settings_.batch;
    for (const std::size_t slot : step.images) arguments.images.push_back(images_[slot]);
    for (const std::size_t slot : step.states) arguments.states.push_back(states_[slot]);
    if (!step.images.empty()) {
        const auto& first = shared_->images[step.images[0]];
        arguments.mayOverwriteFirst =
            shared_->inPlace && !first.source && !first.leaves() && first.lastReader == index &&
            !(recording_ && recording_->parts().isShared(step.images[0])) &&
            std::count(step.images.begin(), step.images.end(), step.images[0]) == 1;
    }
    makeImages(step, arguments);
    makeStates(step, arguments);
    stepsBegun_ = index + 1;
    const bool again = step.recomputes != kNone;
    if (recording_) {
        const auto& parts = recording_->parts();
        for (const std::size_t slot : step.images)
            arguments.isThere.push_back(parts.wholeOf(slot) == step.result || parts.wholeOf(step.result) == slot);
        recording_->beginStep(index, *step.step, again);
    }
    if (again)
        step.step->recompute(arguments);
    else
        step.step->encode(arguments);
    if (recording_) {
        recording_->noteStep(*shared_, index, arguments);
        if (step.step->hasHostPart() && !again) planHostPart(index, arguments);
        if (joined_.endBefore(index + 1)) planJoined();
    } else if (!again) {
        step.step->encoded(commandBuffer_);
        if (step.step->updates()) step.step->update(arguments);
    }
    // An image that only its own step needed (a forward image whose state alone is read).
    const ImageSlot& slot = shared_->images[step.result];
    if (slot.isMade && slot.reads == 0 && slot.results == 0 && !slot.exported)
        setReads(arguments.destinations, 0);
    if (slot.isMade && slot.synchronize) MPS::ImageBatchSynchronize(arguments.destinations, commandBuffer_);
}

void Execution::planHostPart(std::size_t index, const StepArguments& arguments) {
    const bool updates = shared_->steps[index].step->updates();
    if (updates && joined_.mayWait(index, arguments)) {
        if (joined_.isFullFor(arguments)) planJoined();
        return joined_.add(index, arguments);
    }
    const std::size_t end = root().commandCount();
    recording_->noteUpdate(index, end, arguments);
    if (updates) planUpdate(index, end, arguments);
}

void Execution::planJoined() {
    const std::size_t end = root().commandCount();
    for (const auto& [index, arguments] : joined_.take()) {
        recording_->noteUpdate(index, end, arguments);
        planUpdate(index, end, arguments);
    }
}

void Execution::planUpdate(std::size_t index, std::size_t end, const StepArguments& arguments) {
    root().heap()->setApart(recording_->isPlan());
    shared_->steps[index].step->planUpdate(arguments);
    root().heap()->setApart(false);
    root().truncate(end);
}

void Execution::releaseAfter(std::size_t index) {
    const auto& step = shared_->steps[index];
    const auto keep = [](const auto& slot) { return slot.exported || slot.source; };
    for (const std::size_t i : step.images)
        if (shared_->images[i].lastReader == index && !keep(shared_->images[i]) &&
            shared_->images[i].results == 0)
            images_[i].clear();
    for (const std::size_t i : step.states)
        if (shared_->states[i].lastReader == index && !keep(shared_->states[i])) states_[i].clear();
}

void Execution::run() {
    raiseHeld();
    if (recording_ && recording_->isPlan() && shared_->joinUpdates && mtl::deviceOf(*root().device()).backend().joinsUpdates())
        joined_ = JoinedUpdates(*shared_);
    for (std::size_t i = 0; i < shared_->steps.size(); ++i) {
        runStep(i);
        if (recording_) recording_->endStep(root().commandCount());
        releaseAfter(i);
    }
    for (const std::size_t slot : shared_->exportedStates)
        if (shared_->states[slot].synchronize) MPS::StateBatchSynchronize(states_[slot], commandBuffer_);
    // The graph's own read of each temporary source: the kernels have taken all but the first.
    returnHeld();
    if (recording_)
        for (auto& step : shared_->steps) step.step->rewind();
    done_ = true;
}

ImageBatch Execution::result() {
    return shared_->resultNeeded[0] ? images_[shared_->results[0]] : ImageBatch{};
}

void Execution::deliver(std::vector<ImageBatch>* images, std::vector<StateBatch>* states) {
    // What the caller does not take must not stay behind with a read count.
    const auto hand = [](auto* to, const auto& batch) {
        if (to)
            to->push_back(batch);
        else
            forDistinct(batch, [](const auto& object) {
                if (const auto& temporary = temporaryOf(*object); temporary && temporary->readCount() > 0)
                    temporary->setReadCount(temporary->readCount() - 1);
            });
    };
    for (const std::size_t slot : shared_->exportedImages) hand(images, images_[slot]);
    for (std::size_t i = 1; i < shared_->results.size(); ++i)
        if (shared_->resultNeeded[i]) hand(images, images_[shared_->results[i]]);
    for (const std::size_t slot : shared_->exportedStates) hand(states, states_[slot]);
}

}  // namespace pewter::mps
