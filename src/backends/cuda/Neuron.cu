#include "backends/cuda/Cuda.h"
#include "backends/cuda/Elementwise.cuh"
#include "backends/cuda/NeuronFunction.cuh"

namespace pewter::PEWTER_CUDA_NAMESPACE {

namespace {

/// The neuron whose kernels are bounded by memory only if no element has to find out which neuron it is.
bool isReLU(const ops::Neuron& neuron) { return neuron.type == ops::NeuronType::ReLU; }

}  // namespace

void Cuda::run(const ops::NeuronForward& op, ops::Stream& stream) {
    CudaStream& s = streamOf(stream);
    if (isReLU(op.neuron))
        return elementwise(s, op.dst, {op.src}, [a = op.neuron.a] PEWTER_DEVICE_CALL(const Inputs<1>& x, int) {
            return x[0] >= 0 ? x[0] : leak(a, x[0]);
        });
    elementwise(s, op.dst, {op.src},
                [f = neuronOf(s, op.neuron, op.src.c)] PEWTER_DEVICE_CALL(const Inputs<1>& x, int channel) {
                    return neuron(f, x[0], channel);
                });
}

void Cuda::run(const ops::NeuronGradient& op, ops::Stream& stream) {
    CudaStream& s = streamOf(stream);
    if (isReLU(op.neuron))
        return elementwise(s, op.diffSrc, {op.src, op.diffDst}, [a = op.neuron.a] PEWTER_DEVICE_CALL(const Inputs<2>& x, int) {
            return x[1] * (x[0] >= 0 ? 1 : a);
        });
    elementwise(s, op.diffSrc, {op.src, op.diffDst},
                [f = neuronOf(s, op.neuron, op.src.c)] PEWTER_DEVICE_CALL(const Inputs<2>& x, int channel) {
                    return x[1] * neuronDerivative(f, x[0], channel);
                });
}

}  // namespace pewter::PEWTER_CUDA_NAMESPACE
