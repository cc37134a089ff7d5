#pragma once

#include "mps/graph/ImageParts.h"
#include "mps/graph/Program.h"

namespace pewter::mps {

/// Whether the kernel computes x + y, and nothing else.
bool isPlainSum(const MPS::Kernel& kernel);

/// Which images of a plan lie in one memory: results where a source lies that nobody reads again, and gradients of sums,
/// which are the incoming gradient, where that lies.
class SharedMemory {
public:
    SharedMemory(const GraphProgram& program, const ImageParts& parts);

    /// Whether the result of step `index`, of the size and type of its source `position`, may lie there.
    bool mayShare(std::size_t index, std::size_t position) const;
    /// From now on it does.
    void share(std::size_t index, std::size_t position);

private:
    bool mayOverwrite(std::size_t index, std::size_t position) const;
    bool mayHandOn(std::size_t index, std::size_t position) const;
    /// Whether the image is read for the last time before the step.
    bool isReadBefore(std::size_t slot, std::size_t step) const { return last_[slot] == kNone || last_[slot] < step; }
    std::vector<std::size_t>& group(std::size_t slot) { return groups_[groupOf_[slot]]; }
    const std::vector<std::size_t>& group(std::size_t slot) const { return groups_[groupOf_[slot]]; }

    const GraphProgram& program_;
    const ImageParts& parts_;
    std::vector<std::size_t> last_, groupOf_;
    std::vector<std::vector<std::size_t>> groups_;
    /// For each slot the steps that change it after it was made.
    std::vector<std::vector<std::size_t>> changes_;
};

}  // namespace pewter::mps
