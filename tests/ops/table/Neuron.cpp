// Activation functions, element by element.

#include <MPS/CNNNeuron.hpp>
#include <MPS/CNNSoftMax.hpp>
#include <Pewter/check/KernelCases.hpp>
#include <cmath>
#include <string>

#include "table/Table.h"

namespace pewter::optable {

namespace {

using namespace check;
using MPS::CNNNeuronType;
using MPS::NNNeuronDescriptor;

/// Operands reach 2 in size. Bounds over them: of the function, and of its derivative.
struct Function {
    const char* name;
    NNNeuronDescriptor neuron;
    double value, slope;
    Domain domain = Domain::Distinct;
    bool integers = false;
};

NNNeuronDescriptor of(CNNNeuronType type, float a = 0, float b = 0, float c = 0) {
    return NNNeuronDescriptor::cnnNeuronDescriptor(type, a, b, c);
}

/// Kinks lie at 0, from which Distinct keeps away, and at numbers that are no multiples of a power of two.
std::vector<Function> functions() {
    using enum CNNNeuronType;
    return {
        {"none", of(None), 2, 1, Domain::Signed, true},
        {"ReLU", of(ReLU), 2, 1, Domain::Distinct, true},
        {"leaky ReLU", of(ReLU, 0.25f), 2, 1, Domain::Distinct, true},
        {"linear", of(Linear, 3, -1), 7, 3, Domain::Signed, true},
        {"sigmoid", of(Sigmoid), 1, 0.25},
        {"hard sigmoid", of(HardSigmoid, 0.7f, 0.33f), 1, 0.7},
        {"tanh", of(TanH, 1.5f, 0.75f), 1.5, 1.125},
        {"absolute", of(Absolute), 2, 1, Domain::Distinct, true},
        {"soft plus", of(SoftPlus, 1.5f, 2), 6.1, 3},
        {"soft sign", of(SoftSign), 1, 1},
        {"ELU", of(ELU, 1.5f), 2, 1.5},
        {"PReLU", NNNeuronDescriptor::cnnNeuronPReLUDescriptor({0.5f, -2, 3, 0.25f, 1}), 6, 3,
         Domain::Distinct, true},
        {"ReLU6", of(ReLUN, 0, 6), 2, 1, Domain::Distinct, true},
        {"ReLUN", of(ReLUN, 0.5f, 1.3f), 2, 1},
        {"power", of(Power, 1, 3, 2.5f), 56, 28},
        {"square", of(Power, 2, 1, 2), 25, 20, Domain::Signed, true},
        {"exponential", of(Exponential, 0.5f, 0.25f, -1), 3.5, 1.8},
        {"exponential of base 2", of(Exponential, 1.5f, 0.25f, 2), 9.6, 10},
        {"logarithm", of(Logarithm, 1, 2.5f, -1), 1.6, 2},
        {"logarithm of base 10", of(Logarithm, 2, 4.5f, 10), 1, 1.8},
        {"GeLU", of(GeLU), 2, 1.13},
    };
}

/// An elementary function is right within 5 units in the last place of its value, and its argument a x + b,
/// of size 11 at most, within one of its own, which the slope passes on.
OpCase neuron(const Function& f, const Shape& shape) {
    UnaryPair pair;
    pair.source = {"source", shape, f.domain};
    pair.forward = [f](const auto& device) { return std::make_shared<MPS::CNNNeuron>(device, f.neuron); };
    pair.backward = [f](const auto& device) {
        return std::make_shared<MPS::CNNNeuronGradient>(device, f.neuron);
    };
    auto op = caseOf(std::string(f.name) + " of " + std::to_string(shape.n) + "x" + std::to_string(shape.h) +
                         "x" + std::to_string(shape.w) + "x" + std::to_string(shape.c),
                     pair);
    op.exactOnIntegers = f.integers;
    op.sumLength = op.gradientLength = 24;
    op.magnitude = f.value + f.slope;
    op.gradientMagnitude = f.slope + f.value;
    return op;
}

/// A class of the deprecated ones, which fix the type.
template <class Kernel, class... Parameters>
OpCase fixed(const std::string& name, const NNNeuronDescriptor& same, Domain domain, double bound,
             Parameters... parameters) {
    UnaryPair pair;
    pair.source = {"source", {1, 2, 3, 4}, domain};
    pair.forward = [parameters...](const auto& device) {
        return std::make_shared<Kernel>(device, parameters...);
    };
    pair.backward = [same](const auto& device) {
        return std::make_shared<MPS::CNNNeuronGradient>(device, same);
    };
    auto op = caseOf(name, pair);
    op.sumLength = op.gradientLength = 24;
    op.magnitude = op.gradientMagnitude = bound;
    return op;
}

std::vector<OpCase> deprecated() {
    using namespace MPS;
    using enum CNNNeuronType;
    constexpr auto kAny = Domain::Distinct;
    return {fixed<CNNNeuronLinear>("class of linear", of(Linear, 2, 1), kAny, 7, 2.0f, 1.0f),
            fixed<CNNNeuronReLU>("class of ReLU", of(ReLU, 0.5f), kAny, 3, 0.5f),
            fixed<CNNNeuronSigmoid>("class of sigmoid", of(Sigmoid), kAny, 2),
            fixed<CNNNeuronHardSigmoid>("class of hard sigmoid", of(HardSigmoid, 0.7f, 0.33f), kAny, 2, 0.7f,
                                        0.33f),
            fixed<CNNNeuronTanH>("class of tanh", of(TanH, 1.5f, 0.75f), kAny, 3, 1.5f, 0.75f),
            fixed<CNNNeuronAbsolute>("class of absolute", of(Absolute), kAny, 3),
            fixed<CNNNeuronSoftPlus>("class of soft plus", of(SoftPlus, 1.5f, 2), kAny, 10, 1.5f, 2.0f),
            fixed<CNNNeuronSoftSign>("class of soft sign", of(SoftSign), kAny, 2),
            fixed<CNNNeuronELU>("class of ELU", of(ELU, 1.5f), kAny, 4, 1.5f),
            fixed<CNNNeuronReLUN>("class of ReLUN", of(ReLUN, 0.5f, 1.3f), kAny, 3, 0.5f, 1.3f),
            fixed<CNNNeuronPower>("class of power", of(Power, 1, 3, 2.5f), kAny, 90, 1.0f, 3.0f, 2.5f),
            fixed<CNNNeuronExponential>("class of exponential", of(Exponential, 0.5f, 0.25f, -1), kAny, 6,
                                        0.5f, 0.25f, -1.0f),
            fixed<CNNNeuronLogarithm>("class of logarithm", of(Logarithm, 1, 2.5f, -1), kAny, 4, 1.0f, 2.5f,
                                      -1.0f)};
}

OpCase preluClass() {
    static const float slopes[] = {0.5f, -2, 3, 0.25f};
    auto op = fixed<MPS::CNNNeuronPReLU>(
        "class of PReLU", NNNeuronDescriptor::cnnNeuronPReLUDescriptor({0.5f, -2, 3, 0.25f}),
        Domain::Distinct, 9, static_cast<const float*>(slopes), std::size_t{4});
    return op;
}

std::vector<ErrorCase> errors() {
    const auto image = [](const auto& device, const Shape& shape) {
        return imagesOf({device}, {shape, std::vector<double>(shape.count(), 1)})[0];
    };
    return {{"null device", [](const auto&) { MPS::CNNNeuron(nullptr, of(CNNNeuronType::ReLU)); },
             "device: expected"},
            {"no function", [](const auto& device) { MPS::CNNNeuron(device, of(CNNNeuronType::Count)); },
             "type: expected a function"},
            {"no slopes", [](const auto& device) { MPS::CNNNeuronPReLU(device, nullptr, 2); },
             "CNNNeuronPReLU: a: expected"},
            {"fewer slopes than channels",
             [=](const auto& device) {
                 MPS::CNNNeuron(device, NNNeuronDescriptor::cnnNeuronPReLUDescriptor({1, 2, 3}))
                     .encode(device->newCommandQueue()->commandBuffer(), image(device, {1, 2, 2, 4}));
             },
             "neuronDescriptor"},
            {"a state of another family",
             [=](const auto& device) {
                 const auto x = image(device, {1, 2, 2, 4});
                 MPS::CNNSoftMax other(device);
                 MPS::CNNNeuronGradient(device, of(CNNNeuronType::ReLU))
                     .encode(device->newCommandQueue()->commandBuffer(), x, x, other.resultState(x, {}, x));
             },
             "gradientState: expected a state made by CNNNeuron"}};
}

}  // namespace

OpRow Neuron() {
    OpRow row;
    row.family = "neuron";
    row.classes = {
        "MPSCNNNeuron",         "MPSCNNNeuronGradient", "MPSNNNeuronDescriptor", "MPSCNNNeuronLinear",
        "MPSCNNNeuronReLU",     "MPSCNNNeuronPReLU",    "MPSCNNNeuronSigmoid",   "MPSCNNNeuronHardSigmoid",
        "MPSCNNNeuronTanH",     "MPSCNNNeuronAbsolute", "MPSCNNNeuronSoftPlus",  "MPSCNNNeuronSoftSign",
        "MPSCNNNeuronELU",      "MPSCNNNeuronReLUN",    "MPSCNNNeuronPower",     "MPSCNNNeuronExponential",
        "MPSCNNNeuronLogarithm"};
    row.pytorch = "F.leaky_relu, torch.sigmoid, torch.tanh, F.softplus, F.elu, F.prelu, F.gelu ...";
    for (const auto& f : functions()) row.cases.push_back(neuron(f, {2, 3, 4, 5}));
    for (auto& op : deprecated()) row.cases.push_back(std::move(op));
    row.cases.push_back(preluClass());
    const auto all = functions();
    row.large = {neuron(all[1], {16, 112, 112, 32}), neuron(all[4], {16, 112, 112, 32}),
                 neuron(all.back(), {16, 112, 112, 32})};
    row.errors = errors();
    return row;
}

}  // namespace pewter::optable
