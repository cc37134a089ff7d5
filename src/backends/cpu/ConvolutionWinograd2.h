#pragma once

#include "backends/cpu/ConvolutionPrimitive.h"

// F(2x2, 3x3) in bfloat16 on images as they lie: 16 multiplications give 4 results instead of 36. Groups of tiles are
// transformed, multiplied and transformed back while they stay in the cache. The kernels, and where the numbers come from:
// vector/Winograd2.cpp.

namespace pewter::cpu {

/// Whether a convolution is one that these kernels compute: products in bfloat16 of images in it, 3 x 3 taps, steps of one
/// pixel, one group, whole registers of channels.
bool hasWinograd2(const ConvolutionTask& task);

/// Runs a task that hasWinograd2(). Neuron and sums of the bias are left to the caller.
void executeWinograd2(const ConvolutionTask& task, const ConvolutionOperands& operands, Scratch::Frame& frame);

}  // namespace pewter::cpu
