#include <fmt/format.h>

#include <MPS/CNNNeuron.hpp>

#include "mps/kernels/ArchiveValues.h"

namespace MPS {

void NNNeuronDescriptor::encodeWithCoder(Coder& coder) const {
    coder.encodeUnsigned(static_cast<std::uint64_t>(type_), "neuronType");
    coder.encodeDouble(a_, "a");
    coder.encodeDouble(b_, "b");
    coder.encodeDouble(c_, "c");
    if (data_) coder.encodeFloats(*data_, "data");
}

}  // namespace MPS

namespace pewter::mps {

using namespace MPS;

namespace {

std::shared_ptr<NNNeuronDescriptor> makeDescriptor(Coder& coder) {
    auto d = std::make_shared<NNNeuronDescriptor>();
    d->setNeuronType(coder.decodeEnum("neuronType", CNNNeuronType::GeLU));
    d->setA(coder.decodeFloat("a"));
    d->setB(coder.decodeFloat("b"));
    d->setC(coder.decodeFloat("c"));
    if (coder.containsValue("data")) d->setData(coder.decodeFloats("data"));
    return d;
}

template <class K>
void encodeOwn(const K& kernel, Coder& coder) {
    encodeNeuron(coder, kernel.neuronDescriptor(), "neuronDescriptor");
}

/// A class of one fixed type, made by `make` from the parameters.
template <class K, class Make>
void addFixed(ArchivedClasses& classes, const char* name, CNNNeuronType type, Make make) {
    classes.addKernel<K>(name, encodeOwn<K>, [type, make](Coder& coder, const Device& device) {
        const auto d = decodeNeuron(coder, "neuronDescriptor");
        if (d.neuronType() != type)
            coder.refuse("neuronDescriptor", fmt::format("type {}, the class's", static_cast<int>(type)),
                         fmt::format("{}", static_cast<int>(d.neuronType())));
        return make(device, d);
    });
}

}  // namespace

void archiveNeuron(ArchivedClasses& classes) {
    classes.add("NNNeuronDescriptor", typeid(NNNeuronDescriptor), makeDescriptor);
    classes.addKernel<CNNNeuron>("CNNNeuron", encodeOwn<CNNNeuron>, [](Coder& coder, const Device& device) {
        return std::make_shared<CNNNeuron>(device, decodeNeuron(coder, "neuronDescriptor"));
    });
    classes.addKernel<CNNNeuronGradient>(
        "CNNNeuronGradient", encodeOwn<CNNNeuronGradient>, [](Coder& coder, const Device& device) {
            return std::make_shared<CNNNeuronGradient>(device, decodeNeuron(coder, "neuronDescriptor"));
        });

    using D = NNNeuronDescriptor;
    using T = CNNNeuronType;
    addFixed<CNNNeuronLinear>(classes, "CNNNeuronLinear", T::Linear, [](const Device& device, const D& d) {
        return std::make_shared<CNNNeuronLinear>(device, d.a(), d.b());
    });
    addFixed<CNNNeuronReLU>(classes, "CNNNeuronReLU", T::ReLU, [](const Device& device, const D& d) {
        return std::make_shared<CNNNeuronReLU>(device, d.a());
    });
    addFixed<CNNNeuronPReLU>(classes, "CNNNeuronPReLU", T::PReLU, [](const Device& device, const D& d) {
        return std::make_shared<CNNNeuronPReLU>(device, d.data() ? d.data()->data() : nullptr,
                                                d.data() ? d.data()->size() : 0);
    });
    addFixed<CNNNeuronSigmoid>(classes, "CNNNeuronSigmoid", T::Sigmoid, [](const Device& device, const D&) {
        return std::make_shared<CNNNeuronSigmoid>(device);
    });
    addFixed<CNNNeuronHardSigmoid>(classes, "CNNNeuronHardSigmoid", T::HardSigmoid,
                                   [](const Device& device, const D& d) {
                                       return std::make_shared<CNNNeuronHardSigmoid>(device, d.a(), d.b());
                                   });
    addFixed<CNNNeuronTanH>(classes, "CNNNeuronTanH", T::TanH, [](const Device& device, const D& d) {
        return std::make_shared<CNNNeuronTanH>(device, d.a(), d.b());
    });
    addFixed<CNNNeuronAbsolute>(
        classes, "CNNNeuronAbsolute", T::Absolute,
        [](const Device& device, const D&) { return std::make_shared<CNNNeuronAbsolute>(device); });
    addFixed<CNNNeuronSoftPlus>(classes, "CNNNeuronSoftPlus", T::SoftPlus,
                                [](const Device& device, const D& d) {
                                    return std::make_shared<CNNNeuronSoftPlus>(device, d.a(), d.b());
                                });
    addFixed<CNNNeuronSoftSign>(
        classes, "CNNNeuronSoftSign", T::SoftSign,
        [](const Device& device, const D&) { return std::make_shared<CNNNeuronSoftSign>(device); });
    addFixed<CNNNeuronELU>(classes, "CNNNeuronELU", T::ELU, [](const Device& device, const D& d) {
        return std::make_shared<CNNNeuronELU>(device, d.a());
    });
    addFixed<CNNNeuronReLUN>(classes, "CNNNeuronReLUN", T::ReLUN, [](const Device& device, const D& d) {
        return std::make_shared<CNNNeuronReLUN>(device, d.a(), d.b());
    });
    addFixed<CNNNeuronPower>(classes, "CNNNeuronPower", T::Power, [](const Device& device, const D& d) {
        return std::make_shared<CNNNeuronPower>(device, d.a(), d.b(), d.c());
    });
    addFixed<CNNNeuronExponential>(
        classes, "CNNNeuronExponential", T::Exponential, [](const Device& device, const D& d) {
            return std::make_shared<CNNNeuronExponential>(device, d.a(), d.b(), d.c());
        });
    addFixed<CNNNeuronLogarithm>(classes, "CNNNeuronLogarithm", T::Logarithm,
                                 [](const Device& device, const D& d) {
                                     return std::make_shared<CNNNeuronLogarithm>(device, d.a(), d.b(), d.c());
                                 });
}

}  // namespace pewter::mps
