#pragma once

#include "ops/Tensor.h"

namespace pewter::ops {

struct PadForward {};

struct PadGradient {};

}  // namespace pewter::ops
