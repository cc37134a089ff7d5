#pragma once

#include <cstddef>
#include <unordered_set>
#include <vector>

#include "mps/graph/Program.h"

namespace pewter::mps {

/// The updates of one recording that wait for one another, so that a device with dear starts does them together: those whose
/// gradients take little memory, since it is theirs until then. A step of the same data source ends the wait.
class JoinedUpdates {
public:
    struct Waiting {
        std::size_t step;
        StepArguments arguments;  ///< of update(): no images
    };
    /// Bytes of one update's gradients, and of all that wait.
    static constexpr std::size_t kMostBytes = std::size_t{1} << 20, kMostWaiting = std::size_t{16} << 20;

    /// None ever waits.
    JoinedUpdates() = default;
    explicit JoinedUpdates(const GraphProgram& program);

    /// Whether all that wait come before step `index`: it is the data source's own, or nothing comes after it.
    bool endBefore(std::size_t index) const;
    /// Whether the update of step `index` may wait at all.
    bool mayWait(std::size_t index, const StepArguments& arguments) const;
    /// Whether those that wait must go first, for want of room.
    bool isFullFor(const StepArguments& arguments) const;
    void add(std::size_t index, const StepArguments& arguments);
    /// All of them, in order; none waits any more.
    std::vector<Waiting> take();

private:
    std::vector<const void*> groups_;  ///< by step: what it shares with the steps of its data source
    std::vector<Waiting> waiting_;
    std::unordered_set<const void*> waitingGroups_;
    std::size_t bytes_ = 0;
};

}  // namespace pewter::mps
