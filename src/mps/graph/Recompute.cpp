#include "mps/graph/Recompute.h"

#include <fmt/format.h>

#include <MTL/Error.hpp>
#include <algorithm>
#include <unordered_map>

namespace pewter::mps {

using MPS::NNGraphReport;

namespace {

/// For each data source the first step that updates it: from then on its filters compute something else.
std::unordered_map<const void*, std::size_t> firstUpdates(const GraphProgram& program) {
    std::unordered_map<const void*, std::size_t> first;
    const auto readers = program.stateReaders();
    for (const auto& step : program.steps) {
        const void* group = step.isGradient ? nullptr : step.step->updateGroup();
        if (!group || step.firstMade() == kNone) continue;
        for (const std::size_t reader : readers[step.firstMade()]) {
            if (!program.steps[reader].step->updates()) continue;
            const auto [known, isNew] = first.try_emplace(group, reader);
            if (!isNew) known->second = std::min(known->second, reader);
        }
    }
    return first;
}

}  // namespace

std::unordered_set<std::size_t> recomputableImages(const GraphProgram& program) {
    const auto updates = firstUpdates(program);
    const auto allReaders = program.imageReaders();
    std::unordered_set<std::size_t> slots;
    for (const auto& step : program.steps) {
        const auto& image = program.images[step.result];
        if (step.isGradient || !step.step->canRecompute() || !step.step->isReplayable() || !image.isMade || image.leaves() ||
            image.allocator != MPS::TemporaryImage::defaultAllocator())
            continue;
        const auto& readers = allReaders[step.result];
        // Once made again the image stays, so that it is enough if the first gradient kernel comes before the update.
        const auto update = updates.find(step.step->updateGroup());
        const auto first = std::find_if(readers.begin(), readers.end(),
                                        [&](std::size_t reader) { return program.steps[reader].isGradient; });
        if (update != updates.end() && first != readers.end() && *first > update->second) continue;
        if (first != readers.end()) slots.insert(step.result);
    }
    return slots;
}

namespace {

/// Copies a program step by step, with recomputing steps before the gradient steps that need them.
class Rewriter {
public:
    Rewriter(const GraphProgram& from, const std::unordered_set<std::size_t>& dropped)
        : from_(from), dropped_(dropped), to_(std::make_shared<GraphProgram>(from)) {
        to_->steps.clear();
    }

    std::shared_ptr<GraphProgram> run() {
        for (std::size_t index = 0; index < from_.steps.size(); ++index) {
            auto step = from_.steps[index];
            if (step.isGradient)
                for (auto& slot : step.images) slot = available(slot);
            positions_[index] = to_->steps.size();
            to_->steps.push_back(std::move(step));
        }
        to_->finish();
        return to_;
    }

private:
    /// The slot that holds the image now: itself, or the one that it is computed into again.
    std::size_t available(std::size_t slot) {
        if (!dropped_.contains(slot)) return slot;
        const auto known = again_.find(slot);
        if (known != again_.end()) return known->second;
        const std::size_t producer = from_.images[slot].producer;
        const auto& original = from_.steps[producer];
        ProgramStep step{.step = original.step, .isGradient = true, .recomputes = positions_.at(producer)};
        for (const std::size_t source : original.images) step.images.push_back(available(source));
        // Statistics of a batch are read from the state that holds them.
        if (original.step->recomputesFromState() && original.firstMade() != kNone)
            step.states.push_back(original.firstMade());
        step.result = to_->images.size();
        to_->images.push_back(from_.images[slot]);
        again_[slot] = step.result;
        const std::size_t result = step.result;
        to_->steps.push_back(std::move(step));
        return result;
    }

