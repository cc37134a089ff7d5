#include "mps/graph/Program.h"

#include <fmt/format.h>

#include <MPS/NNFilterNode.hpp>
#include <MPS/NNGraph.hpp>
#include <MPS/NNImageNode.hpp>
#include <MPS/NNStateNode.hpp>
#include <MTL/Error.hpp>
#include <algorithm>
#include <unordered_map>
#include <unordered_set>

#include "mps/graph/NodeAccess.h"
#include "mps/graph/Warnings.h"
#include "mps/graph/passes/Passes.h"

namespace pewter::mps {

namespace {

using Filter = MPS::NNFilterNode;

/// Whether running the filter matters beyond its result image: it updates weights, puts the gradients of
/// weights into a state that leaves the graph, or writes into a state that the caller handed in (a loss).
bool hasEffects(const Filter& filter) {
    const auto& states = NodeAccess::sourceStates(filter);
    const auto* trainable = dynamic_cast<const MPS::NNTrainableNode*>(&filter);
    if (trainable && dynamic_cast<const MPS::NNGradientFilterNode*>(&filter))
        return trainable->trainingStyle() != MPS::NNTrainingStyle::UpdateDeviceNone ||
               std::any_of(states.begin(), states.end(),
                           [](const auto& state) { return state->exportFromGraph(); });
    return std::any_of(states.begin(), states.end(), [](const auto& state) {
        return dynamic_cast<const MPS::NNLabelsNode*>(state.get()) != nullptr;
    });
}

/// Discovery order of inputs and exports (before the sources of a filter), schedule (after them). Without recursion:
/// networks may be many thousands of filters deep.
class Walk {
public:
    std::vector<const Filter*> order;
    std::vector<const MPS::NNImageNode*> sourceImages, exportedImages;
    std::vector<const MPS::NNStateNode*> sourceStates;

    void image(const MPS::NNImageNode& node) {
        meet(node);
        while (!path_.empty()) {
            const auto [filter, link] = path_.back();
            const auto& images = NodeAccess::sources(*filter);
            const auto& states = NodeAccess::sourceStates(*filter);
            if (link == images.size() + states.size()) {
                order.push_back(filter);
                path_.pop_back();
                continue;
            }
            ++path_.back().second;
            if (link < images.size())
                meet(*images[link]);
            else
                meet(*states[link - images.size()]);
        }
    }

private:
    void meet(const MPS::NNImageNode& node) {
        if (const Filter* producer = node.producer())
            enter(*producer);
        else if (seenImages_.insert(&node).second)
            sourceImages.push_back(&node);
    }
    void meet(const MPS::NNStateNode& node) {
        if (const Filter* producer = node.producer())
            enter(*producer);
        else if (seenStates_.insert(&node).second)
            sourceStates.push_back(&node);
    }
    void enter(const Filter& filter) {
        if (!seenFilters_.insert(&filter).second) return;
        const auto& result = NodeAccess::result(filter);
        if (result.exportFromGraph()) exportedImages.push_back(&result);
        path_.emplace_back(&filter, 0);
    }

    /// From a result back: each filter with the next of its links to follow, images before states.
    std::vector<std::pair<const Filter*, std::size_t>> path_;
    std::unordered_set<const Filter*> seenFilters_;
    std::unordered_set<const MPS::NNImageNode*> seenImages_;
    std::unordered_set<const MPS::NNStateNode*> seenStates_;
};

/// Which filters run, and whose result image somebody reads.
class Need {
public:
    std::unordered_set<const Filter*> filters;
    std::unordered_set<const MPS::NNImageNode*> images;

    void require(const MPS::NNImageNode& image) {
        note(image);
        follow();
    }
    void require(const Filter& filter) {
        note(filter);
        follow();
    }

private:
    void note(const MPS::NNImageNode& image) {
        images.insert(&image);
        if (const Filter* producer = image.producer()) note(*producer);
    }
    void note(const Filter& filter) {
        if (filters.insert(&filter).second) open_.push_back(&filter);
    }
    void follow() {
        while (!open_.empty()) {
            const Filter& filter = *open_.back();
            open_.pop_back();
            for (const auto& source : NodeAccess::sources(filter)) note(*source);
            for (const auto& state : NodeAccess::sourceStates(filter))
                if (const Filter* producer = state->producer()) note(*producer);
        }
    }

