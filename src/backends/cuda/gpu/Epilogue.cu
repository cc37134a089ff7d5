#include "backends/cuda/gpu/Epilogue.cuh"

#include "backends/cuda/Elementwise.cuh"
#include "backends/cuda/NeuronFunction.cuh"
#include "backends/cuda/Recast.cuh"

namespace pewter::cuda {

void biasAndNeuron(CudaStream& stream, const ops::Tensor& from, const ops::Tensor& to, const ops::Array& bias,
                   const ops::Neuron& given) {
    if (bias.isNull() && given.type == ops::NeuronType::None) {
        if (from.data != to.data) recast(stream, from, to);
        return;
    }
    elementwise(stream, to, {from},
                [b = runOf(bias), f = neuronOf(stream, given, to.c)] PEWTER_DEVICE_CALL(const Inputs<1>& x, int channel) {
                    return neuron(f, b.isNull() ? x[0] : x[0] + load(b, channel), channel);
                });
}

}  // namespace pewter::cuda
