#pragma once

#include "ops/Tensor.h"

namespace pewter::ops {

/// dst(n, y, x, c) = src(n, y + offsetY, x + offsetX, c), converted to dst's type; positions outside src follow edge.
/// n and c of src and dst are equal. Unorm types saturate and round to nearest.
struct Copy {
    Tensor src, dst;
    std::int64_t offsetX = 0, offsetY = 0;
    Edge edge = Edge::Zero;
};

/// The adjoint of Copy: every element of src is added to the element of dst it was read from, the rest of dst is 0.
/// Extents as in Copy with the roles exchanged: dst is the larger image that Copy read.
struct CopyGradient {
    Tensor src, dst;
    std::int64_t offsetX = 0, offsetY = 0;
    Edge edge = Edge::Zero;
};

/// Every element of dst = value.
struct Fill {
    Tensor dst;
    float value = 0;
};

/// Plain copy of runs of equal size and any types (weights and their float32 copies).
struct ArrayCopy {
    Array src, dst;
};

}  // namespace pewter::ops
