#pragma once

#include <memory>

#include <MPS/CNNGroupNormalization.hpp>
#include <MPS/NNFilterNode.hpp>

namespace MPS {

/// MPSCNNGroupNormalizationNode: CNNGroupNormalization. Its state stands for one
/// CNNGroupNormalizationGradientState a sample. Source: MPSNNGraphNodes.h.
class PEWTER_API CNNGroupNormalizationNode final : public NNFilterNode, public NNTrainableNode {
public:
    /// Throws MPS::Error for null.   Objective-C: +nodeWithSource:dataSource:
    static std::shared_ptr<CNNGroupNormalizationNode> node(
        const std::shared_ptr<NNImageNode>& source,
        const std::shared_ptr<CNNGroupNormalizationDataSource>& dataSource);
    CNNGroupNormalizationNode(const std::shared_ptr<NNImageNode>& source,
                              const std::shared_ptr<CNNGroupNormalizationDataSource>& dataSource);

    /// (Extension.)
    const std::shared_ptr<CNNGroupNormalizationDataSource>& dataSource() const { return dataSource_; }

protected:
    std::vector<std::unique_ptr<NNStateNode>> newStates() override;
    NNGradientFilterNodes newGradientFilters(const std::shared_ptr<NNImageNode>& gradientImage) override;
    std::unique_ptr<pewter::mps::Step> compile(pewter::mps::Compilation& compilation) const override;

private:
    std::shared_ptr<CNNGroupNormalizationDataSource> dataSource_;
};

/// MPSCNNGroupNormalizationGradientNode: CNNGroupNormalizationGradient, then one update of the forward
/// node's data source from the states of all samples (trainingStyle()).
class PEWTER_API CNNGroupNormalizationGradientNode final : public NNGradientFilterNode,
                                                           public NNTrainableNode {
public:
    /// gradientState: that of a CNNGroupNormalizationNode of the same graph. Throws MPS::Error for null.
    /// Objective-C: +nodeWithSourceGradient:sourceImage:gradientState:
    static std::shared_ptr<CNNGroupNormalizationGradientNode> node(
        const std::shared_ptr<NNImageNode>& sourceGradient, const std::shared_ptr<NNImageNode>& sourceImage,
        const std::shared_ptr<NNGradientStateNode>& gradientState);
    CNNGroupNormalizationGradientNode(const std::shared_ptr<NNImageNode>& sourceGradient,
                                      const std::shared_ptr<NNImageNode>& sourceImage,
                                      const std::shared_ptr<NNGradientStateNode>& gradientState);

protected:
    std::unique_ptr<pewter::mps::Step> compile(pewter::mps::Compilation& compilation) const override;
};

}  // namespace MPS
