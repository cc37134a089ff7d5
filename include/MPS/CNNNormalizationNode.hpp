#pragma once

#include <cstddef>
#include <memory>

#include <MPS/CNNNormalizationProperties.hpp>
#include <MPS/NNFilterNode.hpp>

namespace MPS {

/// MPSCNNNormalizationNode: base of the normalisations by a neighbourhood; see CNNNormalization.hpp for the
/// formulas. The result has the size of the source, beyond whose edges there are zeros. Without a size the
/// window is 5 wide. A gradient filter made from a forward filter copies the parameters that the latter has
/// at that moment; an encode whose two filters differ in one throws MPS::Error. Source: MPSNNGraphNodes.h.
/// Defaults: alpha 1, at least 0; beta 5 and delta 1, for local contrast 0.5 and 2^-10.
class PEWTER_API CNNNormalizationNode : public NNFilterNode, public CNNNormalizationProperties {
protected:
    CNNNormalizationNode(const char* className, const std::shared_ptr<NNImageNode>& source, float beta = 5,
                         float delta = 1);
    void checkAlpha(float alpha) const override;
    std::vector<std::unique_ptr<NNStateNode>> newStates() override;
};

/// MPSCNNSpatialNormalizationNode: CNNSpatialNormalization.
class PEWTER_API CNNSpatialNormalizationNode final : public CNNNormalizationNode {
public:
    /// A square window. Throws MPS::Error for 0.   Objective-C: +nodeWithSource:kernelSize:, +nodeWithSource:
    static std::shared_ptr<CNNSpatialNormalizationNode> node(const std::shared_ptr<NNImageNode>& source,
                                                             std::size_t kernelSize = 5);
    explicit CNNSpatialNormalizationNode(const std::shared_ptr<NNImageNode>& source,
                                         std::size_t kernelSize = 5);

