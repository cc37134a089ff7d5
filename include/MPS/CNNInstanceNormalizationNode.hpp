#pragma once

#include <memory>

#include <MPS/CNNInstanceNormalization.hpp>
#include <MPS/NNFilterNode.hpp>

namespace MPS {

/// MPSCNNInstanceNormalizationNode: CNNInstanceNormalization. Its state stands for one
/// CNNInstanceNormalizationGradientState a sample. Source: MPSNNGraphNodes.h.
class PEWTER_API CNNInstanceNormalizationNode final : public NNFilterNode, public NNTrainableNode {
public:
    /// Throws MPS::Error for null.   Objective-C: +nodeWithSource:dataSource:
    static std::shared_ptr<CNNInstanceNormalizationNode> node(
        const std::shared_ptr<NNImageNode>& source,
        const std::shared_ptr<CNNInstanceNormalizationDataSource>& dataSource);
    CNNInstanceNormalizationNode(const std::shared_ptr<NNImageNode>& source,
                                 const std::shared_ptr<CNNInstanceNormalizationDataSource>& dataSource);

    /// (Extension.)
    const std::shared_ptr<CNNInstanceNormalizationDataSource>& dataSource() const { return dataSource_; }

protected:
    std::vector<std::unique_ptr<NNStateNode>> newStates() override;
    NNGradientFilterNodes newGradientFilters(const std::shared_ptr<NNImageNode>& gradientImage) override;
    std::unique_ptr<pewter::mps::Step> compile(pewter::mps::Compilation& compilation) const override;

private:
    std::shared_ptr<CNNInstanceNormalizationDataSource> dataSource_;
};

/// MPSCNNInstanceNormalizationGradientNode: CNNInstanceNormalizationGradient, then one update of the forward
/// node's data source from the states of all samples (trainingStyle()).
class PEWTER_API CNNInstanceNormalizationGradientNode final : public NNGradientFilterNode,
                                                              public NNTrainableNode {
public:
    /// gradientState: that of a CNNInstanceNormalizationNode of the same graph. Throws MPS::Error for null.
    /// Objective-C: +nodeWithSourceGradient:sourceImage:gradientState:
    static std::shared_ptr<CNNInstanceNormalizationGradientNode> node(
        const std::shared_ptr<NNImageNode>& sourceGradient, const std::shared_ptr<NNImageNode>& sourceImage,
        const std::shared_ptr<NNGradientStateNode>& gradientState);
    CNNInstanceNormalizationGradientNode(const std::shared_ptr<NNImageNode>& sourceGradient,
                                         const std::shared_ptr<NNImageNode>& sourceImage,
                                         const std::shared_ptr<NNGradientStateNode>& gradientState);

protected:
    std::unique_ptr<pewter::mps::Step> compile(pewter::mps::Compilation& compilation) const override;
};

}  // namespace MPS
