#pragma once

#include <MPS/NNFilterNode.hpp>
#include <memory>

namespace MPS {

/// MPSNNReshapeNode: NNReshape; all elements of an image in another width x height x channels, channels
/// fastest. The padding policy has no say. An encode throws MPS::Error for a source with another number of
/// elements. Source: MPSNNGraphNodes.h.
class PEWTER_API NNReshapeNode final : public NNFilterNode {
public:
    /// Objective-C: +nodeWithSource:resultWidth:resultHeight:resultFeatureChannels:
    static std::shared_ptr<NNReshapeNode> node(const std::shared_ptr<NNImageNode>& source,
                                               std::size_t resultWidth, std::size_t resultHeight,
                                               std::size_t resultFeatureChannels);
    /// Throws MPS::Error for an extent of 0.
    NNReshapeNode(const std::shared_ptr<NNImageNode>& source, std::size_t resultWidth,
                  std::size_t resultHeight, std::size_t resultFeatureChannels);

    /// What the result is to be, for errors and tools. (Extension.)
    std::size_t resultWidth() const { return width_; }
    std::size_t resultHeight() const { return height_; }
    std::size_t resultFeatureChannels() const { return channels_; }

protected:
    std::vector<std::unique_ptr<NNStateNode>> newStates() override;
    NNGradientFilterNodes newGradientFilters(const std::shared_ptr<NNImageNode>& gradientImage) override;
    std::unique_ptr<pewter::mps::Step> compile(pewter::mps::Compilation& compilation) const override;

private:
    std::size_t width_, height_, channels_;
};

/// MPSNNReshapeGradientNode: NNReshapeGradient; the incoming gradient in the shape of the forward source.
class PEWTER_API NNReshapeGradientNode final : public NNGradientFilterNode {
public:
    /// Objective-C: +nodeWithSourceGradient:sourceImage:gradientState:
    static std::shared_ptr<NNReshapeGradientNode> node(
        const std::shared_ptr<NNImageNode>& sourceGradient, const std::shared_ptr<NNImageNode>& sourceImage,
        const std::shared_ptr<NNGradientStateNode>& gradientState);
    NNReshapeGradientNode(const std::shared_ptr<NNImageNode>& sourceGradient,
                          const std::shared_ptr<NNImageNode>& sourceImage,
                          const std::shared_ptr<NNGradientStateNode>& gradientState);

protected:
    std::unique_ptr<pewter::mps::Step> compile(pewter::mps::Compilation& compilation) const override;
};

}  // namespace MPS
