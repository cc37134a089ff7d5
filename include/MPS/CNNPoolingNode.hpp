#pragma once

#include <memory>

#include <MPS/NNFilterNode.hpp>

namespace MPS {

class NNPadding;

/// MPSCNNPoolingNode: base of the pooling filters. The edge mode of their kernels is Clamp, unlike that of a
/// kernel made by hand: the window shrinks at the edge. Source: MPSNNGraphNodes.h.
class PEWTER_API CNNPoolingNode : public NNFilterNode {
public:
    std::size_t kernelWidth() const { return kernelWidth_; }
    std::size_t kernelHeight() const { return kernelHeight_; }
    std::size_t strideInPixelsX() const { return strideX_; }
    std::size_t strideInPixelsY() const { return strideY_; }

protected:
    /// Throws MPS::Error for a size or stride of 0.
    CNNPoolingNode(const char* className, const std::shared_ptr<NNImageNode>& source, std::size_t kernelWidth,
                   std::size_t kernelHeight, std::size_t strideInPixelsX, std::size_t strideInPixelsY);
    std::vector<std::unique_ptr<NNStateNode>> newStates() override;

private:
    std::size_t kernelWidth_, kernelHeight_, strideX_, strideY_;
};

/// MPSCNNPoolingAverageNode: CNNPoolingAverage; divides by the number of pixels that the window has inside
/// the source.
class PEWTER_API CNNPoolingAverageNode final : public CNNPoolingNode {
public:
    /// Window and stride of filterSize.   Objective-C: +nodeWithSource:filterSize:
    static std::shared_ptr<CNNPoolingAverageNode> node(const std::shared_ptr<NNImageNode>& source,
                                                       std::size_t filterSize);
    /// Objective-C: +nodeWithSource:filterSize:stride:
    static std::shared_ptr<CNNPoolingAverageNode> node(const std::shared_ptr<NNImageNode>& source,
                                                       std::size_t filterSize, std::size_t stride);
    /// Objective-C: -initWithSource:kernelWidth:kernelHeight:strideInPixelsX:strideInPixelsY:
    static std::shared_ptr<CNNPoolingAverageNode> node(const std::shared_ptr<NNImageNode>& source,
                                                       std::size_t kernelWidth, std::size_t kernelHeight,
                                                       std::size_t strideInPixelsX,
                                                       std::size_t strideInPixelsY);
    CNNPoolingAverageNode(const std::shared_ptr<NNImageNode>& source, std::size_t kernelWidth,
                          std::size_t kernelHeight, std::size_t strideInPixelsX, std::size_t strideInPixelsY);

protected:
    NNGradientFilterNodes newGradientFilters(const std::shared_ptr<NNImageNode>& gradientImage) override;
    std::unique_ptr<pewter::mps::Step> compile(pewter::mps::Compilation& compilation) const override;
};

/// MPSCNNPoolingMaxNode: CNNPoolingMax.
class PEWTER_API CNNPoolingMaxNode final : public CNNPoolingNode {
public:
    /// Window and stride of filterSize.   Objective-C: +nodeWithSource:filterSize:
    static std::shared_ptr<CNNPoolingMaxNode> node(const std::shared_ptr<NNImageNode>& source,
                                                   std::size_t filterSize);
    /// Objective-C: +nodeWithSource:filterSize:stride:
    static std::shared_ptr<CNNPoolingMaxNode> node(const std::shared_ptr<NNImageNode>& source,
                                                   std::size_t filterSize, std::size_t stride);
    /// Objective-C: -initWithSource:kernelWidth:kernelHeight:strideInPixelsX:strideInPixelsY:
    static std::shared_ptr<CNNPoolingMaxNode> node(const std::shared_ptr<NNImageNode>& source,
                                                   std::size_t kernelWidth, std::size_t kernelHeight,
                                                   std::size_t strideInPixelsX, std::size_t strideInPixelsY);
    CNNPoolingMaxNode(const std::shared_ptr<NNImageNode>& source, std::size_t kernelWidth,
                      std::size_t kernelHeight, std::size_t strideInPixelsX, std::size_t strideInPixelsY);

protected:
    NNGradientFilterNodes newGradientFilters(const std::shared_ptr<NNImageNode>& gradientImage) override;
    std::unique_ptr<pewter::mps::Step> compile(pewter::mps::Compilation& compilation) const override;
};

/// MPSCNNPoolingL2NormNode: CNNPoolingL2Norm: the root of the sum of squares. Outside the source the edge is
/// repeated.
class PEWTER_API CNNPoolingL2NormNode final : public CNNPoolingNode {
public:
    /// Window and stride of filterSize.   Objective-C: +nodeWithSource:filterSize:
    static std::shared_ptr<CNNPoolingL2NormNode> node(const std::shared_ptr<NNImageNode>& source,
                                                      std::size_t filterSize);
    /// Objective-C: +nodeWithSource:filterSize:stride:
    static std::shared_ptr<CNNPoolingL2NormNode> node(const std::shared_ptr<NNImageNode>& source,
                                                      std::size_t filterSize, std::size_t stride);
    /// Objective-C: -initWithSource:kernelWidth:kernelHeight:strideInPixelsX:strideInPixelsY:
    static std::shared_ptr<CNNPoolingL2NormNode> node(const std::shared_ptr<NNImageNode>& source,
                                                      std::size_t kernelWidth, std::size_t kernelHeight,
                                                      std::size_t strideInPixelsX,
                                                      std::size_t strideInPixelsY);
    CNNPoolingL2NormNode(const std::shared_ptr<NNImageNode>& source, std::size_t kernelWidth,
                         std::size_t kernelHeight, std::size_t strideInPixelsX, std::size_t strideInPixelsY);

protected:
    NNGradientFilterNodes newGradientFilters(const std::shared_ptr<NNImageNode>& gradientImage) override;
    std::unique_ptr<pewter::mps::Step> compile(pewter::mps::Compilation& compilation) const override;
};

/// MPSCNNDilatedPoolingMaxNode: CNNDilatedPoolingMax. No CNNPoolingNode, as in the original.
class PEWTER_API CNNDilatedPoolingMaxNode final : public NNFilterNode {
public:
    /// Window, stride and dilation of filterSize.   Objective-C: +nodeWithSource:filterSize:
    static std::shared_ptr<CNNDilatedPoolingMaxNode> node(const std::shared_ptr<NNImageNode>& source,
                                                          std::size_t filterSize);
    /// Objective-C: +nodeWithSource:filterSize:stride:dilationRate:
    static std::shared_ptr<CNNDilatedPoolingMaxNode> node(const std::shared_ptr<NNImageNode>& source,
                                                          std::size_t filterSize, std::size_t stride,
                                                          std::size_t dilationRate);
    /// Objective-C:
    /// -initWithSource:kernelWidth:kernelHeight:strideInPixelsX:strideInPixelsY:dilationRateX:dilationRateY:
    static std::shared_ptr<CNNDilatedPoolingMaxNode> node(const std::shared_ptr<NNImageNode>& source,
                                                          std::size_t kernelWidth, std::size_t kernelHeight,
                                                          std::size_t strideInPixelsX,
                                                          std::size_t strideInPixelsY,
                                                          std::size_t dilationRateX,
                                                          std::size_t dilationRateY);
    CNNDilatedPoolingMaxNode(const std::shared_ptr<NNImageNode>& source, std::size_t kernelWidth,
                             std::size_t kernelHeight, std::size_t strideInPixelsX,
                             std::size_t strideInPixelsY, std::size_t dilationRateX,
                             std::size_t dilationRateY);

