#pragma once

#include <cstddef>
#include <memory>

#include <MPS/NNFilterNode.hpp>

namespace MPS {

/// MPSCNNNormalizationNode: base of the normalisations by a neighbourhood; see CNNNormalization.hpp for the
/// formulas. The result has the size of the source, beyond whose edges there are zeros. Without a size the
/// window is 5 wide. A gradient filter made from a forward filter copies the parameters that the latter has
/// at that moment; an encode whose two filters differ in one throws MPS::Error. Source: MPSNNGraphNodes.h.
class PEWTER_API CNNNormalizationNode : public NNFilterNode {
public:
    /// Default 1. Throws MPS::Error below 0.
    float alpha() const { return alpha_; }
    void setAlpha(float alpha);
    /// Default 5; 0.5 for local contrast.
    float beta() const { return beta_; }
    void setBeta(float beta) { beta_ = beta; }
    /// Default 1; 2^-10 for local contrast.
    float delta() const { return delta_; }
    void setDelta(float delta) { delta_ = delta; }

protected:
    CNNNormalizationNode(const char* className, const std::shared_ptr<NNImageNode>& source, float beta = 5,
                         float delta = 1);
    std::vector<std::unique_ptr<NNStateNode>> newStates() override;

private:
    float alpha_ = 1, beta_, delta_;
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

/// MPSCNNSpatialNormalizationGradientNode: CNNSpatialNormalizationGradient.
class PEWTER_API CNNSpatialNormalizationGradientNode final : public NNGradientFilterNode {
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
    /// Default 1. Throws MPS::Error below 0.
    float alpha() const { return alpha_; }
    void setAlpha(float alpha);
    /// Default 5.
    float beta() const { return beta_; }
    void setBeta(float beta) { beta_ = beta; }
    /// Default 1.
    float delta() const { return delta_; }
    void setDelta(float delta) { delta_ = delta; }

protected:
    std::unique_ptr<pewter::mps::Step> compile(pewter::mps::Compilation& compilation) const override;

private:
    std::size_t kernelWidth_, kernelHeight_;
    float alpha_ = 1, beta_ = 5, delta_ = 1;
};

/// MPSCNNLocalContrastNormalizationNode: CNNLocalContrastNormalization, with alpha 1 where a kernel made by
/// hand has 0.
class PEWTER_API CNNLocalContrastNormalizationNode final : public CNNNormalizationNode {
public:
    /// A square window. Throws MPS::Error for 0.   Objective-C: +nodeWithSource:kernelSize:, +nodeWithSource:
    static std::shared_ptr<CNNLocalContrastNormalizationNode> node(const std::shared_ptr<NNImageNode>& source,
                                                                   std::size_t kernelSize = 5);
    explicit CNNLocalContrastNormalizationNode(const std::shared_ptr<NNImageNode>& source,
                                               std::size_t kernelSize = 5);

    /// Mean of the result. Default 0.
    float pm() const { return pm_; }
    void setPm(float pm) { pm_ = pm; }
    /// Scale of the result. Default 1.
    float ps() const { return ps_; }
    void setPs(float ps) { ps_ = ps; }
    /// Weight of the local mean. Default 1.
    float p0() const { return p0_; }
    void setP0(float p0) { p0_ = p0; }
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
    float pm_ = 0, ps_ = 1, p0_ = 1;
};

/// MPSCNNLocalContrastNormalizationGradientNode: CNNLocalContrastNormalizationGradient. Made by hand it
/// starts with alpha 0, unlike the forward node: set it.
class PEWTER_API CNNLocalContrastNormalizationGradientNode final : public NNGradientFilterNode {
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

    /// Default 0. Throws MPS::Error below 0.
    float alpha() const { return alpha_; }
    void setAlpha(float alpha);
    /// Default 0.5.
    float beta() const { return beta_; }
    void setBeta(float beta) { beta_ = beta; }
    /// Default 1/1024.
    float delta() const { return delta_; }
    void setDelta(float delta) { delta_ = delta; }
    /// Default 1.
    float p0() const { return p0_; }
    void setP0(float p0) { p0_ = p0; }
    /// Default 0.
    float pm() const { return pm_; }
    void setPm(float pm) { pm_ = pm; }
    /// Default 1.
    float ps() const { return ps_; }
    void setPs(float ps) { ps_ = ps; }
    std::size_t kernelWidth() const { return kernelWidth_; }
    std::size_t kernelHeight() const { return kernelHeight_; }

protected:
    std::unique_ptr<pewter::mps::Step> compile(pewter::mps::Compilation& compilation) const override;

private:
    std::size_t kernelWidth_, kernelHeight_;
    float alpha_ = 0, beta_ = 0.5f, delta_ = 1.0f / 1024, p0_ = 1, pm_ = 0, ps_ = 1;
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
