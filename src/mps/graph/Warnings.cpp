#include "mps/graph/Warnings.h"

#include <fmt/format.h>

#include <MPS/Handle.hpp>
#include <algorithm>
#include <unordered_set>

#include "mps/graph/NodeAccess.h"
#include "mtl/Diagnostics.h"

namespace pewter::mps {

namespace {

using Filter = MPS::NNFilterNode;

class Warnings {
public:
    Warnings(const GraphNodes& nodes, const MPS::NNGraphOptions& options) : nodes_(nodes), options_(options) {
        for (const Filter* filter : nodes_.filters) {
            for (const auto& source : NodeAccess::sources(*filter)) readers_[source.get()].push_back(filter);
            if (!isGradient(*filter)) continue;
            const auto* trainable = dynamic_cast<const MPS::NNTrainableNode*>(filter);
            const bool updates = trainable && trainable->trainingStyle() != MPS::NNTrainingStyle::UpdateDeviceNone;
            for (const auto& state : NodeAccess::sourceStates(*filter)) {
                mirrored_.insert(state->producer());
                if (updates) updated_.insert(state->producer());
            }
        }
    }

    void untrained() const {
        if (mirrored_.empty()) return;  // nothing is trained at all
        const auto stopped = this->stopped();
        for (const Filter* filter : nodes_.filters) {
            const auto* trainable = dynamic_cast<const MPS::NNTrainableNode*>(filter);
            if (!trainable || isGradient(*filter) || mirrored_.contains(filter) || stopped.contains(filter) ||
                trainable->trainingStyle() == MPS::NNTrainingStyle::UpdateDeviceNone)
                continue;
            say(fmt::format("{} is trainable but no result of the graph depends on a gradient of it: pass all result "
                            "images of trainingGraph(), or set its training style to None",
                            nameOf(*filter)));
        }
    }

    void handles() const {
        for (std::size_t i = 0; i < nodes_.inputs.size(); ++i)
            for (std::size_t j = 0; j < i; ++j)
                if (nodes_.inputs[i]->handle() && nodes_.inputs[i]->handle() == nodes_.inputs[j]->handle())
                    say(fmt::format("inputs {} and {} have one handle, '{}': an image given for both is read twice and "
                                    "needs a read count of 2",
                                    j, i, nodes_.inputs[i]->handle()->label()));
    }

    void dataSources() const {
        std::vector<std::string> sentences;
        for (const auto& [source, filters] : nodes_.sharing) {
            std::string names;
            std::size_t forward = 0, updates = 0;
            for (const Filter* filter : filters)
                if (!isGradient(*filter)) {
                    names += (forward++ ? " and " : "") + nameOf(*filter);
                    updates += updated_.contains(filter);
                }
            if (forward < 2) continue;
            const char* const what =
                updates > 1 ? "it is asked for an update once for each, and adds their gradients up itself if that is meant"
                : updates == 1 ? "only one of them is trained, and its update reaches all"
                               : "each has a copy of its weights";
            sentences.push_back(fmt::format("{} share a data source: {}", names, what));
        }
        std::sort(sentences.begin(), sentences.end());
        for (const auto& sentence : sentences) say(sentence);
    }

private:
    /// The kernel's name has the label of the data source where the node has none.
    std::string nameOf(const Filter& filter) const { return nodes_.steps.at(&filter)->kernel().name(); }

    static bool isGradient(const Filter& filter) {
        return dynamic_cast<const MPS::NNGradientFilterNode*>(&filter) != nullptr;
    }

    /// Forward filters with an image between them and the loss that stops gradients: then somebody wanted it so.
    std::unordered_set<const Filter*> stopped() const {
        std::unordered_set<const Filter*> found;
        const auto isFound = [&](const Filter* reader) { return found.contains(reader); };
        // Readers come after what they read.
        for (auto filter = nodes_.filters.rbegin(); filter != nodes_.filters.rend(); ++filter) {
            if (isGradient(**filter)) continue;
            const auto& result = NodeAccess::result(**filter);
            const auto readers = readers_.find(&result);
            if (result.stopGradient() ||
                (readers != readers_.end() && std::any_of(readers->second.begin(), readers->second.end(), isFound)))
                found.insert(*filter);
        }
        return found;
    }

    void say(const std::string& sentence) const {
        if (options_.warningHandler)
            options_.warningHandler(sentence);
        else
            mtl::diagnose("graph: " + sentence);
    }

    const GraphNodes& nodes_;
    const MPS::NNGraphOptions& options_;
    std::unordered_map<const MPS::NNImageNode*, std::vector<const Filter*>> readers_;
    /// Filters with a gradient filter, and those that one updates.
    std::unordered_set<const Filter*> mirrored_, updated_;
};

}  // namespace

void warn(const GraphNodes& nodes, const MPS::NNGraphOptions& options) {
    const Warnings warnings(nodes, options);
    warnings.untrained();
    warnings.handles();
    warnings.dataSources();
}

}  // namespace pewter::mps
