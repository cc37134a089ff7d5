#include "backends/cuda/Cuda.h"
#include "backends/cuda/Launch.cuh"
#include "backends/cuda/NeuronFunction.cuh"
#include "ops/BinaryConvolution.h"

namespace pewter::PEWTER_CUDA_NAMESPACE {

namespace {

struct Binary {
    View src, dst;
    const std::uint32_t* weights;
    Run inputBias, inputScale, outputBias, outputScale;
    ops::Window window;
    ops::BinaryConvolutionType type;
    bool betaScaling;
    ops::Neuron neuron;
};

PEWTER_DEVICE float orElse(const Run& values, std::int64_t i, float absent) {
    return values.isNull() ? absent : load(values, i);
}

/// t under a window position; 0 outside.
PEWTER_DEVICE float inputOf(const Binary& b, int n, int v, int u, int c) {
    if (v < 0 || u < 0) return 0;
    return (load(b.src, n, v, u, c) + orElse(b.inputBias, c, 0)) * orElse(b.inputScale, c, 1);
}

PEWTER_DEVICE float product(ops::BinaryConvolutionType type, float t, bool bit) {
    switch (type) {
        case ops::BinaryConvolutionType::Xnor: return (t < 0) == bit ? -1 : 1;
        case ops::BinaryConvolutionType::And: return bit && !(t < 0) ? 1 : 0;
        default: return bit ? t : -t;
    }
}

/// The result at p: a thread reads its window and its filter, which neighbours along c share and cache.
PEWTER_DEVICE float binaryConvolution(const Binary& b, const Position& p) {
    const ops::Window& window = b.window;
    const int height = static_cast<int>(window.height), width = static_cast<int>(window.width), words = (b.src.c + 31) / 32;
    float sum = 0, magnitude = 0;
    for (int r = 0; r < height; ++r)
        for (int q = 0; q < width; ++q) {
            const int v = edgeIndex(p.h * window.strideY - window.padTop + r * window.dilationY, b.src.h, window.edge);
            const int u = edgeIndex(p.w * window.strideX - window.padLeft + q * window.dilationX, b.src.w, window.edge);
            const std::uint32_t* bits = b.weights + ((std::int64_t{1} * p.c * height + r) * width + q) * words;
            float tap = 0, size = 0;  // one tap at a time: long sums of signs stay exact for longer
            for (int c = 0; c < b.src.c; ++c) {
                const float t = inputOf(b, p.n, v, u, c);
                tap += product(b.type, t, bits[c / 32] >> (c % 32) & 1);
                size += fabsf(t);
            }
            sum += tap;
            magnitude += size;
        }
    const float beta = b.betaScaling ? magnitude / (static_cast<float>(width) * static_cast<float>(height) *
                                                    static_cast<float>(b.src.c))
                                     : 1;
    return neuron(b.neuron, sum * orElse(b.outputScale, p.c, 1) * beta + orElse(b.outputBias, p.c, 0), p.c);
}

}  // namespace

void Cuda::run(const ops::BinaryConvolutionForward& op, ops::Stream& stream) {
    const Binary b{viewOf(op.src),
                   viewOf(op.dst),
                   static_cast<const std::uint32_t*>(resolve(op.weights.data)),
                   runOf(op.inputBias),
                   runOf(op.inputScale),
                   runOf(op.outputBias),
                   runOf(op.outputScale),
                   op.window,
                   op.type,
                   op.betaScaling,
                   neuronOf(streamOf(stream), op.neuron, op.dst.c)};
    forEachElement(streamOf(stream), b.dst,
                   PEWTER_KERNEL_LAMBDA(const Position& p) { store(b.dst, p, binaryConvolution(b, p)); });
}

}  // namespace pewter::PEWTER_CUDA_NAMESPACE
