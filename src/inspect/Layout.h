#pragma once

#include <MPS/NNGraph.hpp>
#include <array>
#include <cstddef>
#include <vector>

#include "inspect/Roles.h"

namespace pewter::inspect {

/// Where everything of a graph stands in two columns: forward on the left, downwards; backward on the right, upwards, a
/// gradient kernel beside the kernel whose state it reads wherever the order of steps allows it.
struct Layout {
    struct Box {
        enum class What { Step, Image, State } what = What::Step;  ///< a kernel, or an input
        std::size_t index = 0;                                     ///< of the step, image or state
        std::size_t column = 0, row = 0;
    };
    struct Edge {
        enum class Route {
            Next,   ///< to the neighbour in the same column
            Lane,   ///< in a lane outside the column, past other boxes
            Across  ///< through the middle
        };
        std::size_t from = 0, to = 0;  ///< boxes
        Kind kind = Kind::Image;
        std::size_t slot = 0;  ///< image or state
        Route route = Route::Next;
        std::size_t lane = 0;  ///< 0 is next to the boxes; edges of one slot share theirs
    };

    Layout(const MPS::NNGraphReport& report, const Roles& roles);

    std::vector<Box> boxes;
    std::vector<Edge> edges;
    std::size_t rows = 0;
    std::array<std::size_t, 2> lanes{};
    bool hasBackward = false;
};

}  // namespace pewter::inspect
