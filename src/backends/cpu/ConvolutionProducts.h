#pragma once

#include "backends/cpu/ConvolutionPrimitive.h"

// Gradients as products of matrices, images and weights as they lie: what windows cover is laid out as rows of a matrix, a
// few windows at a time, so that it stays in the second-level cache.

namespace pewter::cpu {

/// Whether a convolution is one that these serve: float32, one group, no dilation along x, enough channels for the copies
/// not to matter; of data gradients those whose windows lie side by side, so that nothing is added up.
bool hasProducts(const ConvolutionTask& task);

/// Runs a task that hasProducts(). Sums of the bias are left to the caller.
void executeProducts(const ConvolutionTask& task, const ConvolutionOperands& operands, Scratch::Frame& frame);

}  // namespace pewter::cpu
