#include <fmt/format.h>

#include <MPS/CNNNeuron.hpp>
#include <MPS/CNNNeuronNode.hpp>
#include <MTL/Error.hpp>

#include "mps/graph/steps/GradientStep.h"
#include "mps/graph/steps/Prepare.h"
#include "mps/graph/steps/UnaryStep.h"

namespace MPS {

using namespace pewter::mps;

namespace {

/// A neuron without a class of its own: type None.
class NoneNode final : public CNNNeuronNode {
public:
    NoneNode(const std::shared_ptr<NNImageNode>& source, const NNNeuronDescriptor& descriptor)
        : CNNNeuronNode("CNNNeuronNode", source, descriptor) {}
};

}  // namespace

std::shared_ptr<CNNNeuronNode> CNNNeuronNode::node(const std::shared_ptr<NNImageNode>& source,
                                                   const NNNeuronDescriptor& descriptor) {
    const float a = descriptor.a(), b = descriptor.b(), c = descriptor.c();
    switch (descriptor.neuronType()) {
        case CNNNeuronType::None:
            return std::make_shared<NoneNode>(source, descriptor);
        case CNNNeuronType::ReLU:
            return CNNNeuronReLUNode::node(source, a);
        case CNNNeuronType::Linear:
            return CNNNeuronLinearNode::node(source, a, b);
        case CNNNeuronType::Sigmoid:
            return CNNNeuronSigmoidNode::node(source);
        case CNNNeuronType::HardSigmoid:
            return CNNNeuronHardSigmoidNode::node(source, a, b);
        case CNNNeuronType::TanH:
            return CNNNeuronTanHNode::node(source, a, b);
        case CNNNeuronType::Absolute:
            return CNNNeuronAbsoluteNode::node(source);
        case CNNNeuronType::SoftPlus:
            return CNNNeuronSoftPlusNode::node(source, a, b);
        case CNNNeuronType::SoftSign:
            return CNNNeuronSoftSignNode::node(source);
        case CNNNeuronType::ELU:
            return CNNNeuronELUNode::node(source, a);
        case CNNNeuronType::PReLU:
            return CNNNeuronPReLUNode::node(source,
                                            descriptor.data() ? *descriptor.data() : std::vector<float>{});
        case CNNNeuronType::ReLUN:
            return CNNNeuronReLUNNode::node(source, a, b);
        case CNNNeuronType::Power:
            return CNNNeuronPowerNode::node(source, a, b, c);
        case CNNNeuronType::Exponential:
            return CNNNeuronExponentialNode::node(source, a, b, c);
        case CNNNeuronType::Logarithm:
            return CNNNeuronLogarithmNode::node(source, a, b, c);
        case CNNNeuronType::GeLU:
            return CNNNeuronGeLUNode::node(source);
        case CNNNeuronType::Count:
            break;
    }
    throw Error("CNNNeuronNode", "descriptor", "a neuron type",
                fmt::format("{}", static_cast<std::int32_t>(descriptor.neuronType())));
}

CNNNeuronNode::CNNNeuronNode(const char* className, const std::shared_ptr<NNImageNode>& source,
                             const NNNeuronDescriptor& descriptor)
    : NNFilterNode(className, {{"source", source}}), descriptor_(descriptor) {}

std::vector<std::unique_ptr<NNStateNode>> CNNNeuronNode::newStates() {
    return oneState<NNGradientStateNode>();
}

NNGradientFilterNodes CNNNeuronNode::newGradientFilters(const std::shared_ptr<NNImageNode>& gradientImage) {
    return {CNNNeuronGradientNode::node(gradientImage, sources()[0], stateAs<NNGradientStateNode>(),
                                        descriptor_)};
}

std::unique_ptr<Step> CNNNeuronNode::compile(Compilation& compilation) const {
    return std::make_unique<UnaryStep>(
        prepared(std::make_shared<CNNNeuron>(compilation.device(), descriptor_), *this));
}

std::shared_ptr<CNNNeuronAbsoluteNode> CNNNeuronAbsoluteNode::node(
    const std::shared_ptr<NNImageNode>& source) {
    return std::make_shared<CNNNeuronAbsoluteNode>(source);
}

CNNNeuronAbsoluteNode::CNNNeuronAbsoluteNode(const std::shared_ptr<NNImageNode>& source)
    : CNNNeuronNode("CNNNeuronAbsoluteNode", source,
                    NNNeuronDescriptor::cnnNeuronDescriptor(CNNNeuronType::Absolute)) {}

std::shared_ptr<CNNNeuronELUNode> CNNNeuronELUNode::node(const std::shared_ptr<NNImageNode>& source,
                                                         float a) {
    return std::make_shared<CNNNeuronELUNode>(source, a);
}

CNNNeuronELUNode::CNNNeuronELUNode(const std::shared_ptr<NNImageNode>& source, float a)
    : CNNNeuronNode("CNNNeuronELUNode", source,
                    NNNeuronDescriptor::cnnNeuronDescriptor(CNNNeuronType::ELU, a)) {}

std::shared_ptr<CNNNeuronReLUNNode> CNNNeuronReLUNNode::node(const std::shared_ptr<NNImageNode>& source,
                                                             float a, float b) {
    return std::make_shared<CNNNeuronReLUNNode>(source, a, b);
}

CNNNeuronReLUNNode::CNNNeuronReLUNNode(const std::shared_ptr<NNImageNode>& source, float a, float b)
    : CNNNeuronNode("CNNNeuronReLUNNode", source,
                    NNNeuronDescriptor::cnnNeuronDescriptor(CNNNeuronType::ReLUN, a, b)) {}

std::shared_ptr<CNNNeuronLinearNode> CNNNeuronLinearNode::node(const std::shared_ptr<NNImageNode>& source,
                                                               float a, float b) {
    return std::make_shared<CNNNeuronLinearNode>(source, a, b);
}

CNNNeuronLinearNode::CNNNeuronLinearNode(const std::shared_ptr<NNImageNode>& source, float a, float b)
    : CNNNeuronNode("CNNNeuronLinearNode", source,
                    NNNeuronDescriptor::cnnNeuronDescriptor(CNNNeuronType::Linear, a, b)) {}

std::shared_ptr<CNNNeuronReLUNode> CNNNeuronReLUNode::node(const std::shared_ptr<NNImageNode>& source,
                                                           float a) {
    return std::make_shared<CNNNeuronReLUNode>(source, a);
}

CNNNeuronReLUNode::CNNNeuronReLUNode(const std::shared_ptr<NNImageNode>& source, float a)
    : CNNNeuronNode("CNNNeuronReLUNode", source,
                    NNNeuronDescriptor::cnnNeuronDescriptor(CNNNeuronType::ReLU, a)) {}

std::shared_ptr<CNNNeuronSigmoidNode> CNNNeuronSigmoidNode::node(const std::shared_ptr<NNImageNode>& source) {
    return std::make_shared<CNNNeuronSigmoidNode>(source);
}

CNNNeuronSigmoidNode::CNNNeuronSigmoidNode(const std::shared_ptr<NNImageNode>& source)
    : CNNNeuronNode("CNNNeuronSigmoidNode", source,
                    NNNeuronDescriptor::cnnNeuronDescriptor(CNNNeuronType::Sigmoid)) {}

std::shared_ptr<CNNNeuronHardSigmoidNode> CNNNeuronHardSigmoidNode::node(
    const std::shared_ptr<NNImageNode>& source, float a, float b) {
    return std::make_shared<CNNNeuronHardSigmoidNode>(source, a, b);
}

CNNNeuronHardSigmoidNode::CNNNeuronHardSigmoidNode(const std::shared_ptr<NNImageNode>& source, float a,
                                                   float b)
    : CNNNeuronNode("CNNNeuronHardSigmoidNode", source,
                    NNNeuronDescriptor::cnnNeuronDescriptor(CNNNeuronType::HardSigmoid, a, b)) {}

std::shared_ptr<CNNNeuronSoftPlusNode> CNNNeuronSoftPlusNode::node(const std::shared_ptr<NNImageNode>& source,
                                                                   float a, float b) {
    return std::make_shared<CNNNeuronSoftPlusNode>(source, a, b);
}

CNNNeuronSoftPlusNode::CNNNeuronSoftPlusNode(const std::shared_ptr<NNImageNode>& source, float a, float b)
    : CNNNeuronNode("CNNNeuronSoftPlusNode", source,
                    NNNeuronDescriptor::cnnNeuronDescriptor(CNNNeuronType::SoftPlus, a, b)) {}

std::shared_ptr<CNNNeuronSoftSignNode> CNNNeuronSoftSignNode::node(
    const std::shared_ptr<NNImageNode>& source) {
    return std::make_shared<CNNNeuronSoftSignNode>(source);
}

CNNNeuronSoftSignNode::CNNNeuronSoftSignNode(const std::shared_ptr<NNImageNode>& source)
    : CNNNeuronNode("CNNNeuronSoftSignNode", source,
                    NNNeuronDescriptor::cnnNeuronDescriptor(CNNNeuronType::SoftSign)) {}

std::shared_ptr<CNNNeuronTanHNode> CNNNeuronTanHNode::node(const std::shared_ptr<NNImageNode>& source,
                                                           float a, float b) {
    return std::make_shared<CNNNeuronTanHNode>(source, a, b);
}

CNNNeuronTanHNode::CNNNeuronTanHNode(const std::shared_ptr<NNImageNode>& source, float a, float b)
    : CNNNeuronNode("CNNNeuronTanHNode", source,
                    NNNeuronDescriptor::cnnNeuronDescriptor(CNNNeuronType::TanH, a, b)) {}

std::shared_ptr<CNNNeuronPowerNode> CNNNeuronPowerNode::node(const std::shared_ptr<NNImageNode>& source,
                                                             float a, float b, float c) {
    return std::make_shared<CNNNeuronPowerNode>(source, a, b, c);
}

CNNNeuronPowerNode::CNNNeuronPowerNode(const std::shared_ptr<NNImageNode>& source, float a, float b, float c)
    : CNNNeuronNode("CNNNeuronPowerNode", source,
                    NNNeuronDescriptor::cnnNeuronDescriptor(CNNNeuronType::Power, a, b, c)) {}

std::shared_ptr<CNNNeuronExponentialNode> CNNNeuronExponentialNode::node(
    const std::shared_ptr<NNImageNode>& source, float a, float b, float c) {
    return std::make_shared<CNNNeuronExponentialNode>(source, a, b, c);
}

CNNNeuronExponentialNode::CNNNeuronExponentialNode(const std::shared_ptr<NNImageNode>& source, float a,
                                                   float b, float c)
    : CNNNeuronNode("CNNNeuronExponentialNode", source,
                    NNNeuronDescriptor::cnnNeuronDescriptor(CNNNeuronType::Exponential, a, b, c)) {}

std::shared_ptr<CNNNeuronLogarithmNode> CNNNeuronLogarithmNode::node(
    const std::shared_ptr<NNImageNode>& source, float a, float b, float c) {
    return std::make_shared<CNNNeuronLogarithmNode>(source, a, b, c);
}

CNNNeuronLogarithmNode::CNNNeuronLogarithmNode(const std::shared_ptr<NNImageNode>& source, float a, float b,
                                               float c)
    : CNNNeuronNode("CNNNeuronLogarithmNode", source,
                    NNNeuronDescriptor::cnnNeuronDescriptor(CNNNeuronType::Logarithm, a, b, c)) {}

std::shared_ptr<CNNNeuronGeLUNode> CNNNeuronGeLUNode::node(const std::shared_ptr<NNImageNode>& source) {
    return std::make_shared<CNNNeuronGeLUNode>(source);
}

CNNNeuronGeLUNode::CNNNeuronGeLUNode(const std::shared_ptr<NNImageNode>& source)
    : CNNNeuronNode("CNNNeuronGeLUNode", source,
                    NNNeuronDescriptor::cnnNeuronDescriptor(CNNNeuronType::GeLU)) {}

std::shared_ptr<CNNNeuronPReLUNode> CNNNeuronPReLUNode::node(const std::shared_ptr<NNImageNode>& source,
                                                             const std::vector<float>& aData) {
    return std::make_shared<CNNNeuronPReLUNode>(source, aData);
}

CNNNeuronPReLUNode::CNNNeuronPReLUNode(const std::shared_ptr<NNImageNode>& source,
                                       const std::vector<float>& aData)
    : CNNNeuronNode("CNNNeuronPReLUNode", source, NNNeuronDescriptor::cnnNeuronPReLUDescriptor(aData)) {}

std::shared_ptr<CNNNeuronGradientNode> CNNNeuronGradientNode::node(
    const std::shared_ptr<NNImageNode>& sourceGradient, const std::shared_ptr<NNImageNode>& sourceImage,
    const std::shared_ptr<NNGradientStateNode>& gradientState, const NNNeuronDescriptor& descriptor) {
    return std::make_shared<CNNNeuronGradientNode>(sourceGradient, sourceImage, gradientState, descriptor);
}

CNNNeuronGradientNode::CNNNeuronGradientNode(const std::shared_ptr<NNImageNode>& sourceGradient,
                                             const std::shared_ptr<NNImageNode>& sourceImage,
                                             const std::shared_ptr<NNGradientStateNode>& gradientState,
                                             const NNNeuronDescriptor& descriptor)
    : NNGradientFilterNode("CNNNeuronGradientNode", sourceGradient, sourceImage, gradientState),
      descriptor_(descriptor) {}

std::unique_ptr<Step> CNNNeuronGradientNode::compile(Compilation& compilation) const {
    return std::make_unique<GradientStep>(
        prepared(std::make_shared<CNNNeuronGradient>(compilation.device(), descriptor_), *this));
}

}  // namespace MPS
