#pragma once

#include "ops/Tensor.h"

namespace pewter::ops {

struct LocalCorrelation {};

}  // namespace pewter::ops
