#pragma once

#include "ops/Convolution.h"
#include "ops/Tensor.h"

namespace pewter::ops {

enum class PoolingType : std::uint8_t { Max, Average, L2Norm };

/// Max: reads outside follow window.edge (Zero: a 0 takes part; Clamp: the edge pixel); NaN propagates.
/// Average: edge Zero divides by width*height always; edge Clamp cuts the window to the source enlarged by
/// zeroPadX/Y on every side and divides by that area; a window wholly outside the source gives 0. Dilation is
/// 1 for Average. L2Norm: the root of the sum of the squares of all taps; reads outside as for Max.
struct PoolingForward {
    PoolingType type = PoolingType::Max;
    Tensor src, dst;
    Window window;
    std::int64_t zeroPadX = 0, zeroPadY = 0;
};

/// diffSrc = adjoint of the pooling at src applied to diffDst; overwrites all of diffSrc, 0 where no window
/// reached. Max: taps are scanned row by row and the first strictly greater one wins. Under Zero an outside
/// tap wins only if 0 is greater than every tap inside, and credits nothing; under Clamp it counts like any
/// other and credits the edge pixel that it read. Only the extents of src matter to Average. L2Norm: every
/// tap gives its pixel in / out of the window's gradient, nothing where out is 0.
struct PoolingGradient {
    PoolingType type = PoolingType::Max;
    Tensor src, diffDst, diffSrc;
    Window window;
    std::int64_t zeroPadX = 0, zeroPadY = 0;
};

}  // namespace pewter::ops
