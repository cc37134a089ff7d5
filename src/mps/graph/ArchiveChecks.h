#pragma once

#include <memory>
#include <vector>

#include "mps/graph/ArchivedStep.h"

namespace pewter::mps {

/// Throws unless steps that were read from an archive form a program over the slots: every slot has a writer
/// before its first reader, every step the sources that its type reads, and what leaves the graph is made.
/// Nothing is computed from what has not been checked here.
void checkArchivedProgram(const GraphProgram& program,
                          const std::vector<std::shared_ptr<ArchivedStep>>& steps);

}  // namespace pewter::mps
