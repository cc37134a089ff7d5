#include "mps/graph/PlanCache.h"

#include <algorithm>

namespace pewter::mps {

const Recomputed* PlanCache::find(const std::vector<std::uint64_t>& key) {
    const auto found = std::find_if(plans_.begin(), plans_.end(), [&](const Plan& plan) { return plan.key == key; });
    if (found == plans_.end()) return nullptr;
    std::rotate(plans_.begin(), found, found + 1);
    return &plans_.front().made;
}

const Recomputed* PlanCache::add(std::vector<std::uint64_t> key, Recomputed made) {
    if (plans_.size() == kMost) plans_.pop_back();
    plans_.insert(plans_.begin(), {std::move(key), std::move(made)});
    return &plans_.front().made;
}

}  // namespace pewter::mps
