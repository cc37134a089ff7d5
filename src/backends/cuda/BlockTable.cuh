#pragma once

#include <cstdint>

#include "backends/cuda/Platform.cuh"

namespace pewter::PEWTER_CUDA_NAMESPACE {

/// Runs of elements that one launch works on, some blocks each: which block is whose. Part of a kernel's parameters.
template <int most>
struct BlockTable {
    /// The first block of every run; the blocks of the last one end the grid.
    std::uint32_t first[most];
    std::uint32_t blocks;
    int runs;

    /// Adds a run, `each` of whose elements are a block's; its number.
    int add(std::int64_t elements, std::int64_t each) {
        first[runs] = blocks;
        blocks += static_cast<std::uint32_t>((elements + each - 1) / each);
        return runs++;
    }
    PEWTER_DEVICE int runOf(std::uint32_t block) const {
        int k = 0;
        while (k + 1 < runs && first[k + 1] <= block) ++k;
        return k;
    }
};

}  // namespace pewter::PEWTER_CUDA_NAMESPACE
