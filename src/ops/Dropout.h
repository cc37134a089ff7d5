#pragma once

#include "ops/Tensor.h"

namespace pewter::ops {

/// mask element = 1 when uniform(seed, sequence, image, element) < keepProbability (ops/Random.h), and
/// dst = src * mask / keepProbability. The mask is dense UInt8 with extents n, 1 or h, 1 or w, 1 or c; an extent of 1 is
/// shared along that axis. `element` counts (row, column, channel) in the mask; `image` is the index in the batch.
struct DropoutForward {
    Tensor src, dst, mask;
    float keepProbability = 1;
    std::uint64_t seed = 0, sequence = 0;
    /// Where the sequence stands when it differs between runs of a recorded command (then sequence is its value now); read
    /// by the host before each run.
    const std::uint64_t* sequenceOfRun = nullptr;
};

/// diffSrc = diffDst * mask / keepProbability. Element (v,u) takes mask element (v+offsetY, u+offsetX); outside it: 0.
struct DropoutGradient {
    Tensor diffDst, mask, diffSrc;
    float keepProbability = 1;
    std::int64_t offsetX = 0, offsetY = 0;
};

}  // namespace pewter::ops
