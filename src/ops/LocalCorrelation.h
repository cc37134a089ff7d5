#pragma once

#include "ops/Tensor.h"

namespace pewter::ops {

/// dst[y][x][n (2 windowX + 1) + m] = sum over the channels z of primary[y][x][z] * secondary[y'][x'][z] with
/// x' = offsetX + x + (m - windowX) strideX, y' = offsetY + y + (n - windowY) strideY; reads of the secondary
/// outside follow edge. primary has the pixels of dst; secondary any number, and the channels of primary.
struct LocalCorrelation {
    Tensor primary, secondary, dst;
    std::int64_t windowX = 0, windowY = 0, strideX = 1, strideY = 1;
    std::int64_t offsetX = 0, offsetY = 0;
    Edge edge = Edge::Zero;
};

}  // namespace pewter::ops
