#pragma once

#include <MPS/NNFilterNode.hpp>
#include <memory>

namespace MPS {

/// MPSNNConcatenationNode: the images of the sources, of equal width and height, side by side in the channels
/// of one.
///
/// Source j begins at channel start_j = sum over i < j of C_i rounded up to a multiple of 4; the result has
/// the sum over all of these channels, 3 + 5 channels become 4 + 8 = 12. The channels that belong to no
/// source are 0. The padding policy sizes nothing; a custom one has the last word on the descriptor. An
/// encode throws MPS::Error for sources of different sizes. One state a source, in their order. Source:
/// MPSNNGraphNodes.h.
class PEWTER_API NNConcatenationNode final : public NNFilterNode {
public:
    /// One source or more; the same image may come several times. Throws MPS::Error for none.   Objective-C:
    /// +nodeWithSources:
    static std::shared_ptr<NNConcatenationNode> node(const NNImageNodes& sources);
    explicit NNConcatenationNode(const NNImageNodes& sources);

protected:
    std::vector<std::unique_ptr<NNStateNode>> newStates() override;
    NNGradientFilterNodes newGradientFilters(const std::shared_ptr<NNImageNode>& gradientImage) override;
    bool hasSingularGradient() const override { return false; }
    std::unique_ptr<pewter::mps::Step> compile(pewter::mps::Compilation& compilation) const override;
};

/// MPSNNConcatenationGradientNode: the gradient of one source: channels start_j to start_j + C_j of the
/// incoming gradient. Which ones comes with the state, that of the same source.
class PEWTER_API NNConcatenationGradientNode final : public NNGradientFilterNode {
public:
    /// Objective-C: +nodeWithSourceGradient:sourceImage:gradientState:
    static std::shared_ptr<NNConcatenationGradientNode> node(
        const std::shared_ptr<NNImageNode>& sourceGradient, const std::shared_ptr<NNImageNode>& sourceImage,
        const std::shared_ptr<NNGradientStateNode>& gradientState);
    NNConcatenationGradientNode(const std::shared_ptr<NNImageNode>& sourceGradient,
                                const std::shared_ptr<NNImageNode>& sourceImage,
                                const std::shared_ptr<NNGradientStateNode>& gradientState);

protected:
    std::unique_ptr<pewter::mps::Step> compile(pewter::mps::Compilation& compilation) const override;
};

}  // namespace MPS
