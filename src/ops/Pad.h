#pragma once

#include "ops/Tensor.h"

namespace pewter::ops {

/// How an axis goes on outside the source; the values are those of MPSImageEdgeMode.
enum class PadEdge : std::uint8_t { Zero = 0, Clamp = 1, Mirror = 2, MirrorWithEdge = 3, Constant = 4 };

/// The element of an axis of `extent` > 0 elements that a read at `position` takes, -1 where it is filled.
/// Mirror reflects about the centre of the edge element, MirrorWithEdge about its outer border; both go on
/// periodically, and an axis of one element repeats it.
constexpr std::int64_t padIndex(std::int64_t position, std::int64_t extent, PadEdge edge) {
    if (position >= 0 && position < extent) return position;
    if (edge == PadEdge::Zero || edge == PadEdge::Constant) return -1;
    if (edge == PadEdge::Clamp || extent == 1) return position < 0 ? 0 : extent - 1;
    const std::int64_t period = edge == PadEdge::Mirror ? 2 * (extent - 1) : 2 * extent;
    const std::int64_t phase = (position % period + period) % period;
    if (phase < extent) return phase;
    return edge == PadEdge::Mirror ? period - phase : period - 1 - phase;
}

/// dst(n, y, x, c) = src(n, y + offsetY, x + offsetX, c + offsetC), each axis by padIndex(). Filled elements
/// are 0, or with edge Constant fillValues[c] (float32, one a channel of dst) or, without those, fillValue.
/// n is equal; the types may differ.
struct PadForward {
    Tensor src, dst;
    std::int64_t offsetX = 0, offsetY = 0, offsetC = 0;
    PadEdge edge = PadEdge::Zero;
    float fillValue = 0;
    const float* fillValues = nullptr;
};

/// The adjoint of PadForward: every element of diffDst is added to the element of diffSrc that it was copied
/// from, filled ones to none. All of diffSrc is overwritten.
struct PadGradient {
    Tensor diffDst, diffSrc;
    std::int64_t offsetX = 0, offsetY = 0, offsetC = 0;
    PadEdge edge = PadEdge::Zero;
};

}  // namespace pewter::ops
