#pragma once

#include <memory>

#include <MPS/CNNArithmeticProperties.hpp>
#include <MPS/NNFilterNode.hpp>

namespace MPS {

class CNNArithmetic;
class CNNArithmeticGradient;

/// MPSNNBinaryArithmeticNode: base of the filters that combine two images element by element; left is
/// primary, right is secondary. A stride of 0 broadcasts the source along that axis. One state serves the
/// gradient filters of both sources. Source: MPSNNGraphNodes.h.
class PEWTER_API NNBinaryArithmeticNode : public NNFilterNode, public CNNArithmeticProperties {
public:
    /// 0 or 1; default 1. The setters throw MPS::Error for other values.
    std::size_t primaryStrideInPixelsX() const { return primaryStride_[0]; }
    void setPrimaryStrideInPixelsX(std::size_t stride) {
        setStride(primaryStride_[0], "primaryStrideInPixelsX", stride);
    }
    std::size_t primaryStrideInPixelsY() const { return primaryStride_[1]; }
    void setPrimaryStrideInPixelsY(std::size_t stride) {
        setStride(primaryStride_[1], "primaryStrideInPixelsY", stride);
    }
    std::size_t primaryStrideInFeatureChannels() const { return primaryStride_[2]; }
    void setPrimaryStrideInFeatureChannels(std::size_t stride) {
        setStride(primaryStride_[2], "primaryStrideInFeatureChannels", stride);
    }
    std::size_t secondaryStrideInPixelsX() const { return secondaryStride_[0]; }
    void setSecondaryStrideInPixelsX(std::size_t stride) {
        setStride(secondaryStride_[0], "secondaryStrideInPixelsX", stride);
    }
    std::size_t secondaryStrideInPixelsY() const { return secondaryStride_[1]; }
    void setSecondaryStrideInPixelsY(std::size_t stride) {
        setStride(secondaryStride_[1], "secondaryStrideInPixelsY", stride);
    }
    std::size_t secondaryStrideInFeatureChannels() const { return secondaryStride_[2]; }
    void setSecondaryStrideInFeatureChannels(std::size_t stride) {
        setStride(secondaryStride_[2], "secondaryStrideInFeatureChannels", stride);
    }

    /// className() of the filters that gradientFilters() makes; null for filters without a gradient.
    /// Objective-C: -gradientClass
    virtual const char* gradientClass() const { return nullptr; }

protected:
    NNBinaryArithmeticNode(const char* className, const std::shared_ptr<NNImageNode>& leftSource,
                           const std::shared_ptr<NNImageNode>& rightSource);
    /// Throws MPS::Error unless there are two.
    static const NNImageNodes& checkTwo(const char* className, const NNImageNodes& sources);
    void setStride(std::size_t& stride, const char* property, std::size_t value) const;
    /// Hands the properties to the kernel.
    std::unique_ptr<pewter::mps::Step> compileWith(const std::shared_ptr<CNNArithmetic>& kernel) const;

private:
    std::size_t primaryStride_[3] = {1, 1, 1}, secondaryStride_[3] = {1, 1, 1};
};

/// MPSNNAdditionNode: CNNAdd, (primaryScale x + secondaryScale y) + bias.
class PEWTER_API NNAdditionNode final : public NNBinaryArithmeticNode {
public:
    /// Objective-C: +nodeWithLeftSource:rightSource:
    static std::shared_ptr<NNAdditionNode> node(const std::shared_ptr<NNImageNode>& leftSource,
                                                const std::shared_ptr<NNImageNode>& rightSource);
    /// Objective-C: +nodeWithSources:
    static std::shared_ptr<NNAdditionNode> node(const NNImageNodes& sources);
    NNAdditionNode(const std::shared_ptr<NNImageNode>& leftSource,
                   const std::shared_ptr<NNImageNode>& rightSource);

    const char* gradientClass() const override { return "NNAdditionGradientNode"; }

protected:
    std::vector<std::unique_ptr<NNStateNode>> newStates() override;
    NNGradientFilterNodes newGradientFilters(const std::shared_ptr<NNImageNode>& gradientImage) override;
    std::unique_ptr<pewter::mps::Step> compile(pewter::mps::Compilation& compilation) const override;
};

/// MPSNNSubtractionNode: CNNSubtract, (primaryScale x - secondaryScale y) + bias.
class PEWTER_API NNSubtractionNode final : public NNBinaryArithmeticNode {
public:
    /// Objective-C: +nodeWithLeftSource:rightSource:
    static std::shared_ptr<NNSubtractionNode> node(const std::shared_ptr<NNImageNode>& leftSource,
                                                   const std::shared_ptr<NNImageNode>& rightSource);
    /// Objective-C: +nodeWithSources:
    static std::shared_ptr<NNSubtractionNode> node(const NNImageNodes& sources);
    NNSubtractionNode(const std::shared_ptr<NNImageNode>& leftSource,
                      const std::shared_ptr<NNImageNode>& rightSource);

