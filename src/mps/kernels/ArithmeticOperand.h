#pragma once

#include <MPS/CNNBinaryKernel.hpp>

#include "mps/core/Encoder.h"

namespace pewter::mps {

/// One operand as seen by the pixels and channels of a result: a stride of 0 reads one position again and
/// again.
inline TensorRef arithmeticOperand(Encoder& encoder, const TensorRef& source,
                                   const MPS::CNNBinaryKernel::SourceGeometry& g,
                                   std::size_t strideInFeatureChannels, std::int64_t width,
                                   std::int64_t height, std::int64_t channels) {
    auto operand = encoder.region(source, g.offset.x, g.offset.y, g.strideInPixelsX ? width : 1,
                                  g.strideInPixelsY ? height : 1, edgeOf(g.edgeMode));
    auto& shape = operand.shape;
    shape.w = width;
    shape.h = height;
    shape.c = channels;
    if (g.strideInPixelsX == 0) shape.strideW = 0;
    if (g.strideInPixelsY == 0) shape.strideH = 0;
    if (strideInFeatureChannels == 0) shape.strideC = 0;
    return operand;
}

}  // namespace pewter::mps
