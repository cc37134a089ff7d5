#include "backends/cuda/gpu/Epilogue.cuh"

#include "backends/cuda/Elementwise.cuh"
#include "backends/cuda/NeuronFunction.cuh"

namespace pewter::cuda {

void convertRun(CudaStream& stream, const void* from, ops::Type fromType, void* to, ops::Type toType, std::int64_t count,
                bool accumulate) {
    const auto source = static_cast<const char*>(from);
    const auto target = static_cast<char*>(to);
    if (accumulate)
        forEach(stream, count, PEWTER_KERNEL_LAMBDA(std::int64_t i) {
            storeAs(toType, target, i, loadAs(toType, target, i) + loadAs(fromType, source, i));
        });
    else
        forEach(stream, count, PEWTER_KERNEL_LAMBDA(std::int64_t i) {
            storeAs(toType, target, i, loadAs(fromType, source, i));
        });
}

void biasAndNeuron(CudaStream& stream, const ops::Tensor& from, const ops::Tensor& to, const ops::Array& bias,
                   const ops::Neuron& given) {
    if (bias.isNull() && given.type == ops::NeuronType::None && from.data == to.data) return;
    elementwise(stream, to, {from},
                [b = runOf(bias), f = neuronOf(stream, given, to.c)] PEWTER_DEVICE_CALL(const Inputs<1>& x, int channel) {
                    return neuron(f, b.isNull() ? x[0] : x[0] + load(b, channel), channel);
                });
}

}  // namespace pewter::cuda
