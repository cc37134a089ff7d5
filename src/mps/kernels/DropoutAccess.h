#pragma once

#include <MPS/CNNDropout.hpp>

namespace pewter::mps {

/// For graphs, which plan encodes that never run: those must not change the masks of the ones that do.
struct DropoutAccess {
    static std::uint64_t encodes(const MPS::CNNDropout& kernel) { return kernel.encodes_; }
    static void setEncodes(MPS::CNNDropout& kernel, std::uint64_t encodes) { kernel.encodes_ = encodes; }
    /// While set, encodes take their number in the sequence of masks from there, when they run: for commands that are
    /// recorded once and run often. Null: the number they have when they are encoded.
    static void setSequenceOfRun(MPS::CNNDropout& kernel, std::shared_ptr<const std::uint64_t> sequence) {
        kernel.sequenceOfRun_ = std::move(sequence);
    }
};

}  // namespace pewter::mps
