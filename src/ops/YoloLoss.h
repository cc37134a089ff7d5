#pragma once

#include "ops/Tensor.h"

namespace pewter::ops {

struct YoloLoss {};

}  // namespace pewter::ops
