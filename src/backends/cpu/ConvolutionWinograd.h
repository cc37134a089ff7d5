#pragma once

#include "backends/cpu/ConvolutionPrimitive.h"

// F(4x4, 5x5) on images as they lie: 64 multiplications give 16 results instead of 400, a sixth. Groups of tiles are
// transformed, multiplied and transformed back while they stay in the cache, so that no transformed image is ever written to
// memory. The kernels, and where the numbers come from: vector/Winograd.cpp.

namespace pewter::cpu {

/// Whether a convolution is one that these kernels compute: 5 x 5 taps, steps of one pixel, one group, whole registers of
/// channels, and taps whose transformed values fit the caches.
bool hasWinograd5(const ConvolutionTask& task);

/// Runs a task that hasWinograd5(). The neuron is left to the caller.
void executeWinograd5(const ConvolutionTask& task, const ConvolutionOperands& operands, Scratch::Frame& frame);

}  // namespace pewter::cpu
