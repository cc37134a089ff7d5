#include <MPS/CNNGradientKernel.hpp>
#include <MPS/CNNKernel.hpp>
#include <MTL/Device.hpp>
#include <MTL/Error.hpp>
#include <Pewter/KernelNode.hpp>

#include "mps/graph/steps/GradientStep.h"
#include "mps/graph/steps/KernelStep.h"
#include "mps/graph/steps/Prepare.h"

namespace pewter {

using MPS::Error;
using namespace mps;

namespace {

template <class Factory>
auto made(const Factory& factory, const char* argument, const MPS::NNFilterNode& node,
          Compilation& compilation) {
    const auto& device = compilation.device();
    auto kernel = factory(device);
    if (!kernel)
        throw Error(node.name(), argument, "a factory that makes a kernel", "one that returned null");
    if (kernel->device() != device)
        throw Error(node.name(), argument,
                    "a kernel of device " + device->name() + ", which the factory was given",
                    "one of device " + kernel->device()->name());
    return prepared(std::move(kernel), node);
}

template <class Factory>
void check(const Factory& factory, const char* argument, const char* className) {
    if (!factory) throw Error(className, argument, "a function that makes a kernel", "none");
}

/// The application may hold the kernel and change its properties from encode to encode.
template <class AnyStep>
std::unique_ptr<Step> askedEveryTime(std::unique_ptr<AnyStep> step) {
    step->refuseReplay();
    return step;
}

}  // namespace

std::shared_ptr<KernelNode> KernelNode::node(const std::shared_ptr<MPS::NNImageNode>& source,
                                             KernelFactory kernel, GradientKernelFactory gradientKernel) {
    return std::make_shared<KernelNode>(source, std::move(kernel), std::move(gradientKernel));
}

std::shared_ptr<KernelNode> KernelNode::node(const std::shared_ptr<MPS::NNImageNode>& source,
                                             const std::shared_ptr<MPS::NNStateNode>& sourceState,
                                             KernelFactory kernel, GradientKernelFactory gradientKernel) {
    return std::make_shared<KernelNode>(source, sourceState, std::move(kernel), std::move(gradientKernel));
}

KernelNode::KernelNode(const std::shared_ptr<MPS::NNImageNode>& source, KernelFactory kernel,
                       GradientKernelFactory gradientKernel)
    : NNFilterNode("KernelNode", {{"source", source}}),
      kernel_(std::move(kernel)),
      gradientKernel_(std::move(gradientKernel)) {
    check(kernel_, "kernel", className());
}

KernelNode::KernelNode(const std::shared_ptr<MPS::NNImageNode>& source,
                       const std::shared_ptr<MPS::NNStateNode>& sourceState, KernelFactory kernel,
                       GradientKernelFactory gradientKernel)
    : NNFilterNode("KernelNode", {{"source", source}}, {{"sourceState", sourceState}}),
      kernel_(std::move(kernel)),
      gradientKernel_(std::move(gradientKernel)) {
    check(kernel_, "kernel", className());
}

std::vector<std::unique_ptr<MPS::NNStateNode>> KernelNode::newStates() {
    return oneState<MPS::NNGradientStateNode>();
}

MPS::NNGradientFilterNodes KernelNode::newGradientFilters(
    const std::shared_ptr<MPS::NNImageNode>& gradientImage) {
    if (!gradientKernel_) return NNFilterNode::newGradientFilters(gradientImage);
    return {KernelGradientNode::node(gradientImage, sources()[0], resultState(), gradientKernel_)};
}

std::unique_ptr<Step> KernelNode::compile(Compilation& compilation) const {
    const auto kernel = made(kernel_, "kernel", *this, compilation);
    if (sourceStates().empty()) return askedEveryTime(std::make_unique<UnaryStep>(kernel));
    const auto stateful = std::dynamic_pointer_cast<HostStateKernel>(kernel);
    if (!stateful)
        throw Error(name(), "sourceState", "a kernel that reads a state, a HostStateKernel",
                    std::string("a ") + kernel->className());
    return askedEveryTime(std::make_unique<KernelStep>(stateful));
}

std::shared_ptr<KernelGradientNode> KernelGradientNode::node(
    const std::shared_ptr<MPS::NNImageNode>& sourceGradient,
    const std::shared_ptr<MPS::NNImageNode>& sourceImage,
    const std::shared_ptr<MPS::NNStateNode>& gradientState, GradientKernelFactory gradientKernel) {
    return std::make_shared<KernelGradientNode>(sourceGradient, sourceImage, gradientState,
                                                std::move(gradientKernel));
}

KernelGradientNode::KernelGradientNode(const std::shared_ptr<MPS::NNImageNode>& sourceGradient,
                                       const std::shared_ptr<MPS::NNImageNode>& sourceImage,
                                       const std::shared_ptr<MPS::NNStateNode>& gradientState,
                                       GradientKernelFactory gradientKernel)
    : NNGradientFilterNode("KernelGradientNode", sourceGradient, sourceImage, gradientState),
      gradientKernel_(std::move(gradientKernel)) {
    check(gradientKernel_, "gradientKernel", className());
}

std::unique_ptr<Step> KernelGradientNode::compile(Compilation& compilation) const {
    return askedEveryTime(
        std::make_unique<GradientStep>(made(gradientKernel_, "gradientKernel", *this, compilation)));
}

}  // namespace pewter
