#pragma once

#include "ops/Tensor.h"

namespace pewter::ops {

struct GridSample {};

}  // namespace pewter::ops
