#pragma once

#include <memory>

#include <MPS/CNNBatchNormalization.hpp>
#include <MPS/NNFilterNode.hpp>

namespace MPS {

/// MPSCNNBatchNormalizationNode: CNNBatchNormalizationStatistics and CNNBatchNormalization, or only the
/// latter; see flags(). Its state stands for one CNNBatchNormalizationState of the whole batch. Source:
/// MPSNNGraphNodes.h.
class PEWTER_API CNNBatchNormalizationNode final : public NNFilterNode, public NNTrainableNode {
public:
    /// Throws MPS::Error for null.   Objective-C: +nodeWithSource:dataSource:
    static std::shared_ptr<CNNBatchNormalizationNode> node(
        const std::shared_ptr<NNImageNode>& source,
        const std::shared_ptr<CNNBatchNormalizationDataSource>& dataSource);
    CNNBatchNormalizationNode(const std::shared_ptr<NNImageNode>& source,
                              const std::shared_ptr<CNNBatchNormalizationDataSource>& dataSource);

    /// Whose statistics normalise. Automatic (default): those of the batch when another filter of the same
    /// graph reads the filter's state, else the data source's. Always: the batch's. Never: the data source's,
    /// in training too.
    CNNBatchNormalizationFlags flags() const { return flags_; }
    /// Throws MPS::Error for the mask and beyond.
    void setFlags(CNNBatchNormalizationFlags flags);

    /// (Extension.)
    const std::shared_ptr<CNNBatchNormalizationDataSource>& dataSource() const { return dataSource_; }

protected:
    std::vector<std::unique_ptr<NNStateNode>> newStates() override;
    NNGradientFilterNodes newGradientFilters(const std::shared_ptr<NNImageNode>& gradientImage) override;
    std::unique_ptr<pewter::mps::Step> compile(pewter::mps::Compilation& compilation) const override;

private:
    std::shared_ptr<CNNBatchNormalizationDataSource> dataSource_;
    CNNBatchNormalizationFlags flags_ = CNNBatchNormalizationFlagsDefault;
};

/// MPSCNNBatchNormalizationGradientNode: CNNBatchNormalizationStatisticsGradient over the whole batch, then
/// CNNBatchNormalizationGradient, then the updates of the data source (trainingStyle()).
class PEWTER_API CNNBatchNormalizationGradientNode final : public NNGradientFilterNode,
                                                           public NNTrainableNode {
public:
    /// Objective-C: +nodeWithSourceGradient:sourceImage:gradientState:
    static std::shared_ptr<CNNBatchNormalizationGradientNode> node(
        const std::shared_ptr<NNImageNode>& sourceGradient, const std::shared_ptr<NNImageNode>& sourceImage,
        const std::shared_ptr<NNGradientStateNode>& gradientState);
    CNNBatchNormalizationGradientNode(const std::shared_ptr<NNImageNode>& sourceGradient,
                                      const std::shared_ptr<NNImageNode>& sourceImage,
                                      const std::shared_ptr<NNGradientStateNode>& gradientState);

protected:
    std::unique_ptr<pewter::mps::Step> compile(pewter::mps::Compilation& compilation) const override;
};

}  // namespace MPS
