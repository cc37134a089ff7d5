#pragma once

#include <MPS/CNNDropout.hpp>

namespace pewter::mps {

/// For graphs, which plan encodes that never run: those must not change the masks of the ones that do.
struct DropoutAccess {
    static std::uint64_t encodes(const MPS::CNNDropout& kernel) { return kernel.encodes_; }
    static void setEncodes(MPS::CNNDropout& kernel, std::uint64_t encodes) { kernel.encodes_ = encodes; }
};

}  // namespace pewter::mps
