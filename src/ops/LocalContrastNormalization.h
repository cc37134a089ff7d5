#pragma once

#include "ops/Tensor.h"

namespace pewter::ops {

struct LocalContrastNormalizationForward {};

struct LocalContrastNormalizationGradient {};

}  // namespace pewter::ops
