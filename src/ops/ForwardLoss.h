#pragma once

#include "ops/Tensor.h"

namespace pewter::ops {

struct ForwardLoss {};

struct LossGradient {};

}  // namespace pewter::ops