    const char* gradientClass() const override { return "NNSubtractionGradientNode"; }

protected:
    std::vector<std::unique_ptr<NNStateNode>> newStates() override;
    NNGradientFilterNodes newGradientFilters(const std::shared_ptr<NNImageNode>& gradientImage) override;
    std::unique_ptr<pewter::mps::Step> compile(pewter::mps::Compilation& compilation) const override;
};

/// MPSNNMultiplicationNode: CNNMultiply, (primaryScale x)(secondaryScale y) + bias.
class PEWTER_API NNMultiplicationNode final : public NNBinaryArithmeticNode {
public:
    /// Objective-C: +nodeWithLeftSource:rightSource:
    static std::shared_ptr<NNMultiplicationNode> node(const std::shared_ptr<NNImageNode>& leftSource,
                                                      const std::shared_ptr<NNImageNode>& rightSource);
    /// Objective-C: +nodeWithSources:
    static std::shared_ptr<NNMultiplicationNode> node(const NNImageNodes& sources);
    NNMultiplicationNode(const std::shared_ptr<NNImageNode>& leftSource,
                         const std::shared_ptr<NNImageNode>& rightSource);

    const char* gradientClass() const override { return "NNMultiplicationGradientNode"; }

protected:
    std::vector<std::unique_ptr<NNStateNode>> newStates() override;
    NNGradientFilterNodes newGradientFilters(const std::shared_ptr<NNImageNode>& gradientImage) override;
    std::unique_ptr<pewter::mps::Step> compile(pewter::mps::Compilation& compilation) const override;
};

/// MPSNNDivisionNode: CNNDivide, (primaryScale x) / (secondaryScale y) + bias. No gradient, as in the
/// original.
class PEWTER_API NNDivisionNode final : public NNBinaryArithmeticNode {
public:
    /// Objective-C: +nodeWithLeftSource:rightSource:
    static std::shared_ptr<NNDivisionNode> node(const std::shared_ptr<NNImageNode>& leftSource,
                                                const std::shared_ptr<NNImageNode>& rightSource);
    /// Objective-C: +nodeWithSources:
    static std::shared_ptr<NNDivisionNode> node(const NNImageNodes& sources);
    NNDivisionNode(const std::shared_ptr<NNImageNode>& leftSource,
                   const std::shared_ptr<NNImageNode>& rightSource);

protected:
    std::unique_ptr<pewter::mps::Step> compile(pewter::mps::Compilation& compilation) const override;
};

/// MPSNNArithmeticGradientNode: base of the arithmetic gradients, one filter for each forward source. Filters
/// made from a forward filter get the scales that make their result the derivative; those made by hand get 1.
class PEWTER_API NNArithmeticGradientNode : public NNGradientFilterNode, public CNNArithmeticProperties {
public:
    /// Forward strides of the source image, 0 or 1.
    std::size_t secondaryStrideInPixelsX() const { return secondaryStride_[0]; }
    void setSecondaryStrideInPixelsX(std::size_t stride) { secondaryStride_[0] = stride; }
    std::size_t secondaryStrideInPixelsY() const { return secondaryStride_[1]; }
    void setSecondaryStrideInPixelsY(std::size_t stride) { secondaryStride_[1] = stride; }
    std::size_t secondaryStrideInFeatureChannels() const { return secondaryStride_[2]; }
    void setSecondaryStrideInFeatureChannels(std::size_t stride) { secondaryStride_[2] = stride; }
    bool isSecondarySourceFilter() const { return isSecondarySourceFilter_; }

protected:
    NNArithmeticGradientNode(const char* className, const std::shared_ptr<NNImageNode>& sourceGradient,
                             const std::shared_ptr<NNImageNode>& sourceImage,
                             const std::shared_ptr<NNBinaryGradientStateNode>& gradientState,
                             bool isSecondarySourceFilter);
    /// Bias, limits and the strides of the forward filter's source `strideOf` (0 primary, 1 secondary).
    void adopt(const NNBinaryArithmeticNode& forward, std::size_t strideOf, float primaryScale,
               float secondaryScale);
    std::unique_ptr<pewter::mps::Step> compileWith(
        const std::shared_ptr<CNNArithmeticGradient>& kernel) const;

private:
    std::size_t secondaryStride_[3] = {1, 1, 1};
    bool isSecondarySourceFilter_;
};

/// MPSNNAdditionGradientNode: CNNAddGradient. sourceImage is the operand whose gradient is wanted.
class PEWTER_API NNAdditionGradientNode final : public NNArithmeticGradientNode {
public:
    /// Objective-C: +nodeWithSourceGradient:sourceImage:gradientState:isSecondarySourceFilter:
    static std::shared_ptr<NNAdditionGradientNode> node(
        const std::shared_ptr<NNImageNode>& sourceGradient, const std::shared_ptr<NNImageNode>& sourceImage,
        const std::shared_ptr<NNBinaryGradientStateNode>& gradientState, bool isSecondarySourceFilter);
    /// Everything from the forward filter.   Objective-C:
    /// -initWithGradientImages:forwardFilter:isSecondarySourceFilter:
    static std::shared_ptr<NNAdditionGradientNode> node(const NNImageNodes& gradientImages,
                                                        const std::shared_ptr<NNAdditionNode>& forwardFilter,
                                                        bool isSecondarySourceFilter);
    NNAdditionGradientNode(const std::shared_ptr<NNImageNode>& sourceGradient,
                           const std::shared_ptr<NNImageNode>& sourceImage,
                           const std::shared_ptr<NNBinaryGradientStateNode>& gradientState,
                           bool isSecondarySourceFilter);

protected:
    std::unique_ptr<pewter::mps::Step> compile(pewter::mps::Compilation& compilation) const override;
};

/// MPSNNSubtractionGradientNode: CNNSubtractGradient. For the secondary source the scale must carry the minus
/// sign.
class PEWTER_API NNSubtractionGradientNode final : public NNArithmeticGradientNode {
public:
    /// Objective-C: +nodeWithSourceGradient:sourceImage:gradientState:isSecondarySourceFilter:
    static std::shared_ptr<NNSubtractionGradientNode> node(
        const std::shared_ptr<NNImageNode>& sourceGradient, const std::shared_ptr<NNImageNode>& sourceImage,
        const std::shared_ptr<NNBinaryGradientStateNode>& gradientState, bool isSecondarySourceFilter);
    /// Objective-C: -initWithGradientImages:forwardFilter:isSecondarySourceFilter:
    static std::shared_ptr<NNSubtractionGradientNode> node(
        const NNImageNodes& gradientImages, const std::shared_ptr<NNSubtractionNode>& forwardFilter,
        bool isSecondarySourceFilter);
    NNSubtractionGradientNode(const std::shared_ptr<NNImageNode>& sourceGradient,
                              const std::shared_ptr<NNImageNode>& sourceImage,
                              const std::shared_ptr<NNBinaryGradientStateNode>& gradientState,
                              bool isSecondarySourceFilter);

protected:
    std::unique_ptr<pewter::mps::Step> compile(pewter::mps::Compilation& compilation) const override;
};

/// MPSNNMultiplicationGradientNode: CNNMultiplyGradient. sourceImage is the *other* operand, the one that
/// multiplies the incoming gradient; the size of the result comes from the state.
class PEWTER_API NNMultiplicationGradientNode final : public NNArithmeticGradientNode {
public:
    /// Objective-C: +nodeWithSourceGradient:sourceImage:gradientState:isSecondarySourceFilter:
    static std::shared_ptr<NNMultiplicationGradientNode> node(
        const std::shared_ptr<NNImageNode>& sourceGradient, const std::shared_ptr<NNImageNode>& sourceImage,
        const std::shared_ptr<NNBinaryGradientStateNode>& gradientState, bool isSecondarySourceFilter);
    /// Objective-C: -initWithGradientImages:forwardFilter:isSecondarySourceFilter:
    static std::shared_ptr<NNMultiplicationGradientNode> node(
        const NNImageNodes& gradientImages, const std::shared_ptr<NNMultiplicationNode>& forwardFilter,
        bool isSecondarySourceFilter);
    NNMultiplicationGradientNode(const std::shared_ptr<NNImageNode>& sourceGradient,
                                 const std::shared_ptr<NNImageNode>& sourceImage,
                                 const std::shared_ptr<NNBinaryGradientStateNode>& gradientState,
                                 bool isSecondarySourceFilter);

protected:
    std::unique_ptr<pewter::mps::Step> compile(pewter::mps::Compilation& compilation) const override;
};

}  // namespace MPS
