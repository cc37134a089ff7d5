#pragma once

#include "backends/cpu/ConvolutionPrimitive.h"

// Winograd's kernels keep all weights transformed, four times as many bytes as they have, and a weights gradient once a thread
// and once for the sum. Some channels at a time, a layer of a thousand channels needs no more than one of some hundred.

namespace pewter::cpu {

/// `whole`, which was prepared for `task`, or the same in slices where the transformed weights are large. Sums are made of
/// slices of what they run over, the inputs of a convolution and the outputs of its data gradient: each slice transforms the
/// result once more, which costs less than transforming what is read. A weights gradient has slices of outputs.
Prepared inSlices(const ConvolutionTask& task, Prepared whole);

/// Whether such a task is one for slices, were it computed by Winograd's kernels.
bool isForSlices(const ConvolutionTask& task);

/// Runs a task that was prepared in slices.
void executeSlices(const Prepared& prepared, const ConvolutionOperands& operands, Scratch::Frame& frame);

}  // namespace pewter::cpu
