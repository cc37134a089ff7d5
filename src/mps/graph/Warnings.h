#pragma once

#include <MPS/NNFilterNode.hpp>
#include <MPS/NNGraphOptions.hpp>
#include <unordered_map>
#include <vector>

#include "mps/graph/Step.h"

namespace pewter::mps {

/// What a graph's nodes are told of: legal, but seldom meant.
struct GraphNodes {
    const std::vector<const MPS::NNFilterNode*>& filters;  ///< those of the graph, sources before readers
    const std::vector<const MPS::NNImageNode*>& inputs;
    /// Filters by what their steps share: a data source.
    const std::unordered_map<const void*, std::vector<const MPS::NNFilterNode*>>& sharing;
    const std::unordered_map<const MPS::NNFilterNode*, Step*>& steps;  ///< what they are compiled to
};

/// One sentence each, to the handler of the options or to the library's diagnostics: trainable nodes that no gradient
/// reaches, inputs with one handle, data sources of several nodes.
void warn(const GraphNodes& nodes, const MPS::NNGraphOptions& options);

}  // namespace pewter::mps
