#pragma once

#include <functional>

#include "mps/core/Encoder.h"
#include "mps/core/TensorRef.h"

namespace pewter::mps {

// A transposed convolution is the data gradient of a convolution whose weights are its own with inputs and
// outputs exchanged and the window rotated by 180 degrees. In memory:
//   own     [O][kH][kW][I/G]   as the data source has them
//   turned  [I][kH][kW][O/G]   as the operations of the seam want them

/// Extents of the turned weights, dense, without memory.
ops::Tensor turnedShape(const ops::Tensor& own, std::int64_t groups);

/// visit(own, turned): the same elements in the same order, seen in either memory, part by part.
void forEachTurnedPart(const ops::Tensor& own, const ops::Tensor& turned, std::int64_t groups,
                       const std::function<void(const ops::Tensor& own, const ops::Tensor& turned)>& visit);

/// Appends turned = own, turned.
void encodeTurn(Encoder& encoder, const TensorRef& own, const TensorRef& turned, std::int64_t groups);
/// Appends own = turned back, or own += turned back.
void encodeTurnBack(Encoder& encoder, const TensorRef& turned, const TensorRef& own, std::int64_t groups,
                    bool accumulate);

}  // namespace pewter::mps
