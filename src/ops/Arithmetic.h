#pragma once

#include "ops/Tensor.h"

namespace pewter::ops {

enum class ArithmeticType : std::uint8_t { Add, Subtract, Multiply, Divide };

/// r = primaryScale*x (op) secondaryScale*y + bias; dst = min(max(r, minimum), maximum), NaN kept.
/// Operands have dst's extents; broadcasting is a stride of 0. mask (UInt8, dst's extents, may be null) receives
/// minimum < r < maximum.
struct Arithmetic {
    ArithmeticType type = ArithmeticType::Add;
    Tensor primary, secondary, dst, mask;
    float primaryScale = 1, secondaryScale = 1, bias = 0;
    float minimum = -3.402823466e+38f, maximum = 3.402823466e+38f;
};

/// e = primaryScale * diffDst [* secondaryScale * other] [* mask], then diffSrc[i] = sum of the e whose position maps to
/// i: every axis where diffSrc has extent 1 and diffDst is larger is summed. Add and Subtract take no `other`.
struct ArithmeticGradient {
    ArithmeticType type = ArithmeticType::Add;
    Tensor diffDst, other, mask, diffSrc;
    float primaryScale = 1, secondaryScale = 1;
};

}  // namespace pewter::ops
