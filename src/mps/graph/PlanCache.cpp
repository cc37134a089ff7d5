#include "mps/graph/PlanCache.h"

#include <algorithm>

namespace pewter::mps {

std::shared_ptr<Recording> PlanCache::find(const std::vector<std::uint64_t>& key) {
    const auto found = std::find_if(plans_.begin(), plans_.end(), [&](const Plan& plan) { return plan.key == key; });
    if (found == plans_.end()) return nullptr;
    std::rotate(plans_.begin(), found, found + 1);
    return plans_.front().recording;
}

void PlanCache::add(std::vector<std::uint64_t> key, std::shared_ptr<Recording> recording) {
    if (plans_.size() == kMost) plans_.pop_back();
    plans_.insert(plans_.begin(), {std::move(key), std::move(recording)});
}

}  // namespace pewter::mps
