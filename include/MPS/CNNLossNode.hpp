#pragma once

#include <memory>

#include <MPS/CNNLoss.hpp>
#include <MPS/NNFilterNode.hpp>

namespace MPS {

/// MPSCNNLossNode: CNNLoss. The result is the *gradient* of the loss with respect to the source; the loss
/// itself goes to the loss image of each label object. The labels come in as source states. Nothing divides
/// by the number of samples: put 1/batch into the descriptor's weight. The node is its own gradient filter.
/// Source: MPSNNGraphNodes.h.
class PEWTER_API CNNLossNode final : public NNFilterNode {
public:
    /// Objective-C: +nodeWithSource:lossDescriptor:
    static std::shared_ptr<CNNLossNode> node(const std::shared_ptr<NNImageNode>& source,
                                             const CNNLossDescriptor& lossDescriptor);
    CNNLossNode(const std::shared_ptr<NNImageNode>& source, const CNNLossDescriptor& lossDescriptor);

    /// Stands for one CNNLossLabels a sample. Set its handle to find it among several inputs.
    std::shared_ptr<NNLabelsNode> inputLabels() const;
    /// (Extension.)
    const CNNLossDescriptor& lossDescriptor() const { return descriptor_; }

protected:
    bool isOwnGradient() const override { return true; }
    std::unique_ptr<pewter::mps::Step> compile(pewter::mps::Compilation& compilation) const override;

private:
    CNNLossDescriptor descriptor_;
};

}  // namespace MPS
