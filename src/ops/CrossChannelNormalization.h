#pragma once

#include "ops/Tensor.h"

namespace pewter::ops {

struct CrossChannelNormalizationForward {};

struct CrossChannelNormalizationGradient {};

}  // namespace pewter::ops
