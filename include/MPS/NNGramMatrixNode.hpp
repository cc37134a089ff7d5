#pragma once

#include <MPS/NNFilterNode.hpp>
#include <memory>

namespace MPS {

class NNGramMatrixCallback;

/// MPSNNGramMatrixCalculationNode: NNGramMatrixCalculation; the inner products of all pairs of channel
/// planes, as an image of height 1, C wide, with C channels. The padding policy has no say. Source:
/// MPSNNGraphNodes.h.
class PEWTER_API NNGramMatrixCalculationNode final : public NNFilterNode {
public:
    /// Factor alpha, 1 in the first form.   Objective-C: +nodeWithSource:
    static std::shared_ptr<NNGramMatrixCalculationNode> node(const std::shared_ptr<NNImageNode>& source);
    /// Objective-C: +nodeWithSource:alpha:
    static std::shared_ptr<NNGramMatrixCalculationNode> node(const std::shared_ptr<NNImageNode>& source,
                                                             float alpha);
    explicit NNGramMatrixCalculationNode(const std::shared_ptr<NNImageNode>& source, float alpha = 1);

    float alpha() const { return alpha_; }
    /// When set as the graph is made, every encode of the kernel asks it once for alpha, which then holds for
    /// the gradient too. Default null.
    const std::shared_ptr<NNGramMatrixCallback>& propertyCallBack() const { return callBack_; }
    void setPropertyCallBack(std::shared_ptr<NNGramMatrixCallback> callBack) {
        callBack_ = std::move(callBack);
    }

protected:
    std::vector<std::unique_ptr<NNStateNode>> newStates() override;
    NNGradientFilterNodes newGradientFilters(const std::shared_ptr<NNImageNode>& gradientImage) override;
    std::unique_ptr<pewter::mps::Step> compile(pewter::mps::Compilation& compilation) const override;

private:
    float alpha_;
    std::shared_ptr<NNGramMatrixCallback> callBack_;
};

/// MPSNNGramMatrixCalculationGradientNode: NNGramMatrixCalculationGradient. The alpha of the forward pass
/// comes with the state and comes before the node's.
class PEWTER_API NNGramMatrixCalculationGradientNode final : public NNGradientFilterNode {
public:
    /// Objective-C: +nodeWithSourceGradient:sourceImage:gradientState:
    static std::shared_ptr<NNGramMatrixCalculationGradientNode> node(
        const std::shared_ptr<NNImageNode>& sourceGradient, const std::shared_ptr<NNImageNode>& sourceImage,
        const std::shared_ptr<NNGradientStateNode>& gradientState);
    /// Objective-C: +nodeWithSourceGradient:sourceImage:gradientState:alpha:
    static std::shared_ptr<NNGramMatrixCalculationGradientNode> node(
        const std::shared_ptr<NNImageNode>& sourceGradient, const std::shared_ptr<NNImageNode>& sourceImage,
        const std::shared_ptr<NNGradientStateNode>& gradientState, float alpha);
    NNGramMatrixCalculationGradientNode(const std::shared_ptr<NNImageNode>& sourceGradient,
                                        const std::shared_ptr<NNImageNode>& sourceImage,
                                        const std::shared_ptr<NNGradientStateNode>& gradientState,
                                        float alpha = 1);

    float alpha() const { return alpha_; }

protected:
    std::unique_ptr<pewter::mps::Step> compile(pewter::mps::Compilation& compilation) const override;

private:
    float alpha_;
};

}  // namespace MPS
