#pragma once

#include "mps/graph/Program.h"

namespace MPS {
struct NNGraphOptions;
}

namespace pewter::mps {

/// Rewrites of a compiled program. Each leaves every result, export and update as it was (up to rounding where its
/// comment says so) and can be switched off. They change steps and slots; GraphProgram::finish() counts afterwards.
void runPasses(GraphProgram& program, const MPS::NNGraphOptions& options);

}  // namespace pewter::mps
