#pragma once

#include <MPS/NNFilterNode.hpp>
#include <memory>

namespace MPS {

/// MPSCNNUpsamplingNearestNode: CNNUpsamplingNearest; the result is integerScaleFactorX times as wide and
/// integerScaleFactorY times as high, whatever the padding policy. Source: MPSNNGraphNodes.h.
class PEWTER_API CNNUpsamplingNearestNode final : public NNFilterNode {
public:
    /// Objective-C: +nodeWithSource:integerScaleFactorX:integerScaleFactorY:
    static std::shared_ptr<CNNUpsamplingNearestNode> node(const std::shared_ptr<NNImageNode>& source,
                                                          std::size_t integerScaleFactorX,
                                                          std::size_t integerScaleFactorY);
    /// Throws MPS::Error for a factor of 0.
    CNNUpsamplingNearestNode(const std::shared_ptr<NNImageNode>& source, std::size_t integerScaleFactorX,
                             std::size_t integerScaleFactorY);

    double scaleFactorX() const { return static_cast<double>(scaleX_); }
    double scaleFactorY() const { return static_cast<double>(scaleY_); }

protected:
    std::vector<std::unique_ptr<NNStateNode>> newStates() override;
    NNGradientFilterNodes newGradientFilters(const std::shared_ptr<NNImageNode>& gradientImage) override;
    std::unique_ptr<pewter::mps::Step> compile(pewter::mps::Compilation& compilation) const override;

private:
    std::size_t scaleX_, scaleY_;
};

/// MPSCNNUpsamplingNearestGradientNode: CNNUpsamplingNearestGradient.
class PEWTER_API CNNUpsamplingNearestGradientNode final : public NNGradientFilterNode {
public:
    /// Objective-C: +nodeWithSourceGradient:sourceImage:gradientState:scaleFactorX:scaleFactorY:
    static std::shared_ptr<CNNUpsamplingNearestGradientNode> node(
        const std::shared_ptr<NNImageNode>& sourceGradient, const std::shared_ptr<NNImageNode>& sourceImage,
        const std::shared_ptr<NNGradientStateNode>& gradientState, double scaleFactorX, double scaleFactorY);
    /// The factors of the forward filter. Throws MPS::Error unless they are whole numbers from 1.
    CNNUpsamplingNearestGradientNode(const std::shared_ptr<NNImageNode>& sourceGradient,
                                     const std::shared_ptr<NNImageNode>& sourceImage,
                                     const std::shared_ptr<NNGradientStateNode>& gradientState,
                                     double scaleFactorX, double scaleFactorY);

    double scaleFactorX() const { return scaleX_; }
    double scaleFactorY() const { return scaleY_; }

protected:
    std::unique_ptr<pewter::mps::Step> compile(pewter::mps::Compilation& compilation) const override;

private:
    double scaleX_, scaleY_;
};

/// MPSCNNUpsamplingBilinearNode: CNNUpsamplingBilinear.
class PEWTER_API CNNUpsamplingBilinearNode final : public NNFilterNode {
public:
    /// alignCorners false.   Objective-C: +nodeWithSource:integerScaleFactorX:integerScaleFactorY:
    static std::shared_ptr<CNNUpsamplingBilinearNode> node(const std::shared_ptr<NNImageNode>& source,
                                                           std::size_t integerScaleFactorX,
                                                           std::size_t integerScaleFactorY);
    /// Objective-C: +nodeWithSource:integerScaleFactorX:integerScaleFactorY:alignCorners:
    static std::shared_ptr<CNNUpsamplingBilinearNode> node(const std::shared_ptr<NNImageNode>& source,
                                                           std::size_t integerScaleFactorX,
                                                           std::size_t integerScaleFactorY,
                                                           bool alignCorners);
    /// Throws MPS::Error for a factor of 0.
    CNNUpsamplingBilinearNode(const std::shared_ptr<NNImageNode>& source, std::size_t integerScaleFactorX,
                              std::size_t integerScaleFactorY, bool alignCorners = false);

    double scaleFactorX() const { return static_cast<double>(scaleX_); }
    double scaleFactorY() const { return static_cast<double>(scaleY_); }
    bool alignCorners() const { return alignCorners_; }

protected:
    std::vector<std::unique_ptr<NNStateNode>> newStates() override;
    NNGradientFilterNodes newGradientFilters(const std::shared_ptr<NNImageNode>& gradientImage) override;
    std::unique_ptr<pewter::mps::Step> compile(pewter::mps::Compilation& compilation) const override;

private:
    std::size_t scaleX_, scaleY_;
    bool alignCorners_;
};

/// MPSCNNUpsamplingBilinearGradientNode: CNNUpsamplingBilinearGradient. Whether corners are aligned comes
/// with the state.
class PEWTER_API CNNUpsamplingBilinearGradientNode final : public NNGradientFilterNode {
public:
    /// Objective-C: +nodeWithSourceGradient:sourceImage:gradientState:scaleFactorX:scaleFactorY:
    static std::shared_ptr<CNNUpsamplingBilinearGradientNode> node(
        const std::shared_ptr<NNImageNode>& sourceGradient, const std::shared_ptr<NNImageNode>& sourceImage,
        const std::shared_ptr<NNGradientStateNode>& gradientState, double scaleFactorX, double scaleFactorY);
    /// The factors of the forward filter. Throws MPS::Error unless they are whole numbers from 1.
    CNNUpsamplingBilinearGradientNode(const std::shared_ptr<NNImageNode>& sourceGradient,
                                      const std::shared_ptr<NNImageNode>& sourceImage,
                                      const std::shared_ptr<NNGradientStateNode>& gradientState,
                                      double scaleFactorX, double scaleFactorY);

    double scaleFactorX() const { return scaleX_; }
    double scaleFactorY() const { return scaleY_; }

protected:
    std::unique_ptr<pewter::mps::Step> compile(pewter::mps::Compilation& compilation) const override;

private:
    double scaleX_, scaleY_;
};

}  // namespace MPS
