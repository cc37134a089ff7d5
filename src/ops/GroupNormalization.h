#pragma once

#include "ops/Tensor.h"

namespace pewter::ops {

struct GroupNormalizationForward {};

struct GroupNormalizationGradient {};

}  // namespace pewter::ops
