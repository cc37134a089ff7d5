#pragma once

#include <cstddef>

#include "ops/Upsampling.h"

namespace pewter::mps {

/// `source` pixels from `offset` on spread over `outputs`: with corners aligned the first and last centres
/// meet, else the first centres meet and the step is source / outputs.
inline ops::ResampleAxis spread(std::int64_t offset, std::size_t source, double outputs, bool alignCorners) {
    const auto first = static_cast<double>(offset), n = static_cast<double>(source);
    if (!alignCorners) return {first, n, outputs};
    return outputs > 1 ? ops::ResampleAxis{first, n - 1, outputs - 1} : ops::ResampleAxis{first, 0, 1};
}

}  // namespace pewter::mps
