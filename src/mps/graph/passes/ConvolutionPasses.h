#pragma once

#include "mps/graph/Program.h"
#include "mps/graph/steps/ConvolutionStep.h"

namespace pewter::mps {

/// The convolution that step `next` can become a part of: it makes next's only source, which nothing else reads and
/// which does not leave the graph, makes no state, and has no neuron yet. kNone: there is none.
std::size_t convolutionBefore(const GraphProgram& program, std::size_t next);

/// Makes `next` part of `convolution`, which takes over its result.
void absorb(GraphProgram& program, std::size_t convolution, std::size_t next);

}  // namespace pewter::mps
