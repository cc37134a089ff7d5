#pragma once

#include "ops/Tensor.h"

namespace pewter::ops {

struct Reduction {};

}  // namespace pewter::ops
