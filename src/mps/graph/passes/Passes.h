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

/// In training: the gradient of a neuron becomes part of the gradient kernel before the layer that it follows. With a batch
/// normalisation, the neuron itself does, too, and the image between the two is not made; with a convolution where the
/// neuron's derivative can be told from its result. The values between are no longer rounded to the images' types.
void fuseNeuronGradients(GraphProgram& program);

/// A batch normalisation takes in the sum of its result and another image, with the neuron behind it; in training the
/// neuron's gradient, which is the gradient of both operands, and the normalisation's statistics gradient become one step.
/// The values between are no longer rounded.
void fuseSums(GraphProgram& program);

/// A sum of two gradients is added up where the first of them lies, by the convolution gradient that makes the second,
/// whose value is no longer rounded before. After the passes that make steps take in others.
void accumulateGradients(GraphProgram& program);

}  // namespace pewter::mps
