#pragma once

#include "backends/cpu/ConvolutionPrimitive.h"
#include "ops/Convolution.h"

namespace pewter::cpu {

/// What an operation asks for, with its images as they come: no border is written out yet, and types are what the images
/// have without being converted.
ConvolutionTask taskOf(const ops::ConvolutionForward& op);
ConvolutionTask taskOf(const ops::ConvolutionDataGradient& op);
ConvolutionTask taskOf(const ops::ConvolutionWeightsGradient& op);

}  // namespace pewter::cpu