    std::vector<const Filter*> open_;
};

class ProgramCompilation final : public Compilation {
public:
    ProgramCompilation(std::shared_ptr<MTL::Device> device, const std::vector<const Filter*>& order)
        : device_(std::move(device)) {
        for (const Filter* filter : order)
            for (const auto& state : NodeAccess::sourceStates(*filter)) consumed_.insert(state.get());
    }
    const std::shared_ptr<MTL::Device>& device() const override { return device_; }
    bool isConsumed(const MPS::NNStateNode& state) const override { return consumed_.contains(&state); }
    bool isExported(const MPS::NNStateNode& state) const override { return state.exportFromGraph(); }
    Step* producer(const MPS::NNStateNode& state) const override {
        const auto found = steps_.find(state.producer());
        return found == steps_.end() ? nullptr : found->second;
    }
    std::shared_ptr<void>& shared(const void* key) override {
        auto& filters = sharing_[key];
        if (filters.empty() || filters.back() != current_) filters.push_back(current_);
        return shared_[key];
    }
    void begin(const Filter& filter) { current_ = &filter; }
    void add(const Filter& filter, Step& step) { steps_[&filter] = &step; }
    const std::unordered_map<const void*, std::vector<const Filter*>>& sharing() const { return sharing_; }
    const std::unordered_map<const Filter*, Step*>& steps() const { return steps_; }

private:
    std::shared_ptr<MTL::Device> device_;
    std::unordered_set<const MPS::NNStateNode*> consumed_;
    std::unordered_map<const Filter*, Step*> steps_;
    std::unordered_map<const void*, std::shared_ptr<void>> shared_;
    const Filter* current_ = nullptr;
    std::unordered_map<const void*, std::vector<const Filter*>> sharing_;
};

}  // namespace

GraphProgram::GraphProgram(const std::shared_ptr<MTL::Device>& device,
                           const std::vector<std::shared_ptr<MPS::NNImageNode>>& resultNodes,
                           const std::vector<bool>& needed, const MPS::NNGraphOptions& options)
    : resultNeeded(needed) {
    Walk walk;
    for (const auto& node : resultNodes) walk.image(*node);

    Need need;
    for (std::size_t i = 0; i < resultNodes.size(); ++i)
        if (needed[i]) need.require(*resultNodes[i]);
    for (const Filter* filter : walk.order) {
        if (NodeAccess::result(*filter).exportFromGraph()) need.require(NodeAccess::result(*filter));
        if (hasEffects(*filter) || !options.deadCode) need.require(*filter);
        for (const auto& state : NodeAccess::states(*filter))
            if (state->exportFromGraph()) need.require(*filter);
    }
    std::erase_if(walk.order, [&](const Filter* filter) { return !need.filters.contains(filter); });

    // Slots of inputs, in the order of their discovery; an input that only dropped filters read stays an
    // input.
    std::unordered_map<const MPS::NNImageNode*, std::size_t> imageSlots;
    std::unordered_map<const MPS::NNStateNode*, std::size_t> stateSlots;
    const auto addImage = [&](const MPS::NNImageNode& node, bool source) {
        imageSlots[&node] = images.size();
        images.push_back({.handle = node.handle(),
                          .format = node.format(),
                          .allocator = node.imageAllocator(),
                          .exported = node.exportFromGraph(),
                          .synchronize = node.synchronizeResource(),
                          .source = source});
        return images.size() - 1;
    };
    const auto addState = [&](const MPS::NNStateNode& node, bool source) {
        stateSlots[&node] = states.size();
        states.push_back({.handle = node.handle(),
                          .exported = node.exportFromGraph(),
                          .synchronize = node.synchronizeResource(),
                          .source = source});
        return states.size() - 1;
    };
    for (const auto* node : walk.sourceImages) {
        sourceImages.push_back(addImage(*node, true));
        sourceImageHandles.push_back(node->handle());
    }
    for (const auto* node : walk.sourceStates) {
        sourceStates.push_back(addState(*node, true));
        sourceStateHandles.push_back(node->handle());
    }

    ProgramCompilation compilation(device, walk.order);
    for (const Filter* filter : walk.order) {
        ProgramStep step;
        compilation.begin(*filter);
        step.step = NodeAccess::compile(*filter, compilation);
        compilation.add(*filter, *step.step);
        const auto& result = NodeAccess::result(*filter);
        // Asked before anything is counted: a step without a result image may read its sources less often.
        const bool isMade = !options.deadCode || need.images.contains(&result) || !step.step->dropResult();
        for (const auto& source : NodeAccess::sources(*filter)) step.images.push_back(imageSlots.at(source.get()));
        for (const auto& source : NodeAccess::sourceStates(*filter)) {
            const auto found = stateSlots.find(source.get());
            if (found == stateSlots.end())
                throw MTL::Error(filter->name(), "sourceStates", "a state node that its filter made",
                                 fmt::format("one that {} did not make", source->producer()->name()));
            step.states.push_back(found->second);
        }
        step.result = addImage(result, false);
        step.isGradient = dynamic_cast<const MPS::NNGradientFilterNode*>(filter) != nullptr;
        images[step.result].isMade = isMade;
        // Made only for somebody: a filter of the program, or the caller.
        for (const auto& node : NodeAccess::states(*filter)) {
            const bool wanted = compilation.isConsumed(*node) || node->exportFromGraph();
            step.made.push_back(wanted ? addState(*node, false) : kNone);
        }
        while (!step.made.empty() && step.made.back() == kNone) step.made.pop_back();
        steps.push_back(std::move(step));
    }

    resultHandle = resultNodes[0]->handle();
    for (std::size_t i = 0; i < resultNodes.size(); ++i) {
        const auto found = imageSlots.find(resultNodes[i].get());
        results.push_back(found == imageSlots.end() ? kNone : found->second);
        if (needed[i]) ++images[results[i]].results;
    }
    for (const auto* node : walk.exportedImages) {
        exportedImages.push_back(imageSlots.at(node));
        exportedImageHandles.push_back(node->handle());
    }
    for (std::size_t slot = 0; slot < states.size(); ++slot)
        if (states[slot].exported && !states[slot].source) {
            exportedStates.push_back(slot);
            exportedStateHandles.push_back(states[slot].handle);
        }
    warn({walk.order, walk.sourceImages, compilation.sharing(), compilation.steps()}, options);
    runPasses(*this, options);
    finish();
}

namespace {

using Readers = std::vector<std::size_t>;

Readers readersOf(const std::vector<ProgramStep>& steps, std::vector<std::size_t> ProgramStep::* sources,
                  std::size_t slot) {
    Readers readers;
    for (std::size_t i = 0; i < steps.size(); ++i)
        readers.insert(readers.end(), std::count((steps[i].*sources).begin(), (steps[i].*sources).end(), slot), i);
    return readers;
}

std::vector<Readers> allReaders(const std::vector<ProgramStep>& steps,
                                std::vector<std::size_t> ProgramStep::* sources, std::size_t slots) {
    std::vector<Readers> readers(slots);
    for (std::size_t i = 0; i < steps.size(); ++i)
        for (const std::size_t slot : steps[i].*sources) readers[slot].push_back(i);
    return readers;
}

}  // namespace

Readers GraphProgram::readersOfImage(std::size_t slot) const { return readersOf(steps, &ProgramStep::images, slot); }
Readers GraphProgram::readersOfState(std::size_t slot) const { return readersOf(steps, &ProgramStep::states, slot); }
std::vector<Readers> GraphProgram::imageReaders() const {
    return allReaders(steps, &ProgramStep::images, images.size());
}
std::vector<Readers> GraphProgram::stateReaders() const {
    return allReaders(steps, &ProgramStep::states, states.size());
}

namespace {

/// Keeps the slots that somebody writes, and the inputs. Returns where each of them went.
template <class Slot>
std::vector<std::size_t> compact(std::vector<Slot>& slots, const std::vector<bool>& written) {
    std::vector<std::size_t> moved(slots.size(), kNone);
    std::vector<Slot> kept;
    for (std::size_t slot = 0; slot < slots.size(); ++slot)
        if (written[slot] || slots[slot].source) {
            moved[slot] = kept.size();
            kept.push_back(std::move(slots[slot]));
        }
    slots = std::move(kept);
    return moved;
}

void renumber(std::vector<std::size_t>& list, const std::vector<std::size_t>& moved) {
    for (auto& slot : list)
        if (slot != kNone) slot = moved[slot];
}

}  // namespace

void GraphProgram::dropUnwritten() {
    std::vector<bool> written(images.size()), made(states.size());
    for (const auto& step : steps) {
        written[step.result] = true;
        for (const std::size_t slot : step.made)
            if (slot != kNone) made[slot] = true;
    }
    const auto movedImages = compact(images, written), movedStates = compact(states, made);
    for (auto& step : steps) {
        renumber(step.images, movedImages);
        renumber(step.states, movedStates);
        renumber(step.made, movedStates);
        step.result = movedImages[step.result];
    }
    for (auto* list : {&sourceImages, &exportedImages, &results}) renumber(*list, movedImages);
    for (auto* list : {&sourceStates, &exportedStates}) renumber(*list, movedStates);
}

void GraphProgram::setOptions(MPS::KernelOptions options) {
    if (options == options_) return;
    for (const auto& step : steps) step.step->setOptions(options);
    options_ = options;
}

void GraphProgram::finish() {
    dropUnwritten();
    for (auto& image : images) {
        image.producer = image.lastReader = kNone;
        image.reads = 0;
    }
    for (auto& state : states) {
        state.producer = state.lastReader = kNone;
        state.reads = 0;
        state.persistent = false;
    }
    for (std::size_t index = 0; index < steps.size(); ++index) {
        const auto& step = steps[index];
        const bool again = step.recomputes != kNone;
        for (std::size_t position = 0; position < step.images.size(); ++position) {
            auto& image = images[step.images[position]];
            image.reads += again ? 1 : step.step->imageReads(position);
            image.lastReader = index;
        }
        for (std::size_t position = 0; position < step.states.size(); ++position) {
            auto& state = states[step.states[position]];
            state.lastReader = index;
            if (again) {
                ++state.reads;
                continue;
            }
            state.reads += step.step->stateReads(position) + step.step->updateReads(position);
            state.persistent |= step.step->needsPersistentState(position);
        }
        // A second writer adds to what is there.
        if (images[step.result].producer == kNone) images[step.result].producer = index;
        for (const std::size_t made : step.made) {
            if (made == kNone) continue;
            states[made].producer = index;
            states[made].reads += step.step->ownStateReads();
        }
    }
}

}  // namespace pewter::mps
