#pragma once

#include "ops/Tensor.h"

namespace pewter::ops {

struct SpatialNormalizationForward {};

struct SpatialNormalizationGradient {};

}  // namespace pewter::ops
