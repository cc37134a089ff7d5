#include <fmt/format.h>

#include <MPS/CNNNeuron.hpp>
#include <MTL/Error.hpp>

#include "mps/kernels/GradientChecks.h"
#include "mps/kernels/Neurons.h"
#include "mps/kernels/Pointwise.h"

namespace MPS {

using namespace pewter::mps;
namespace ops = pewter::ops;

CNNNeuron::CNNNeuron(std::shared_ptr<MTL::Device> device, const NNNeuronDescriptor& neuronDescriptor)
    : CNNKernel(std::move(device)), descriptor_(neuronDescriptor) {
    checkNeuron(descriptor_, 0, name(), "neuronDescriptor");
}

std::shared_ptr<Kernel> CNNNeuron::copy(const std::shared_ptr<MTL::Device>& device) const {
    auto copy = std::shared_ptr<CNNNeuron>(new CNNNeuron(*this));
    if (device) copy->setDevice(device);
    return copy;
}

std::shared_ptr<State> CNNNeuron::newResultState(const StateOwner& owner, const std::shared_ptr<Image>&,
                                                 const StateBatch&, const std::shared_ptr<Image>&) {
    return std::make_shared<NNGradientState>(owner);
}

void CNNNeuron::validate(const UnaryEncoding& encoding) const {
    checkNeuron(descriptor_, encoding.resultChannels, name(), "neuronDescriptor");
}

void CNNNeuron::record(UnaryEncoding& encoding) {
    encoding.encoder->run([source = pointwiseSource(encoding, *this), destination = encoding.destination,
                           neuron = neuronOf(descriptor_)] {
        ops::NeuronForward op;
        op.src = source.tensor();
        op.dst = destination.tensor();
        op.neuron = neuron.neuron;
        return op;
    });
}

CNNNeuronGradient::CNNNeuronGradient(std::shared_ptr<MTL::Device> device,
                                     const NNNeuronDescriptor& neuronDescriptor)
    : CNNGradientKernel(std::move(device)), descriptor_(neuronDescriptor) {
    checkNeuron(descriptor_, 0, name(), "neuronDescriptor");
}

std::shared_ptr<Kernel> CNNNeuronGradient::copy(const std::shared_ptr<MTL::Device>& device) const {
    auto copy = std::shared_ptr<CNNNeuronGradient>(new CNNNeuronGradient(*this));
    if (device) copy->setDevice(device);
    return copy;
}

void CNNNeuronGradient::configure(const ForwardRecord& forward) {
    CNNGradientKernel::configure(forward);
    configurePrimary(*this, forward);
}

bool CNNNeuronGradient::accepts(const State& state) const {
    return dynamic_cast<const NNGradientState*>(&state) != nullptr;
}

ImageDescriptor CNNNeuronGradient::adjustDescriptor(const std::vector<std::shared_ptr<Image>>& sourceImages,
                                                    const StateBatch& sourceStates,
                                                    const ImageDescriptor& suggested) {
    takeGradientSlice(*this, sourceImages, sourceStates);
    return suggested;
}

void CNNNeuronGradient::validate(const BinaryEncoding& encoding) const {
    requireForwardImages(*this, encoding, requireRecord(*this, encoding.sourceStates, {"CNNNeuron"}));
    checkNeuron(descriptor_, encoding.resultChannels, name(), "neuronDescriptor");
}

void CNNNeuronGradient::record(BinaryEncoding& encoding) {
    auto& encoder = *encoding.encoder;
    const auto area = areaOf(*this, *static_cast<const NNGradientState&>(*encoding.sourceStates[0]).record());
    PointwiseResult result(encoder,
                           encoder.wholeGradient(encoding.destination, encoding.clip,
                                                 encoding.secondary.shape.w, encoding.secondary.shape.h),
                           area);
    encoder.run(
        [source = encoder.region(encoding.secondary, area.x, area.y, area.width, area.height, area.edge),
         gradient = gradientOf(encoding, *this, area), target = result.target(),
         neuron = neuronOf(descriptor_)] { return neuronGradient(source, gradient, target, neuron); });
    result.finish();
}

// --- the deprecated classes ---

namespace {

NNNeuronDescriptor of(CNNNeuronType type) { return NNNeuronDescriptor::cnnNeuronDescriptor(type); }
NNNeuronDescriptor of(CNNNeuronType type, float a) {
    return NNNeuronDescriptor::cnnNeuronDescriptor(type, a);
}
NNNeuronDescriptor of(CNNNeuronType type, float a, float b) {
    return NNNeuronDescriptor::cnnNeuronDescriptor(type, a, b);
}
NNNeuronDescriptor of(CNNNeuronType type, float a, float b, float c) {
    return NNNeuronDescriptor::cnnNeuronDescriptor(type, a, b, c);
}

NNNeuronDescriptor slopes(const float* a, std::size_t count) {
    if (!a) throw Error("CNNNeuronPReLU", "a", "one slope a channel", "null");
    return NNNeuronDescriptor::cnnNeuronPReLUDescriptor({a, a + count});
}

}  // namespace

CNNNeuronLinear::CNNNeuronLinear(std::shared_ptr<MTL::Device> device, float a, float b)
    : CNNNeuron(std::move(device), of(CNNNeuronType::Linear, a, b)) {}
CNNNeuronReLU::CNNNeuronReLU(std::shared_ptr<MTL::Device> device, float a)
    : CNNNeuron(std::move(device), of(CNNNeuronType::ReLU, a)) {}
CNNNeuronPReLU::CNNNeuronPReLU(std::shared_ptr<MTL::Device> device, const float* a, std::size_t count)
    : CNNNeuron(std::move(device), slopes(a, count)) {}
CNNNeuronSigmoid::CNNNeuronSigmoid(std::shared_ptr<MTL::Device> device)
    : CNNNeuron(std::move(device), of(CNNNeuronType::Sigmoid)) {}
CNNNeuronHardSigmoid::CNNNeuronHardSigmoid(std::shared_ptr<MTL::Device> device, float a, float b)
    : CNNNeuron(std::move(device), of(CNNNeuronType::HardSigmoid, a, b)) {}
CNNNeuronTanH::CNNNeuronTanH(std::shared_ptr<MTL::Device> device, float a, float b)
    : CNNNeuron(std::move(device), of(CNNNeuronType::TanH, a, b)) {}
CNNNeuronAbsolute::CNNNeuronAbsolute(std::shared_ptr<MTL::Device> device)
    : CNNNeuron(std::move(device), of(CNNNeuronType::Absolute)) {}
CNNNeuronSoftPlus::CNNNeuronSoftPlus(std::shared_ptr<MTL::Device> device, float a, float b)
    : CNNNeuron(std::move(device), of(CNNNeuronType::SoftPlus, a, b)) {}
CNNNeuronSoftSign::CNNNeuronSoftSign(std::shared_ptr<MTL::Device> device)
    : CNNNeuron(std::move(device), of(CNNNeuronType::SoftSign)) {}
CNNNeuronELU::CNNNeuronELU(std::shared_ptr<MTL::Device> device, float a)
    : CNNNeuron(std::move(device), of(CNNNeuronType::ELU, a)) {}
CNNNeuronReLUN::CNNNeuronReLUN(std::shared_ptr<MTL::Device> device, float a, float b)
    : CNNNeuron(std::move(device), of(CNNNeuronType::ReLUN, a, b)) {}
CNNNeuronPower::CNNNeuronPower(std::shared_ptr<MTL::Device> device, float a, float b, float c)
    : CNNNeuron(std::move(device), of(CNNNeuronType::Power, a, b, c)) {}
CNNNeuronExponential::CNNNeuronExponential(std::shared_ptr<MTL::Device> device, float a, float b, float c)
    : CNNNeuron(std::move(device), of(CNNNeuronType::Exponential, a, b, c)) {}
CNNNeuronLogarithm::CNNNeuronLogarithm(std::shared_ptr<MTL::Device> device, float a, float b, float c)
    : CNNNeuron(std::move(device), of(CNNNeuronType::Logarithm, a, b, c)) {}

}  // namespace MPS
