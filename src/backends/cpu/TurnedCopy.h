#pragma once

#include "ops/Tensor.h"

namespace pewter::cpu {

/// Copies between views of one size and one type of four bytes whose elements lie side by side along
/// different axes (a rotation of weights, planes to pixels). False where they are not such: nothing is done
/// then.
bool copyTurned(const ops::Tensor& src, const ops::Tensor& dst);

}  // namespace pewter::cpu
