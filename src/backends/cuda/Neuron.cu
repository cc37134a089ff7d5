#include "backends/cuda/Cuda.h"
#include "backends/cuda/Elementwise.cuh"
#include "backends/cuda/NeuronFunction.cuh"

namespace pewter::PEWTER_CUDA_NAMESPACE {

void Cuda::run(const ops::NeuronForward& op, ops::Stream& stream) {
    elementwise(streamOf(stream), op.dst, {op.src},
                [f = neuronOf(streamOf(stream), op.neuron, op.src.c)] PEWTER_DEVICE_CALL(const Inputs<1>& x, int channel) {
                    return neuron(f, x[0], channel);
                });
}

void Cuda::run(const ops::NeuronGradient& op, ops::Stream& stream) {
    elementwise(streamOf(stream), op.diffSrc, {op.src, op.diffDst},
                [f = neuronOf(streamOf(stream), op.neuron, op.src.c)] PEWTER_DEVICE_CALL(const Inputs<2>& x, int channel) {
                    return x[1] * neuronDerivative(f, x[0], channel);
                });
}

}  // namespace pewter::PEWTER_CUDA_NAMESPACE
