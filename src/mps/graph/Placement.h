#pragma once

#include <cstddef>
#include <vector>

namespace pewter::mps {

/// A piece of memory needed from tick `first` to before tick `end`.
struct Interval {
    std::size_t bytes = 0, first = 0, end = 0;
};

struct Placement {
    std::vector<std::size_t> offsets;  ///< one an interval
    std::size_t extent = 0;
};

/// Offsets at which no two intervals that live at one time overlap, in as little memory as the best of a few greedy orders
/// finds; of very many intervals, as they come.
Placement place(const std::vector<Interval>& intervals);

/// The largest sum of bytes at any tick: no placement needs less.
std::size_t lowerBound(const std::vector<Interval>& intervals);

}  // namespace pewter::mps
