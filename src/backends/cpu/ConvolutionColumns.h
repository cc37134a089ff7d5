#pragma once

#include "backends/cpu/ConvolutionPrimitive.h"

// A convolution to few channels leaves most of a register empty: kernels compute sixteen outputs at a time. So every
// column of the window becomes a set of outputs of its own,
//   T[y, u, (q, o)] = sum over r, c of W[o, r, q, c] * src[y s + r d - pad, u, c],
// a convolution with windows one pixel wide, and the columns are added up where they belong:
//   dst[y, x, o] = sum over q of T[y, x + q - pad, (q, o)].
// The weights gradient is the same way back: dst's gradient spread over the columns, then the gradient of the narrow
// convolution.

namespace pewter::cpu {

/// Whether a convolution has few enough outputs, and a window that columns can be taken of.
bool hasColumns(const ConvolutionTask& task);

/// The task of the narrow convolution; of a task that has columns.
ConvolutionTask columnTask(const ConvolutionTask& task);

/// Runs `narrow`, which was prepared for columnTask(task), as `task`. Neuron and sums of the bias are left to the caller.
void executeColumns(const Prepared& narrow, const ConvolutionTask& task, const ConvolutionOperands& operands,
                    Scratch::Frame& frame);

}  // namespace pewter::cpu
