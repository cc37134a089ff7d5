#include "mps/graph/passes/Passes.h"

#include <MPS/NNGraph.hpp>

namespace pewter::mps {

void runPasses(GraphProgram&, const MPS::NNGraphOptions&) {}

}  // namespace pewter::mps
