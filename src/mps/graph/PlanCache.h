#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "mps/graph/Recording.h"

namespace pewter::mps {

/// The recordings of one graph, by what an encode depends on; those used last are kept.
class PlanCache {
public:
    /// The recording for a key; null when there is none.
    std::shared_ptr<Recording> find(const std::vector<std::uint64_t>& key);
    void add(std::vector<std::uint64_t> key, std::shared_ptr<Recording> recording);
    /// Nothing recorded holds any more (weights were loaded into other buffers).
    void clear() { plans_.clear(); }

private:
    static constexpr std::size_t kMost = 8;
    struct Plan {
        std::vector<std::uint64_t> key;
        std::shared_ptr<Recording> recording;
    };
    std::vector<Plan> plans_;  // most recent first
};

}  // namespace pewter::mps