    const GraphProgram& from_;
    const std::unordered_set<std::size_t>& dropped_;
    std::shared_ptr<GraphProgram> to_;
    std::unordered_map<std::size_t, std::size_t> again_, positions_;
};

std::unordered_set<std::size_t> slotsOfNodes(const GraphProgram& program, const std::vector<std::string>& labels,
                                             const std::string& graph) {
    const auto possible = recomputableImages(program);
    std::unordered_set<std::size_t> slots;
    for (const auto& label : labels) {
        // A filter that became part of another one has its result, and its label at the end of its name.
        const auto step = std::find_if(program.steps.begin(), program.steps.end(), [&](const ProgramStep& one) {
            return !one.isGradient && (one.step->kernel().label() == label ||
                                       std::any_of(one.absorbed.begin(), one.absorbed.end(), [&](const std::string& name) {
                                           return name.ends_with(" '" + label + "'");
                                       }));
        });
        if (step == program.steps.end())
            throw MPS::Error(graph, "recomputePolicy", "labels of filters of the graph", "'" + label + "'");
        if (!possible.contains(step->result))
            throw MPS::Error(graph, "recomputePolicy",
                             "filters whose result only kernels of the graph read, a gradient kernel among them, and "
                             "which give the same result again",
                             step->step->kernel().name());
        slots.insert(step->result);
    }
    return slots;
}

/// Chooses images whose life spans the step of the peak, the cheapest to make again for their bytes first.
class BudgetSearch {
public:
    BudgetSearch(const GraphProgram& program, const std::string& graph, std::size_t budget)
        : program_(program), graph_(graph), budget_(budget), possible_(recomputableImages(program)) {}

    Recomputed run(const std::shared_ptr<GraphProgram>& base,
                   const Record& record) {
        Recomputed now{base, record(base)};
        const std::size_t kept = now.recording->report.peakBytes;
        std::size_t least = now.recording->report.peakBytes;
        while (now.recording->report.peakBytes > budget_) {
            if (!extend(now.recording->report))
                throw MPS::Error(graph_, "recomputePolicy", fmt::format("a budget of at least {} bytes", least),
                                 fmt::format("{}", budget_));
            now.program = recomputing(program_, dropped_);
            now.recording = record(now.program);
            least = std::min(least, now.recording->report.peakBytes);
        }
        now.recording->report.peakWithoutRecomputation = kept;
        return now;
    }

private:
    /// Drops more images; false when there are none left that would help.
    bool extend(const NNGraphReport& report) {
        const auto peak = static_cast<std::size_t>(
            std::max_element(report.steps.begin(), report.steps.end(),
                             [](const auto& a, const auto& b) { return a.peakBytes < b.peakBytes; }) -
            report.steps.begin());
        std::vector<const NNGraphReport::Range*> spanning;
        for (const auto& range : report.ranges)
            if (possible_.contains(range.image) && !dropped_.contains(range.image) && range.firstStep < peak &&
                range.lastStep > peak)
                spanning.push_back(&range);
        // What makes an image again for less comes first, then the larger.
        std::sort(spanning.begin(), spanning.end(), [&](const auto* a, const auto* b) {
            return std::make_pair(cost(a->image), -static_cast<double>(a->bytes)) <
                   std::make_pair(cost(b->image), -static_cast<double>(b->bytes));
        });
        std::size_t saved = 0;
        const std::size_t excess = report.peakBytes - budget_;
        for (const auto* range : spanning) {
            if (saved >= excess) break;
            dropped_.insert(range->image);
            saved += range->bytes;
        }
        return saved > 0;
    }

    int cost(std::size_t slot) const { return program_.steps[program_.images[slot].producer].step->recomputeCost(); }

    const GraphProgram& program_;
    const std::string& graph_;
    std::size_t budget_;
    std::unordered_set<std::size_t> possible_, dropped_;
};

}  // namespace

std::shared_ptr<GraphProgram> recomputing(const GraphProgram& program, const std::unordered_set<std::size_t>& dropped) {
    return Rewriter(program, dropped).run();
}

Recomputed applyPolicy(const std::shared_ptr<GraphProgram>& program, const MPS::NNRecomputePolicy& policy,
                       const std::string& graph,
                       const Record& record) {
    using Kind = MPS::NNRecomputePolicy::Kind;
    if (policy.kind() == Kind::Budget)
        return BudgetSearch(*program, graph, policy.bytes()).run(program, record);
    if (policy.kind() == Kind::None) return {program, record(program)};
    const auto rewritten = recomputing(*program, slotsOfNodes(*program, policy.labels(), graph));
    Recomputed result{rewritten, record(rewritten)};
    result.recording->report.peakWithoutRecomputation = record(program)->report.peakBytes;
    return result;
}

}  // namespace pewter::mps
