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
            for (const auto& state : NodeAccess::sourceStates(*filter))
                if (isGradient(*filter)) mirrored_.insert(state->producer());
        }
    }

    void untrained() const {
        if (mirrored_.empty()) return;  // nothing is trained at all
        for (const Filter* filter : nodes_.filters) {
            const auto* trainable = dynamic_cast<const MPS::NNTrainableNode*>(filter);
            if (!trainable || isGradient(*filter) || mirrored_.contains(filter) || isStopped(*filter) ||
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
            std::size_t forward = 0;
            for (const Filter* filter : filters)
                if (!isGradient(*filter)) {
                    names += (forward++ ? " and " : "") + nameOf(*filter);
                }
            if (forward > 1)
                sentences.push_back(fmt::format("{} share a data source: it is asked for an update once for each, and "
                                                "adds their gradients up itself if that is meant",
                                                names));
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

    /// Whether an image between the filter and the loss stops gradients: then somebody wanted it so.
    bool isStopped(const Filter& filter) const {
        std::vector<const Filter*> open{&filter};
        std::unordered_set<const Filter*> seen;
        while (!open.empty()) {
            const Filter* next = open.back();
            open.pop_back();
            if (isGradient(*next) || !seen.insert(next).second) continue;
            const auto& result = NodeAccess::result(*next);
            if (result.stopGradient()) return true;
            const auto found = readers_.find(&result);
            if (found != readers_.end()) open.insert(open.end(), found->second.begin(), found->second.end());
        }
        return false;
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
    std::unordered_set<const Filter*> mirrored_;
};

}  // namespace

void warn(const GraphNodes& nodes, const MPS::NNGraphOptions& options) {
    const Warnings warnings(nodes, options);
    warnings.untrained();
    warnings.handles();
    warnings.dataSources();
}

}  // namespace pewter::mps
