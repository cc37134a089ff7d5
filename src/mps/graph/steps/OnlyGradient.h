#pragma once

#include <MPS/NNFilterNode.hpp>
#include <MTL/Error.hpp>
#include <memory>

#include "mps/graph/Step.h"

namespace pewter::mps {

/// Throws unless the node is the first of the graph to compute gradients into the state that it reads: the gradient
/// kernels of normalisations write the sums for gamma and beta there, and a second one would overwrite those of the first.
inline void requireOnlyGradient(const MPS::NNFilterNode& node, Compilation& compilation) {
    auto& taken = compilation.shared(node.sourceStates()[0].get());
    if (taken)
        throw MTL::Error(node.name(), "gradientState",
                         "a state that one gradient filter of the graph reads; add the gradients of its result image up first",
                         "one that another gradient filter reads already");
    taken = std::make_shared<int>();
}

}  // namespace pewter::mps
