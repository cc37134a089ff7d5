#pragma once

#include "ops/Tensor.h"

namespace pewter::ops {

/// The values are those of MPSNNComparisonType.
enum class ComparisonType : std::uint8_t { Equal, NotEqual, Less, LessOrEqual, Greater, GreaterOrEqual };

/// dst = 1 where the comparison of x with y holds, else 0. Equal: |x - y| <= threshold; NotEqual:
/// |x - y| > threshold; the others compare x with y as they are. A difference that is NaN is neither.
/// Operands have dst's extents; broadcasting is a stride of 0. The difference is taken in double.
struct Compare {
    ComparisonType type = ComparisonType::Equal;
    Tensor primary, secondary, dst;
    float threshold = 0;
};

}  // namespace pewter::ops
