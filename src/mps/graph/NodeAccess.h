#pragma once

#include <MPS/NNFilterNode.hpp>
#include <memory>
#include <vector>

#include "mps/graph/Step.h"

namespace pewter::mps {

/// What the graph compiler sees of nodes beyond their public face. Nothing here makes a state node.
struct NodeAccess {
    static const MPS::NNImageNodes& sources(const MPS::NNFilterNode& node) { return node.sources_; }
    static const MPS::NNStateNodes& sourceStates(const MPS::NNFilterNode& node) { return node.sourceStates_; }
    /// The result image node itself; node.resultImage() is the pointer that keeps the filter alive.
    static const MPS::NNImageNode& result(const MPS::NNFilterNode& node) { return node.result_; }
    /// The state nodes that somebody asked for so far; at most one in the classes that stand.
    static const std::vector<std::unique_ptr<MPS::NNStateNode>>& states(const MPS::NNFilterNode& node) {
        return node.states_;
    }
    /// Whether the result already is the gradient of the first source (losses).
    static bool isOwnGradient(const MPS::NNFilterNode& node) { return node.isOwnGradient(); }
    static std::unique_ptr<Step> compile(const MPS::NNFilterNode& node, Compilation& compilation) {
        return node.compile(compilation);
    }
};

}  // namespace pewter::mps
