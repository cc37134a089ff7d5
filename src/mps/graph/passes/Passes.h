#pragma once

#include "mps/graph/Program.h"

namespace pewter::mps {

/// Rewrites of a compiled program. Each leaves every result, export and update as it was (up to rounding where its
/// comment says so) and can be switched off. They change steps and slots; GraphProgram::finish() counts afterwards.
void runPasses(GraphProgram& program, const MPS::NNGraphOptions& options);

/// y = (conv(x) - mean) / sqrt(variance + epsilon) gamma + beta with stored statistics becomes one convolution with
/// other weights. In graphs that update nothing. Rounds differently.
void foldBatchNormalization(GraphProgram& program);

/// A neuron becomes part of the convolution whose result only it reads. The value between them is no longer rounded to
/// the image's type.
void fuseNeurons(GraphProgram& program);

}  // namespace pewter::mps
