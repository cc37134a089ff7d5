#include "mps/graph/ArchiveChecks.h"

#include <fmt/format.h>

#include <MTL/Error.hpp>
#include <algorithm>
#include <unordered_set>

namespace pewter::mps {

using MTL::Error;

namespace {

std::string range(std::size_t least, std::size_t most) {
    return least == most ? fmt::format("{}", least) : fmt::format("{} to {}", least, most);
}

/// The slots of one kind while the steps go by.
class Flow {
public:
    /// sources: written before the first step.
    Flow(const char* kind, const std::vector<bool>& sources)
        : kind_(kind), written_(sources), writer_(sources.size(), kNone) {}

    void read(const std::string& who, const char* argument, const std::vector<std::size_t>& slots) {
        for (const std::size_t slot : slots) {
            if (slot >= written_.size() || !written_[slot])
                throw Error(who, argument,
                            fmt::format("{} that an earlier step makes or that is an input", kind_),
                            found(slot));
        }
    }
    void add(const std::string& who, const char* argument, std::size_t slot) const {
        if (slot >= written_.size() || writer_[slot] == kNone)
            throw Error(who, argument, fmt::format("{} that an earlier step makes", kind_), found(slot));
    }
    void write(const std::string& who, const char* argument, std::size_t slot, std::size_t step) {
        if (slot >= written_.size() || written_[slot])
            throw Error(who, argument, fmt::format("{} that nothing else makes", kind_), found(slot));
        written_[slot] = true;
        writer_[slot] = step;
    }
    /// The step that makes the slot; kNone for an input.
    std::size_t writer(std::size_t slot) const { return writer_[slot]; }
    /// Every slot must have been written.
    void finish(const char* argument) const {
        const auto none = std::find(written_.begin(), written_.end(), false);
        if (none != written_.end())
            throw Error("archived NNGraph", argument, "a step for every slot that is no input",
                        fmt::format("none for slot {}", none - written_.begin()));
    }

private:
    std::string found(std::size_t slot) const {
        return slot == kNone ? "none" : fmt::format("slot {} of {}", slot, written_.size());
    }

    const char* kind_;
    std::vector<bool> written_;
    std::vector<std::size_t> writer_;
};

template <class Slots>
std::vector<bool> sourcesOf(const Slots& slots) {
    std::vector<bool> sources;
    for (const auto& slot : slots) sources.push_back(slot.source);
    return sources;
}

void checkArity(const ArchivedStep& step) {
    const auto arity = arityOf(step.parts());
    const auto count = [&](const char* argument, std::size_t found, std::size_t least, std::size_t most) {
        if (found < least || found > most)
            throw Error(step.name(), argument,
                        fmt::format("{} for a step of type {}", range(least, most), step.parts().type),
                        fmt::format("{}", found));
    };
    count("images", step.slots().images.size(), arity.leastImages, arity.mostImages);
    count("states", step.slots().states.size(), arity.leastStates, arity.mostStates);
    count("made", step.slots().made.size(), 0, arity.mostMade);
    if (!step.slots().made.empty() && step.slots().made.back() == kNone)
        throw Error(step.name(), "made", "a list that ends with a state", "-1");
}

/// A gradient step belongs to the step that made its state, and is the only one of a normalisation.
void checkForward(const std::vector<std::shared_ptr<ArchivedStep>>& steps, std::size_t index,
                  const Flow& states, std::unordered_set<std::size_t>& normalised) {
    const auto& step = *steps[index];
    const std::size_t forward = step.forward();
    if (forward == kNone) return;
    if (forward >= index)
        throw Error(step.name(), "forward", "an earlier step",
                    fmt::format("step {} of {}", forward, steps.size()));
    if (step.slots().states.empty() || states.writer(step.slots().states[0]) != forward)
        throw Error(step.name(), "forward", "the step that makes its state",
                    fmt::format("{}", steps[forward]->name()));
    if (step.parts().type.ends_with("NormalizationGradient") &&
        !normalised.insert(step.slots().states[0]).second)
        throw Error(step.name(), "gradientState", "a state that no other gradient step reads",
                    "one that another reads");
}

void checkLeaving(const GraphProgram& program) {
    const auto refuse = [](const std::string& argument, const char* expected, std::size_t slot) {
        throw Error("archived NNGraph", argument, expected,
                    slot == kNone ? "none" : fmt::format("slot {}", slot));
    };
    const auto made = [&](std::size_t slot) {
        return slot < program.images.size() && !program.images[slot].source && program.images[slot].isMade;
    };
    std::unordered_set<std::size_t> exported;
    for (const std::size_t slot : program.exportedImages)
        if (!made(slot) || !program.images[slot].exported || !exported.insert(slot).second)
            refuse("exportedImages", "images that steps make and that are exported, each once", slot);
    for (std::size_t slot = 0; slot < program.images.size(); ++slot)
        if (program.images[slot].exported && !program.images[slot].source && !exported.contains(slot))
            refuse("exportedImages", "every exported image", slot);
    for (std::size_t i = 0; i < program.results.size(); ++i) {
        const std::size_t slot = program.results[i];
        if (program.resultNeeded[i] ? !made(slot) : slot != kNone && slot >= program.images.size())
            refuse(fmt::format("results[{}]", i), "an image that a step makes", slot);
    }
}

}  // namespace

void checkArchivedProgram(const GraphProgram& program,
                          const std::vector<std::shared_ptr<ArchivedStep>>& steps) {
    if (steps.empty()) throw Error("archived NNGraph", "steps", "at least 1", "0");
    Flow images("an image", sourcesOf(program.images)), states("a state", sourcesOf(program.states));
    std::unordered_set<std::size_t> normalised;
    std::unordered_set<const MPS::Kernel*> kernels;
    for (std::size_t index = 0; index < steps.size(); ++index) {
        const auto& step = *steps[index];
        const auto& slots = step.slots();
        checkArity(step);
        for (const auto& kernel : step.parts().kernels)
            if (kernel && !kernels.insert(kernel.get()).second)
                throw Error(step.name(), "kernels", "kernels of its own", "one that another step has");
        images.read(step.name(), "images", slots.images);
        states.read(step.name(), "states", slots.states);
        checkForward(steps, index, states, normalised);
        for (const std::size_t slot : slots.images)
            if (!program.images[slot].source && !program.images[slot].isMade)
                throw Error(step.name(), "images", "an image that is kept", "one that its step leaves out");
        if (addsToResult(step.parts()))
            images.add(step.name(), "result", slots.result);
        else
            images.write(step.name(), "result", slots.result, index);
        for (const std::size_t slot : slots.made)
            if (slot != kNone) states.write(step.name(), "made", slot, index);
        if (program.images[slots.result].isMade == step.parts().resultDropped)
            throw Error(step.name(), "resultDropped", "what the result's slot says", "the opposite");
    }
    images.finish("images");
    states.finish("states");
    checkLeaving(program);
}

}  // namespace pewter::mps
