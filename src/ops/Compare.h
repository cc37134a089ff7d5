#pragma once

#include "ops/Tensor.h"

namespace pewter::ops {

struct Compare {};

}  // namespace pewter::ops
