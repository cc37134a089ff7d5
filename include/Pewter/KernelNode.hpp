#pragma once

#include <MPS/NNFilterNode.hpp>
#include <functional>
#include <memory>

namespace MTL {
class Device;
}
namespace MPS {
class CNNGradientKernel;
class CNNKernel;
}  // namespace MPS

namespace pewter {

/// Makes a kernel for a graph on that device; called once each time a graph with the node is built, so that
/// every graph has a kernel of its own. A shared_ptr to a subclass is fine.
using KernelFactory =
    std::function<std::shared_ptr<MPS::CNNKernel>(const std::shared_ptr<MTL::Device>& device)>;
using GradientKernelFactory =
    std::function<std::shared_ptr<MPS::CNNGradientKernel>(const std::shared_ptr<MTL::Device>& device)>;

/// A filter node around a kernel of one's own, or around one of the library that has no node (extension). It
/// is like any other filter: padding policy, label, exports, training graph. The padding policy and, if it is
/// set, the label of the node become those of the kernel.
///
/// resultState() stands for what the kernel makes as result state (HostKernel: a plain NNGradientState;
/// HostStateKernel: a HostState). Write kernels in plain C++ with HostKernel and HostStateKernel.
class PEWTER_API KernelNode : public MPS::NNFilterNode {
public:
    /// Without a gradient factory the node cannot be part of training; trainingGraph() then says so by label.
    /// Throws MPS::Error for a null source or an empty kernel factory.
    static std::shared_ptr<KernelNode> node(const std::shared_ptr<MPS::NNImageNode>& source,
                                            KernelFactory kernel,
                                            GradientKernelFactory gradientKernel = nullptr);
    /// With a state to read: the state node of another KernelNode or, for a state that encodes get as source
    /// state, a std::make_shared<MPS::NNGradientStateNode>(nullptr). The kernel must be a HostStateKernel.
    /// Gradients do not follow states.
    static std::shared_ptr<KernelNode> node(const std::shared_ptr<MPS::NNImageNode>& source,
                                            const std::shared_ptr<MPS::NNStateNode>& sourceState,
                                            KernelFactory kernel,
                                            GradientKernelFactory gradientKernel = nullptr);

    KernelNode(const std::shared_ptr<MPS::NNImageNode>& source, KernelFactory kernel,
               GradientKernelFactory gradientKernel = nullptr);
    KernelNode(const std::shared_ptr<MPS::NNImageNode>& source,
               const std::shared_ptr<MPS::NNStateNode>& sourceState, KernelFactory kernel,
               GradientKernelFactory gradientKernel = nullptr);

protected:
    std::vector<std::unique_ptr<MPS::NNStateNode>> newStates() override;
    MPS::NNGradientFilterNodes newGradientFilters(
        const std::shared_ptr<MPS::NNImageNode>& gradientImage) override;
    std::unique_ptr<mps::Step> compile(mps::Compilation& compilation) const override;

private:
    KernelFactory kernel_;
    GradientKernelFactory gradientKernel_;
};

/// The gradient filter of a KernelNode; or one for a filter of the library whose gradient one wants to write.
class PEWTER_API KernelGradientNode : public MPS::NNGradientFilterNode {
public:
    static std::shared_ptr<KernelGradientNode> node(const std::shared_ptr<MPS::NNImageNode>& sourceGradient,
                                                    const std::shared_ptr<MPS::NNImageNode>& sourceImage,
                                                    const std::shared_ptr<MPS::NNStateNode>& gradientState,
                                                    GradientKernelFactory gradientKernel);
    KernelGradientNode(const std::shared_ptr<MPS::NNImageNode>& sourceGradient,
                       const std::shared_ptr<MPS::NNImageNode>& sourceImage,
                       const std::shared_ptr<MPS::NNStateNode>& gradientState,
                       GradientKernelFactory gradientKernel);

protected:
    std::unique_ptr<mps::Step> compile(mps::Compilation& compilation) const override;

private:
    GradientKernelFactory gradientKernel_;
};

}  // namespace pewter
