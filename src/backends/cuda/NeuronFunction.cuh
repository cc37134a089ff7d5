#pragma once

#include "backends/cuda/Element.cuh"
#include "backends/cuda/Stream.h"
#include "ops/Neuron.h"

namespace pewter::PEWTER_CUDA_NAMESPACE {

/// The operation's neuron for kernels: its slopes, one a channel, lie in host memory.
inline ops::Neuron neuronOf(CudaStream& stream, ops::Neuron neuron, std::int64_t channels) {
    if (neuron.slopes)
        neuron.slopes = static_cast<const float*>(
            stream.constants(neuron.slopes, static_cast<std::size_t>(channels) * sizeof(float)));
    return neuron;
}

PEWTER_DEVICE float sigmoid(float x) {
    const float e = expf(-fabsf(x));  // of a positive number it would overflow
    return x >= 0 ? 1 / (1 + e) : e / (1 + e);
}

/// a x; 0 for a = 0 even at minus infinity.
PEWTER_DEVICE float leak(float a, float x) { return a == 0 && x == x ? 0 : a * x; }

/// NaN stays NaN.
PEWTER_DEVICE float clampTo(float x, float low, float high) { return x < low ? low : x > high ? high : x; }

PEWTER_DEVICE float power(float c, float x) { return c == -1 ? expf(x) : powf(c, x); }
PEWTER_DEVICE float logarithmOfBase(float c) { return c == -1 ? 1 : logf(c); }

PEWTER_DEVICE float neuron(const ops::Neuron& f, float x, int channel) {
    using enum ops::NeuronType;
    switch (f.type) {
        case None: return x;
        case ReLU: return x >= 0 ? x : leak(f.a, x);
        case Linear: return f.a * x + f.b;
        case Sigmoid: return sigmoid(x);
        case HardSigmoid: return clampTo(f.a * x + f.b, 0, 1);
        case TanH: return f.a * tanhf(f.b * x);
        case Absolute: return fabsf(x);
        case SoftPlus: return f.a * (fmaxf(f.b * x, 0) + log1pf(expf(-fabsf(f.b * x))));
        case SoftSign: return x / (1 + fabsf(x));
        case ELU: return x >= 0 ? x : f.a * expm1f(x);
        case PReLU: return x >= 0 ? x : leak(f.slopes[channel], x);
        case ReLUN: {
            const float y = x >= 0 ? x : leak(f.a, x);
            return y > f.b ? f.b : y;
        }
        case Power: return powf(f.a * x + f.b, f.c);
        case Exponential: return power(f.c, f.a * x + f.b);
        case Logarithm: return logf(f.a * x + f.b) / logarithmOfBase(f.c);
        case GeLU: return 0.5f * x * (1 + erff(x * 0.70710678f));
    }
    return x;
}

PEWTER_DEVICE float neuronDerivative(const ops::Neuron& f, float x, int channel) {
    using enum ops::NeuronType;
    const float line = f.a * x + f.b;
    switch (f.type) {
        case None: return 1;
        case ReLU: return x >= 0 ? 1 : f.a;
        case Linear: return f.a;
        case Sigmoid: return sigmoid(x) * sigmoid(-x);
        case HardSigmoid: return line >= 0 && line <= 1 ? f.a : 0;
        case TanH: {
            const float t = tanhf(f.b * x);
            return f.a * f.b * (1 - t * t);
        }
        case Absolute: return x > 0 ? 1 : x < 0 ? -1 : 0;
        case SoftPlus: return f.a * f.b * sigmoid(f.b * x);
        case SoftSign: return 1 / ((1 + fabsf(x)) * (1 + fabsf(x)));
        case ELU: return x >= 0 ? 1 : f.a * expf(x);
        case PReLU: return x >= 0 ? 1 : f.slopes[channel];
        case ReLUN: return (x >= 0 ? x : leak(f.a, x)) >= f.b ? 0 : x >= 0 ? 1 : f.a;
        case Power: return f.a * f.c * powf(line, f.c - 1);
        case Exponential: return f.a * logarithmOfBase(f.c) * power(f.c, line);
        case Logarithm: return f.a / (logarithmOfBase(f.c) * line);
        case GeLU: return 0.5f * (1 + erff(x * 0.70710678f)) + x * expf(-0.5f * x * x) * 0.39894228f;
    }
    return 1;
}

}  // namespace pewter::PEWTER_CUDA_NAMESPACE
