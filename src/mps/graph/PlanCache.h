#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "mps/graph/Recompute.h"

namespace pewter::mps {

/// The recordings of one graph, by what an encode depends on; those used last are kept.
class PlanCache {
public:
    /// The plan for a key; null when there is none.
    const Recomputed* find(const std::vector<std::uint64_t>& key);
    const Recomputed* add(std::vector<std::uint64_t> key, Recomputed made);
    /// Nothing recorded holds any more (weights were loaded into other buffers).
    void clear() { plans_.clear(); }

private:
    static constexpr std::size_t kMost = 8;
    struct Plan {
        std::vector<std::uint64_t> key;
        Recomputed made;
    };
    std::vector<Plan> plans_;  // most recent first
};

}  // namespace pewter::mps
