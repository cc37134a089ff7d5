#pragma once

#include <MPS/NNFilterNode.hpp>
#include <MPS/Types.hpp>
#include <memory>

namespace MPS {

/// MPSNNPadNode: NNPad; an image with more pixels and channels around it. It copies: use it for channels and
/// for the edge modes that other filters do not take (Constant, Mirror, MirrorWithEdge). The padding policy
/// has no say. Source: MPSNNGraphNodes.h.
class PEWTER_API NNPadNode final : public NNFilterNode {
public:
    /// Left, top and lower channels; right, bottom and higher channels.   Objective-C:
    /// +nodeWithSource:paddingSizeBefore:paddingSizeAfter:edgeMode:
    static std::shared_ptr<NNPadNode> node(const std::shared_ptr<NNImageNode>& source,
                                           const ImageCoordinate& paddingSizeBefore,
                                           const ImageCoordinate& paddingSizeAfter, ImageEdgeMode edgeMode);
    /// Throws MPS::Error for an edge mode outside the enumeration.
    NNPadNode(const std::shared_ptr<NNImageNode>& source, const ImageCoordinate& paddingSizeBefore,
              const ImageCoordinate& paddingSizeAfter, ImageEdgeMode edgeMode);

    /// The value of all new elements with edge mode Constant; default 0.
    float fillValue() const { return fillValue_; }
    void setFillValue(float value) { fillValue_ = value; }

    /// As given, for errors and tools. (Extension.)
    const ImageCoordinate& paddingSizeBefore() const { return before_; }
    const ImageCoordinate& paddingSizeAfter() const { return after_; }
    ImageEdgeMode edgeMode() const { return edgeMode_; }

protected:
    std::vector<std::unique_ptr<NNStateNode>> newStates() override;
    NNGradientFilterNodes newGradientFilters(const std::shared_ptr<NNImageNode>& gradientImage) override;
    std::unique_ptr<pewter::mps::Step> compile(pewter::mps::Compilation& compilation) const override;

private:
    ImageCoordinate before_, after_;
    ImageEdgeMode edgeMode_;
    float fillValue_ = 0;
};

/// MPSNNPadGradientNode: NNPadGradient; each element of the source gets the sum of the gradients that were
/// copied from it, filled elements give nothing. Sizes and edge mode come with the state.
class PEWTER_API NNPadGradientNode final : public NNGradientFilterNode {
public:
    /// Objective-C: +nodeWithSourceGradient:sourceImage:gradientState:
    static std::shared_ptr<NNPadGradientNode> node(const std::shared_ptr<NNImageNode>& sourceGradient,
                                                   const std::shared_ptr<NNImageNode>& sourceImage,
                                                   const std::shared_ptr<NNGradientStateNode>& gradientState);
    NNPadGradientNode(const std::shared_ptr<NNImageNode>& sourceGradient,
                      const std::shared_ptr<NNImageNode>& sourceImage,
                      const std::shared_ptr<NNGradientStateNode>& gradientState);

protected:
    std::unique_ptr<pewter::mps::Step> compile(pewter::mps::Compilation& compilation) const override;
};

}  // namespace MPS
