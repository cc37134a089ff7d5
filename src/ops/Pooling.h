#pragma once

#include "ops/Convolution.h"
#include "ops/Tensor.h"

namespace pewter::ops {

enum class PoolingType : std::uint8_t { Max, Average };

/// Max: reads outside follow window.edge (Zero: a 0 takes part; Clamp: the edge pixel); NaN propagates. An outside tap
/// counts as a tap of its window like any other.
/// Average: edge Zero divides by width*height always; edge Clamp cuts the window to the source enlarged by zeroPadX/Y
/// on every side and divides by that area; a window wholly outside the source gives 0. Dilation is 1 for Average.
struct PoolingForward {
    PoolingType type = PoolingType::Max;
    Tensor src, dst;
    Window window;
    std::int64_t zeroPadX = 0, zeroPadY = 0;
};

/// diffSrc = adjoint of the pooling at src applied to diffDst; overwrites all of diffSrc, 0 where no window reached.
/// Max: taps are scanned row by row and the first strictly greater one wins; an outside tap that wins credits nothing
/// under Zero and the edge pixel it read under Clamp. Only the extents of src matter to Average.
struct PoolingGradient {
    PoolingType type = PoolingType::Max;
    Tensor src, diffDst, diffSrc;
    Window window;
    std::int64_t zeroPadX = 0, zeroPadY = 0;
};

}  // namespace pewter::ops
