#pragma once

#include <memory>

#include <MPS/NNFilterNode.hpp>

namespace MPS {

/// MPSNNInitialGradientNode: NNInitialGradient, ones of the source's size. Its trainingGraph() trains what
/// leads to the source when there is no loss node: the gradients are those of the sum of all its elements.
/// The node is its own gradient filter. Source: MPSNNGraphNodes.h.
class PEWTER_API NNInitialGradientNode final : public NNFilterNode {
public:
    /// Objective-C: +nodeWithSource:
    static std::shared_ptr<NNInitialGradientNode> node(const std::shared_ptr<NNImageNode>& source);
    explicit NNInitialGradientNode(const std::shared_ptr<NNImageNode>& source);

protected:
    bool isOwnGradient() const override { return true; }
    std::unique_ptr<pewter::mps::Step> compile(pewter::mps::Compilation& compilation) const override;
};

}  // namespace MPS