    /// The two may differ. Setters throw MPS::Error for 0.
    std::size_t kernelWidth() const { return kernelWidth_; }
    void setKernelWidth(std::size_t width);
    std::size_t kernelHeight() const { return kernelHeight_; }
    void setKernelHeight(std::size_t height);

protected:
    NNGradientFilterNodes newGradientFilters(const std::shared_ptr<NNImageNode>& gradientImage) override;
    std::unique_ptr<pewter::mps::Step> compile(pewter::mps::Compilation& compilation) const override;

private:
    std::size_t kernelWidth_, kernelHeight_;
};

/// MPSCNNSpatialNormalizationGradientNode: CNNSpatialNormalizationGradient. Defaults: alpha 1, at least 0;
/// beta 5; delta 1.
class PEWTER_API CNNSpatialNormalizationGradientNode final : public NNGradientFilterNode,
                                                             public CNNNormalizationProperties {
public:
    /// Throws MPS::Error for null and a window of 0.
    /// Objective-C: +nodeWithSourceGradient:sourceImage:gradientState:kernelSize:
    static std::shared_ptr<CNNSpatialNormalizationGradientNode> node(
        const std::shared_ptr<NNImageNode>& sourceGradient, const std::shared_ptr<NNImageNode>& sourceImage,
        const std::shared_ptr<NNGradientStateNode>& gradientState, std::size_t kernelSize);
    CNNSpatialNormalizationGradientNode(const std::shared_ptr<NNImageNode>& sourceGradient,
                                        const std::shared_ptr<NNImageNode>& sourceImage,
                                        const std::shared_ptr<NNGradientStateNode>& gradientState,
                                        std::size_t kernelSize);

    std::size_t kernelWidth() const { return kernelWidth_; }
    void setKernelWidth(std::size_t width);
    std::size_t kernelHeight() const { return kernelHeight_; }
    void setKernelHeight(std::size_t height);

protected:
    void checkAlpha(float alpha) const override;
    std::unique_ptr<pewter::mps::Step> compile(pewter::mps::Compilation& compilation) const override;

private:
    std::size_t kernelWidth_, kernelHeight_;
};

/// MPSCNNLocalContrastNormalizationNode: CNNLocalContrastNormalization, with alpha 1 where a kernel made by
/// hand has 0.
class PEWTER_API CNNLocalContrastNormalizationNode final : public CNNNormalizationNode,
                                                           public CNNContrastProperties {
public:
    /// A square window. Throws MPS::Error for 0.   Objective-C: +nodeWithSource:kernelSize:, +nodeWithSource:
    static std::shared_ptr<CNNLocalContrastNormalizationNode> node(const std::shared_ptr<NNImageNode>& source,
                                                                   std::size_t kernelSize = 5);
    explicit CNNLocalContrastNormalizationNode(const std::shared_ptr<NNImageNode>& source,
                                               std::size_t kernelSize = 5);

    /// The two may differ. Setters throw MPS::Error for 0.
    std::size_t kernelWidth() const { return kernelWidth_; }
    void setKernelWidth(std::size_t width);
    std::size_t kernelHeight() const { return kernelHeight_; }
    void setKernelHeight(std::size_t height);

protected:
    NNGradientFilterNodes newGradientFilters(const std::shared_ptr<NNImageNode>& gradientImage) override;
    std::unique_ptr<pewter::mps::Step> compile(pewter::mps::Compilation& compilation) const override;

private:
    std::size_t kernelWidth_, kernelHeight_;
};

/// MPSCNNLocalContrastNormalizationGradientNode: CNNLocalContrastNormalizationGradient. Made by hand it
/// starts with alpha 0, unlike the forward node: set it. Defaults else: beta 0.5, delta 1/1024.
class PEWTER_API CNNLocalContrastNormalizationGradientNode final : public NNGradientFilterNode,
                                                                   public CNNNormalizationProperties,
                                                                   public CNNContrastProperties {
public:
    /// Throws MPS::Error for null and a window of 0.
    /// Objective-C: +nodeWithSourceGradient:sourceImage:gradientState:kernelWidth:kernelHeight:
    static std::shared_ptr<CNNLocalContrastNormalizationGradientNode> node(
        const std::shared_ptr<NNImageNode>& sourceGradient, const std::shared_ptr<NNImageNode>& sourceImage,
        const std::shared_ptr<NNGradientStateNode>& gradientState, std::size_t kernelWidth,
        std::size_t kernelHeight);
    CNNLocalContrastNormalizationGradientNode(const std::shared_ptr<NNImageNode>& sourceGradient,
                                              const std::shared_ptr<NNImageNode>& sourceImage,
                                              const std::shared_ptr<NNGradientStateNode>& gradientState,
                                              std::size_t kernelWidth, std::size_t kernelHeight);

    std::size_t kernelWidth() const { return kernelWidth_; }
    std::size_t kernelHeight() const { return kernelHeight_; }

protected:
    void checkAlpha(float alpha) const override;
    std::unique_ptr<pewter::mps::Step> compile(pewter::mps::Compilation& compilation) const override;

private:
    std::size_t kernelWidth_, kernelHeight_;
};

/// MPSCNNCrossChannelNormalizationNode: CNNCrossChannelNormalization.
class PEWTER_API CNNCrossChannelNormalizationNode final : public CNNNormalizationNode {
public:
    /// Throws MPS::Error for 0 channels.   Objective-C: +nodeWithSource:kernelSize:, +nodeWithSource:
    static std::shared_ptr<CNNCrossChannelNormalizationNode> node(const std::shared_ptr<NNImageNode>& source,
                                                                  std::size_t kernelSize = 5);
    explicit CNNCrossChannelNormalizationNode(const std::shared_ptr<NNImageNode>& source,
                                              std::size_t kernelSize = 5);

    /// Channels of a window. The setter throws MPS::Error for 0.
    std::size_t kernelSizeInFeatureChannels() const { return kernelSize_; }
    void setKernelSizeInFeatureChannels(std::size_t channels);

protected:
    NNGradientFilterNodes newGradientFilters(const std::shared_ptr<NNImageNode>& gradientImage) override;
    std::unique_ptr<pewter::mps::Step> compile(pewter::mps::Compilation& compilation) const override;

private:
    std::size_t kernelSize_;
};

/// MPSCNNCrossChannelNormalizationGradientNode: CNNCrossChannelNormalizationGradient with the alpha, beta and
/// delta that the gradient state brings from the forward filter.
class PEWTER_API CNNCrossChannelNormalizationGradientNode final : public NNGradientFilterNode {
public:
    /// Throws MPS::Error for null and 0 channels.
    /// Objective-C: +nodeWithSourceGradient:sourceImage:gradientState:kernelSize:
    static std::shared_ptr<CNNCrossChannelNormalizationGradientNode> node(
        const std::shared_ptr<NNImageNode>& sourceGradient, const std::shared_ptr<NNImageNode>& sourceImage,
        const std::shared_ptr<NNGradientStateNode>& gradientState, std::size_t kernelSize);
    CNNCrossChannelNormalizationGradientNode(const std::shared_ptr<NNImageNode>& sourceGradient,
                                             const std::shared_ptr<NNImageNode>& sourceImage,
                                             const std::shared_ptr<NNGradientStateNode>& gradientState,
                                             std::size_t kernelSize);

    std::size_t kernelSize() const { return kernelSize_; }

protected:
    std::unique_ptr<pewter::mps::Step> compile(pewter::mps::Compilation& compilation) const override;

private:
    std::size_t kernelSize_;
};

}  // namespace MPS
