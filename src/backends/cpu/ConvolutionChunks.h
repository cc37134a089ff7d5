#pragma once

#include "backends/cpu/ConvolutionPrimitive.h"

// Winograd's kernels read and write images in blocks of channels. Some images at a time, both stay in the cache on their way
// there and back, and memory sees what it would without the detour: the images as they lie.

namespace pewter::cpu {

/// `whole`, which was prepared for `task`, or the same in chunks where those are no more work: the kernel transforms the
/// weights anew for every chunk.
Prepared inChunks(const ConvolutionTask& task, Prepared whole);

/// Runs a task that was prepared in chunks.
void executeChunks(const Prepared& prepared, const ConvolutionOperands& operands, Scratch::Frame& frame);

}  // namespace pewter::cpu
