#pragma once

#include <cstddef>
#include <unordered_set>

namespace pewter::mps {

/// Which gradient steps of one data source the running encode of a graph has reached.
class GradientRound {
public:
    void add() { ++steps_; }
    std::size_t steps() const { return steps_; }

    /// Returns whether a new encode begins: the last one was complete, or it was given up and the step comes
    /// again.
    bool encoded(const void* step) {
        const bool begins = isComplete() || seen_.contains(step);
        if (begins) seen_.clear();
        seen_.insert(step);
        return begins;
    }
    bool isComplete() const { return seen_.size() == steps_; }

private:
    std::size_t steps_ = 0;
    std::unordered_set<const void*> seen_;
};

}  // namespace pewter::mps
