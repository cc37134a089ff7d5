#include <fmt/format.h>

#include <MPS/NNNeuronDescriptor.hpp>
#include <MTL/Error.hpp>

#include "mps/kernels/Neurons.h"

namespace MPS {

static_assert(static_cast<int>(CNNNeuronType::ReLU) == static_cast<int>(pewter::ops::NeuronType::ReLU));
static_assert(static_cast<int>(CNNNeuronType::GeLU) == static_cast<int>(pewter::ops::NeuronType::GeLU));

namespace {

bool isFunction(CNNNeuronType type) { return type >= CNNNeuronType::None && type < CNNNeuronType::Count; }

void requireFunction(CNNNeuronType type) {
    if (!isFunction(type))
        throw Error("NNNeuronDescriptor", "type", "a function of CNNNeuronType, 0 to 15",
                    fmt::format("{}", static_cast<std::int32_t>(type)));
}

struct Defaults {
    float a = 0, b = 0, c = 0;
};

Defaults defaultsOf(CNNNeuronType type) {
    switch (type) {
        case CNNNeuronType::Linear:
            return {1, 0, 0};
        case CNNNeuronType::HardSigmoid:
            return {0.2f, 0.5f, 0};
        case CNNNeuronType::TanH:
        case CNNNeuronType::SoftPlus:
            return {1, 1, 0};
        case CNNNeuronType::ELU:
            return {1, 0, 0};
        case CNNNeuronType::ReLUN:
            return {1, 6, 0};
        case CNNNeuronType::Power:
            return {1, 0, 1};
        case CNNNeuronType::Exponential:
        case CNNNeuronType::Logarithm:
            return {1, 0, -1};
        default:
            return {};
    }
}

}  // namespace

NNNeuronDescriptor NNNeuronDescriptor::cnnNeuronDescriptor(CNNNeuronType type) {
    return cnnNeuronDescriptor(type, defaultsOf(type).a);
}

NNNeuronDescriptor NNNeuronDescriptor::cnnNeuronDescriptor(CNNNeuronType type, float a) {
    return cnnNeuronDescriptor(type, a, defaultsOf(type).b);
}

NNNeuronDescriptor NNNeuronDescriptor::cnnNeuronDescriptor(CNNNeuronType type, float a, float b) {
    return cnnNeuronDescriptor(type, a, b, defaultsOf(type).c);
}

NNNeuronDescriptor NNNeuronDescriptor::cnnNeuronDescriptor(CNNNeuronType type, float a, float b, float c) {
    requireFunction(type);
    NNNeuronDescriptor descriptor;
    descriptor.type_ = type;
    descriptor.a_ = a;
    descriptor.b_ = b;
    descriptor.c_ = c;
    return descriptor;
}

NNNeuronDescriptor NNNeuronDescriptor::cnnNeuronPReLUDescriptor(std::vector<float> data) {
    if (data.empty()) throw Error("NNNeuronDescriptor", "data", "a slope for each channel", "none");
    auto descriptor = cnnNeuronDescriptor(CNNNeuronType::PReLU);
    descriptor.setData(std::move(data));
    return descriptor;
}

}  // namespace MPS

namespace pewter::mps {

ops::NeuronGradient neuronGradient(const TensorRef& source, const TensorRef& gradient, const TensorRef& target,
                                   const NeuronRef& neuron) {
    ops::NeuronGradient op;
    op.src = source.tensor();
    op.diffDst = gradient.tensor();
    op.diffSrc = target.tensor();
    op.neuron = neuron.neuron;
    return op;
}

NeuronRef neuronOf(const MPS::NNNeuronDescriptor& descriptor) {
    NeuronRef ref;
    ref.neuron.type = static_cast<ops::NeuronType>(descriptor.neuronType());
    ref.neuron.a = descriptor.a();
    ref.neuron.b = descriptor.b();
    ref.neuron.c = descriptor.c();
    if (descriptor.neuronType() == MPS::CNNNeuronType::PReLU && descriptor.data()) {
        ref.slopes = descriptor.data();
        ref.neuron.slopes = ref.slopes->data();
    }
    return ref;
}

void checkNeuron(const MPS::NNNeuronDescriptor& descriptor, std::size_t channels, const std::string& who,
                 const char* argument) {
    if (!MPS::isFunction(descriptor.neuronType()))
        throw MTL::Error(who, argument, "a function of CNNNeuronType, 0 to 15",
                         fmt::format("{}", static_cast<std::int32_t>(descriptor.neuronType())));
    if (descriptor.neuronType() != MPS::CNNNeuronType::PReLU) return;
    const std::size_t slopes = descriptor.data() ? descriptor.data()->size() : 0;
    if (slopes < channels)
        throw MTL::Error(who, argument, fmt::format("a PReLU slope for each of {} channels", channels),
                         fmt::format("{} slopes", slopes));
}

const char* nameOf(MPS::CNNNeuronType type) {
    static constexpr const char* kNames[] = {
        "None",     "ReLU", "Linear", "Sigmoid", "HardSigmoid", "TanH",        "Absolute",  "SoftPlus",
        "SoftSign", "ELU",  "PReLU",  "ReLUN",   "Power",       "Exponential", "Logarithm", "GeLU"};
    return MPS::isFunction(type) ? kNames[static_cast<std::size_t>(type)] : "unknown";
}

}  // namespace pewter::mps
