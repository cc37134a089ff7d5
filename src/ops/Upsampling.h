#pragma once

#include "ops/Tensor.h"

namespace pewter::ops {

struct ResampleForward {};

struct ResampleGradient {};

}  // namespace pewter::ops
