#pragma once

#include "ops/Tensor.h"

namespace pewter::ops {

struct GramMatrixForward {};

struct GramMatrixGradient {};

}  // namespace pewter::ops
