#pragma once

#include <memory>

#include <MPS/CNNYOLOLoss.hpp>
#include <MPS/NNFilterNode.hpp>

namespace MPS {

/// MPSCNNYOLOLossNode: CNNYOLOLoss. As with CNNLossNode the result is the *gradient* of the loss with respect
/// to the source, and the loss goes to the labels, which come in as source states. It has no gradient filter.
/// Source: MPSNNGraphNodes.h.
class PEWTER_API CNNYOLOLossNode final : public NNFilterNode {
public:
    /// What is wrong with the descriptor is reported when a graph is made. Objective-C:
    /// +nodeWithSource:lossDescriptor:
    static std::shared_ptr<CNNYOLOLossNode> node(const std::shared_ptr<NNImageNode>& source,
                                                 const CNNYOLOLossDescriptor& lossDescriptor);
    /// Objective-C: -initWithSource:lossDescriptor:
    CNNYOLOLossNode(const std::shared_ptr<NNImageNode>& source, const CNNYOLOLossDescriptor& lossDescriptor);

    /// The same node every time: one CNNLossLabels for each sample.
    std::shared_ptr<NNLabelsNode> inputLabels() const;
    /// (Extension.)
    const CNNYOLOLossDescriptor& lossDescriptor() const { return descriptor_; }

protected:
    bool isOwnGradient() const override { return true; }
    std::unique_ptr<pewter::mps::Step> compile(pewter::mps::Compilation& compilation) const override;

private:
    CNNYOLOLossDescriptor descriptor_;
};

}  // namespace MPS
