#pragma once

#include "ops/Tensor.h"

namespace pewter::ops {

struct BinaryConvolutionForward {};

}  // namespace pewter::ops
