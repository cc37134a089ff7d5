#pragma once

#include <cstdint>

#include "backends/cpu/vector/Dispatch.h"
#include "ops/Neuron.h"

// neuronForward:  dst[i] = f(src[i]); dst may be src.
// neuronGradient: diffSrc[i] = diffDst[i] * f'(src[i]); diffSrc may be either operand.
// slopes[i] is PReLU's slope of element i (not of a channel).
#define PEWTER_NEURON_FUNCTIONS                                                                      \
    void neuronForward(const ops::Neuron& neuron, const float* slopes, const float* src, float* dst, \
                       std::int64_t count);                                                          \
    void neuronGradient(const ops::Neuron& neuron, const float* slopes, const float* src,            \
                        const float* diffDst, float* diffSrc, std::int64_t count);

PEWTER_VECTOR_FUNCTIONS(PEWTER_NEURON_FUNCTIONS)
