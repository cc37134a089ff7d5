#pragma once

#include <MPS/NNGraph.hpp>
#include <string>
#include <vector>

#include "mps/graph/Program.h"

namespace pewter::mps {

/// The part of a report that the program alone gives: steps, slots, who writes and reads what.
MPS::NNGraphReport outlineReport(GraphProgram& program);
/// Extents and bytes of the inputs.
void noteSources(MPS::NNGraphReport& report, const GraphProgram& program,
                 const std::vector<MPS::ImageBatch>& images, const std::vector<MPS::StateBatch>& states);
/// Bytes of the pictures, whoever owns the memory: views of a batch own none.
std::size_t packedBytes(const MPS::Image& image);
/// One line a step.
std::string describeProgram(const GraphProgram& program, const std::string& name);

}  // namespace pewter::mps
