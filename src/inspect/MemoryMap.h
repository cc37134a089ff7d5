#pragma once

#include <MPS/NNGraph.hpp>
#include <cstddef>
#include <string>
#include <vector>

#include "inspect/Roles.h"

namespace pewter::inspect {

/// A range of memory as a rectangle: steps across, bytes up.
struct MapBlock {
    Kind kind = Kind::Image;
    std::size_t offset = 0, bytes = 0, firstStep = 0, lastStep = 0;
    std::size_t image = MPS::NNGraphReport::npos, state = MPS::NNGraphReport::npos;
    /// From the beginning of the first step to the end of the last; to its middle where the bytes go to another range in
    /// the same step, which starts there.
    double from = 0, to = 1;
};

/// Every piece of temporary memory whose place is known, in the order of the report.
std::vector<MapBlock> mapBlocks(const MPS::NNGraphReport& report, const Roles& roles);

/// A round distance between ticks, at most `most` up to `extent`.
std::size_t tickDistance(std::size_t extent, std::size_t most);
/// The same in bytes: round in the unit that humanBytes() would use.
std::size_t byteTickDistance(std::size_t extent, std::size_t most);

}  // namespace pewter::inspect
