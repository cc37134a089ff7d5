#pragma once

#include "ops/Tensor.h"

namespace pewter::ops {

/// dst(n,y,x,c) is src bilinear at X = offsetX + grid(n,y,x,0), Y = offsetY + grid(n,y,x,1), plus x and y
/// when `relative`. Pixel centres are the integers; each of the four taps that lies outside follows edge. A
/// position that is not a number gives NaN. grid has the extents of dst and 2 channels.
struct GridSample {
    Tensor src, grid, dst;
    double offsetX = 0, offsetY = 0;
    bool relative = false;
    Edge edge = Edge::Zero;
};

}  // namespace pewter::ops