    /// Window and stride, for errors and tools. (Extension.)
    std::size_t kernelWidth() const { return kernelWidth_; }
    std::size_t kernelHeight() const { return kernelHeight_; }
    std::size_t strideInPixelsX() const { return strideX_; }
    std::size_t strideInPixelsY() const { return strideY_; }
    std::size_t dilationRateX() const { return dilationX_; }
    std::size_t dilationRateY() const { return dilationY_; }

protected:
    std::vector<std::unique_ptr<NNStateNode>> newStates() override;
    NNGradientFilterNodes newGradientFilters(const std::shared_ptr<NNImageNode>& gradientImage) override;
    std::unique_ptr<pewter::mps::Step> compile(pewter::mps::Compilation& compilation) const override;

private:
    std::size_t kernelWidth_, kernelHeight_, strideX_, strideY_, dilationX_, dilationY_;
};

/// MPSCNNPoolingGradientNode: base of the pooling gradients. The size of the result and the place of the
/// windows come from the gradient state; the padding policy changes neither.
class PEWTER_API CNNPoolingGradientNode : public NNGradientFilterNode {
public:
    std::size_t kernelWidth() const { return kernelWidth_; }
    std::size_t kernelHeight() const { return kernelHeight_; }
    std::size_t strideInPixelsX() const { return strideX_; }
    std::size_t strideInPixelsY() const { return strideY_; }

protected:
    /// paddingPolicy null: the default.
    CNNPoolingGradientNode(const char* className, const std::shared_ptr<NNImageNode>& sourceGradient,
                           const std::shared_ptr<NNImageNode>& sourceImage,
                           const std::shared_ptr<NNGradientStateNode>& gradientState, std::size_t kernelWidth,
                           std::size_t kernelHeight, std::size_t strideInPixelsX, std::size_t strideInPixelsY,
                           const std::shared_ptr<NNPadding>& paddingPolicy);

private:
    std::size_t kernelWidth_, kernelHeight_, strideX_, strideY_;
};

/// MPSCNNPoolingMaxGradientNode: CNNPoolingMaxGradient.
class PEWTER_API CNNPoolingMaxGradientNode final : public CNNPoolingGradientNode {
public:
    /// Objective-C:
    /// +nodeWithSourceGradient:sourceImage:gradientState:kernelWidth:kernelHeight:strideInPixelsX:
    /// strideInPixelsY:paddingPolicy:
    static std::shared_ptr<CNNPoolingMaxGradientNode> node(
        const std::shared_ptr<NNImageNode>& sourceGradient, const std::shared_ptr<NNImageNode>& sourceImage,
        const std::shared_ptr<NNGradientStateNode>& gradientState, std::size_t kernelWidth,
        std::size_t kernelHeight, std::size_t strideInPixelsX, std::size_t strideInPixelsY,
        const std::shared_ptr<NNPadding>& paddingPolicy = nullptr);
    CNNPoolingMaxGradientNode(const std::shared_ptr<NNImageNode>& sourceGradient,
                              const std::shared_ptr<NNImageNode>& sourceImage,
                              const std::shared_ptr<NNGradientStateNode>& gradientState,
                              std::size_t kernelWidth, std::size_t kernelHeight, std::size_t strideInPixelsX,
                              std::size_t strideInPixelsY,
                              const std::shared_ptr<NNPadding>& paddingPolicy = nullptr);

protected:
    std::unique_ptr<pewter::mps::Step> compile(pewter::mps::Compilation& compilation) const override;
};

/// MPSCNNPoolingAverageGradientNode: CNNPoolingAverageGradient.
class PEWTER_API CNNPoolingAverageGradientNode final : public CNNPoolingGradientNode {
public:
    /// Objective-C: as CNNPoolingMaxGradientNode.
    static std::shared_ptr<CNNPoolingAverageGradientNode> node(
        const std::shared_ptr<NNImageNode>& sourceGradient, const std::shared_ptr<NNImageNode>& sourceImage,
        const std::shared_ptr<NNGradientStateNode>& gradientState, std::size_t kernelWidth,
        std::size_t kernelHeight, std::size_t strideInPixelsX, std::size_t strideInPixelsY,
        const std::shared_ptr<NNPadding>& paddingPolicy = nullptr);
    CNNPoolingAverageGradientNode(const std::shared_ptr<NNImageNode>& sourceGradient,
                                  const std::shared_ptr<NNImageNode>& sourceImage,
                                  const std::shared_ptr<NNGradientStateNode>& gradientState,
                                  std::size_t kernelWidth, std::size_t kernelHeight,
                                  std::size_t strideInPixelsX, std::size_t strideInPixelsY,
                                  const std::shared_ptr<NNPadding>& paddingPolicy = nullptr);

protected:
    std::unique_ptr<pewter::mps::Step> compile(pewter::mps::Compilation& compilation) const override;
};

/// MPSCNNPoolingL2NormGradientNode: CNNPoolingL2NormGradient.
class PEWTER_API CNNPoolingL2NormGradientNode final : public CNNPoolingGradientNode {
public:
    /// Objective-C: as CNNPoolingMaxGradientNode.
    static std::shared_ptr<CNNPoolingL2NormGradientNode> node(
        const std::shared_ptr<NNImageNode>& sourceGradient, const std::shared_ptr<NNImageNode>& sourceImage,
        const std::shared_ptr<NNGradientStateNode>& gradientState, std::size_t kernelWidth,
        std::size_t kernelHeight, std::size_t strideInPixelsX, std::size_t strideInPixelsY,
        const std::shared_ptr<NNPadding>& paddingPolicy = nullptr);
    CNNPoolingL2NormGradientNode(const std::shared_ptr<NNImageNode>& sourceGradient,
                                 const std::shared_ptr<NNImageNode>& sourceImage,
                                 const std::shared_ptr<NNGradientStateNode>& gradientState,
                                 std::size_t kernelWidth, std::size_t kernelHeight,
                                 std::size_t strideInPixelsX, std::size_t strideInPixelsY,
                                 const std::shared_ptr<NNPadding>& paddingPolicy = nullptr);

protected:
    std::unique_ptr<pewter::mps::Step> compile(pewter::mps::Compilation& compilation) const override;
};

/// MPSCNNDilatedPoolingMaxGradientNode: CNNDilatedPoolingMaxGradient.
class PEWTER_API CNNDilatedPoolingMaxGradientNode final : public CNNPoolingGradientNode {
public:
    /// Objective-C:
    /// +nodeWithSourceGradient:sourceImage:gradientState:kernelWidth:kernelHeight:strideInPixelsX:
    /// strideInPixelsY:dilationRateX:dilationRateY:
    static std::shared_ptr<CNNDilatedPoolingMaxGradientNode> node(
        const std::shared_ptr<NNImageNode>& sourceGradient, const std::shared_ptr<NNImageNode>& sourceImage,
        const std::shared_ptr<NNGradientStateNode>& gradientState, std::size_t kernelWidth,
        std::size_t kernelHeight, std::size_t strideInPixelsX, std::size_t strideInPixelsY,
        std::size_t dilationRateX, std::size_t dilationRateY);
    CNNDilatedPoolingMaxGradientNode(const std::shared_ptr<NNImageNode>& sourceGradient,
                                     const std::shared_ptr<NNImageNode>& sourceImage,
                                     const std::shared_ptr<NNGradientStateNode>& gradientState,
                                     std::size_t kernelWidth, std::size_t kernelHeight,
                                     std::size_t strideInPixelsX, std::size_t strideInPixelsY,
                                     std::size_t dilationRateX, std::size_t dilationRateY);

    std::size_t dilationRateX() const { return dilationX_; }
    std::size_t dilationRateY() const { return dilationY_; }

protected:
    std::unique_ptr<pewter::mps::Step> compile(pewter::mps::Compilation& compilation) const override;

private:
    std::size_t dilationX_, dilationY_;
};

}  // namespace MPS
