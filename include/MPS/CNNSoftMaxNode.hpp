#pragma once

#include <memory>

#include <MPS/NNFilterNode.hpp>

namespace MPS {

/// MPSCNNSoftMaxNode: CNNSoftMax over the channels of each pixel. Source: MPSNNGraphNodes.h.
class PEWTER_API CNNSoftMaxNode final : public NNFilterNode {
public:
    /// Objective-C: +nodeWithSource:
    static std::shared_ptr<CNNSoftMaxNode> node(const std::shared_ptr<NNImageNode>& source);
    explicit CNNSoftMaxNode(const std::shared_ptr<NNImageNode>& source);

protected:
    std::vector<std::unique_ptr<NNStateNode>> newStates() override;
    NNGradientFilterNodes newGradientFilters(const std::shared_ptr<NNImageNode>& gradientImage) override;
    std::unique_ptr<pewter::mps::Step> compile(pewter::mps::Compilation& compilation) const override;
};

/// MPSCNNLogSoftMaxNode: CNNLogSoftMax.
class PEWTER_API CNNLogSoftMaxNode final : public NNFilterNode {
public:
    /// Objective-C: +nodeWithSource:
    static std::shared_ptr<CNNLogSoftMaxNode> node(const std::shared_ptr<NNImageNode>& source);
    explicit CNNLogSoftMaxNode(const std::shared_ptr<NNImageNode>& source);

protected:
    std::vector<std::unique_ptr<NNStateNode>> newStates() override;
    NNGradientFilterNodes newGradientFilters(const std::shared_ptr<NNImageNode>& gradientImage) override;
    std::unique_ptr<pewter::mps::Step> compile(pewter::mps::Compilation& compilation) const override;
};

/// MPSCNNSoftMaxGradientNode: CNNSoftMaxGradient. The kernel needs the forward *result*: sourceImage may be
/// that, or, as in the documentation's signature, the forward source; then the node takes the result from the
/// filter behind the state.
class PEWTER_API CNNSoftMaxGradientNode final : public NNGradientFilterNode {
public:
    /// Objective-C: +nodeWithSourceGradient:sourceImage:gradientState:
    static std::shared_ptr<CNNSoftMaxGradientNode> node(
        const std::shared_ptr<NNImageNode>& sourceGradient, const std::shared_ptr<NNImageNode>& sourceImage,
        const std::shared_ptr<NNGradientStateNode>& gradientState);
    CNNSoftMaxGradientNode(const std::shared_ptr<NNImageNode>& sourceGradient,
                           const std::shared_ptr<NNImageNode>& sourceImage,
                           const std::shared_ptr<NNGradientStateNode>& gradientState);

protected:
    std::unique_ptr<pewter::mps::Step> compile(pewter::mps::Compilation& compilation) const override;
};

/// MPSCNNLogSoftMaxGradientNode: CNNLogSoftMaxGradient; sourceImage as in CNNSoftMaxGradientNode.
class PEWTER_API CNNLogSoftMaxGradientNode final : public NNGradientFilterNode {
public:
    /// Objective-C: +nodeWithSourceGradient:sourceImage:gradientState:
    static std::shared_ptr<CNNLogSoftMaxGradientNode> node(
        const std::shared_ptr<NNImageNode>& sourceGradient, const std::shared_ptr<NNImageNode>& sourceImage,
        const std::shared_ptr<NNGradientStateNode>& gradientState);
    CNNLogSoftMaxGradientNode(const std::shared_ptr<NNImageNode>& sourceGradient,
                              const std::shared_ptr<NNImageNode>& sourceImage,
                              const std::shared_ptr<NNGradientStateNode>& gradientState);

protected:
    std::unique_ptr<pewter::mps::Step> compile(pewter::mps::Compilation& compilation) const override;
};

}  // namespace MPS
