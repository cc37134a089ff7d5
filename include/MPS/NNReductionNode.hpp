#pragma once

#include <MPS/NNFilterNode.hpp>
#include <MPS/Types.hpp>
#include <memory>

namespace MPS {

class NNReduceUnary;

/// MPSNNUnaryReductionNode: base of the filters that collapse an axis of an image. Width and height of the
/// result are those of the clipped region, but for the axes that are collapsed; the padding policy has no
/// say,
/// and offset is ignored. Only the spatial mean has a gradient and a state. Source: MPSNNGraphNodes.h.
class PEWTER_API NNUnaryReductionNode : public NNFilterNode {
public:
    /// The region of the source that is read; cut to the image. Default RectNoClip: all of it. origin.z is
    /// the first picture of an image that holds several.
    const MTL::Region& clipRectSource() const { return clipRectSource_; }
    void setClipRectSource(const MTL::Region& region) { clipRectSource_ = region; }

protected:
    NNUnaryReductionNode(const char* className, const std::shared_ptr<NNImageNode>& source);
    /// Hands the region to the kernel.
    std::unique_ptr<pewter::mps::Step> compileWith(const std::shared_ptr<NNReduceUnary>& kernel) const;

private:
    MTL::Region clipRectSource_ = RectNoClip;
};

/// MPSNNReductionRowMinNode: The least of each row: 1 x height x channels.
class PEWTER_API NNReductionRowMinNode final : public NNUnaryReductionNode {
public:
    /// Objective-C: +nodeWithSource: and -initWithSource:
    static std::shared_ptr<NNReductionRowMinNode> node(const std::shared_ptr<NNImageNode>& source);
    explicit NNReductionRowMinNode(const std::shared_ptr<NNImageNode>& source);

protected:
    std::unique_ptr<pewter::mps::Step> compile(pewter::mps::Compilation& compilation) const override;
};

/// MPSNNReductionColumnMinNode: The least of each column: width x 1 x channels.
class PEWTER_API NNReductionColumnMinNode final : public NNUnaryReductionNode {
public:
    /// Objective-C: +nodeWithSource: and -initWithSource:
    static std::shared_ptr<NNReductionColumnMinNode> node(const std::shared_ptr<NNImageNode>& source);
    explicit NNReductionColumnMinNode(const std::shared_ptr<NNImageNode>& source);

protected:
    std::unique_ptr<pewter::mps::Step> compile(pewter::mps::Compilation& compilation) const override;
};

/// MPSNNReductionFeatureChannelsMinNode: The least of each pixel's channels: width x height x 1.
class PEWTER_API NNReductionFeatureChannelsMinNode final : public NNUnaryReductionNode {
public:
    /// Objective-C: +nodeWithSource: and -initWithSource:
    static std::shared_ptr<NNReductionFeatureChannelsMinNode> node(
        const std::shared_ptr<NNImageNode>& source);
    explicit NNReductionFeatureChannelsMinNode(const std::shared_ptr<NNImageNode>& source);

protected:
    std::unique_ptr<pewter::mps::Step> compile(pewter::mps::Compilation& compilation) const override;
};

/// MPSNNReductionFeatureChannelsArgumentMinNode: The channel of the least of each pixel's channels, the
/// lowest of equals: width x height x 1.
class PEWTER_API NNReductionFeatureChannelsArgumentMinNode final : public NNUnaryReductionNode {
public:
    /// Objective-C: +nodeWithSource: and -initWithSource:
    static std::shared_ptr<NNReductionFeatureChannelsArgumentMinNode> node(
        const std::shared_ptr<NNImageNode>& source);
    explicit NNReductionFeatureChannelsArgumentMinNode(const std::shared_ptr<NNImageNode>& source);

protected:
    std::unique_ptr<pewter::mps::Step> compile(pewter::mps::Compilation& compilation) const override;
};

/// MPSNNReductionRowMaxNode: The greatest of each row: 1 x height x channels.
class PEWTER_API NNReductionRowMaxNode final : public NNUnaryReductionNode {
public:
    /// Objective-C: +nodeWithSource: and -initWithSource:
    static std::shared_ptr<NNReductionRowMaxNode> node(const std::shared_ptr<NNImageNode>& source);
    explicit NNReductionRowMaxNode(const std::shared_ptr<NNImageNode>& source);

protected:
    std::unique_ptr<pewter::mps::Step> compile(pewter::mps::Compilation& compilation) const override;
};

/// MPSNNReductionColumnMaxNode: The greatest of each column: width x 1 x channels.
class PEWTER_API NNReductionColumnMaxNode final : public NNUnaryReductionNode {
public:
    /// Objective-C: +nodeWithSource: and -initWithSource:
    static std::shared_ptr<NNReductionColumnMaxNode> node(const std::shared_ptr<NNImageNode>& source);
    explicit NNReductionColumnMaxNode(const std::shared_ptr<NNImageNode>& source);

protected:
    std::unique_ptr<pewter::mps::Step> compile(pewter::mps::Compilation& compilation) const override;
};

/// MPSNNReductionFeatureChannelsMaxNode: The greatest of each pixel's channels: width x height x 1.
class PEWTER_API NNReductionFeatureChannelsMaxNode final : public NNUnaryReductionNode {
public:
    /// Objective-C: +nodeWithSource: and -initWithSource:
    static std::shared_ptr<NNReductionFeatureChannelsMaxNode> node(
        const std::shared_ptr<NNImageNode>& source);
    explicit NNReductionFeatureChannelsMaxNode(const std::shared_ptr<NNImageNode>& source);

protected:
    std::unique_ptr<pewter::mps::Step> compile(pewter::mps::Compilation& compilation) const override;
};

/// MPSNNReductionFeatureChannelsArgumentMaxNode: The channel of the greatest of each pixel's channels, the
/// lowest of equals: width x height x 1.
class PEWTER_API NNReductionFeatureChannelsArgumentMaxNode final : public NNUnaryReductionNode {
public:
    /// Objective-C: +nodeWithSource: and -initWithSource:
    static std::shared_ptr<NNReductionFeatureChannelsArgumentMaxNode> node(
        const std::shared_ptr<NNImageNode>& source);
    explicit NNReductionFeatureChannelsArgumentMaxNode(const std::shared_ptr<NNImageNode>& source);

protected:
    std::unique_ptr<pewter::mps::Step> compile(pewter::mps::Compilation& compilation) const override;
};

/// MPSNNReductionRowMeanNode: The mean of each row: 1 x height x channels.
class PEWTER_API NNReductionRowMeanNode final : public NNUnaryReductionNode {
public:
    /// Objective-C: +nodeWithSource: and -initWithSource:
    static std::shared_ptr<NNReductionRowMeanNode> node(const std::shared_ptr<NNImageNode>& source);
    explicit NNReductionRowMeanNode(const std::shared_ptr<NNImageNode>& source);

protected:
    std::unique_ptr<pewter::mps::Step> compile(pewter::mps::Compilation& compilation) const override;
};

/// MPSNNReductionColumnMeanNode: The mean of each column: width x 1 x channels.
class PEWTER_API NNReductionColumnMeanNode final : public NNUnaryReductionNode {
public:
    /// Objective-C: +nodeWithSource: and -initWithSource:
    static std::shared_ptr<NNReductionColumnMeanNode> node(const std::shared_ptr<NNImageNode>& source);
    explicit NNReductionColumnMeanNode(const std::shared_ptr<NNImageNode>& source);

protected:
    std::unique_ptr<pewter::mps::Step> compile(pewter::mps::Compilation& compilation) const override;
};

/// MPSNNReductionFeatureChannelsMeanNode: The mean of each pixel's channels: width x height x 1.
class PEWTER_API NNReductionFeatureChannelsMeanNode final : public NNUnaryReductionNode {
public:
    /// Objective-C: +nodeWithSource: and -initWithSource:
    static std::shared_ptr<NNReductionFeatureChannelsMeanNode> node(
        const std::shared_ptr<NNImageNode>& source);
    explicit NNReductionFeatureChannelsMeanNode(const std::shared_ptr<NNImageNode>& source);

protected:
    std::unique_ptr<pewter::mps::Step> compile(pewter::mps::Compilation& compilation) const override;
};

/// MPSNNReductionRowSumNode: The sum of each row: 1 x height x channels.
class PEWTER_API NNReductionRowSumNode final : public NNUnaryReductionNode {
public:
    /// Objective-C: +nodeWithSource: and -initWithSource:
    static std::shared_ptr<NNReductionRowSumNode> node(const std::shared_ptr<NNImageNode>& source);
    explicit NNReductionRowSumNode(const std::shared_ptr<NNImageNode>& source);

protected:
    std::unique_ptr<pewter::mps::Step> compile(pewter::mps::Compilation& compilation) const override;
};

/// MPSNNReductionColumnSumNode: The sum of each column: width x 1 x channels.
class PEWTER_API NNReductionColumnSumNode final : public NNUnaryReductionNode {
public:
    /// Objective-C: +nodeWithSource: and -initWithSource:
    static std::shared_ptr<NNReductionColumnSumNode> node(const std::shared_ptr<NNImageNode>& source);
    explicit NNReductionColumnSumNode(const std::shared_ptr<NNImageNode>& source);

protected:
    std::unique_ptr<pewter::mps::Step> compile(pewter::mps::Compilation& compilation) const override;
};

/// MPSNNReductionFeatureChannelsSumNode: The sum of each pixel's channels: width x height x 1.
class PEWTER_API NNReductionFeatureChannelsSumNode final : public NNUnaryReductionNode {
public:
    /// Objective-C: +nodeWithSource: and -initWithSource:
    static std::shared_ptr<NNReductionFeatureChannelsSumNode> node(
        const std::shared_ptr<NNImageNode>& source);
    explicit NNReductionFeatureChannelsSumNode(const std::shared_ptr<NNImageNode>& source);

    /// Factor of the sum; default 1.
    float weight() const { return weight_; }
    void setWeight(float weight) { weight_ = weight; }

protected:
    std::unique_ptr<pewter::mps::Step> compile(pewter::mps::Compilation& compilation) const override;

private:
    float weight_ = 1;
};

/// MPSNNReductionSpatialMeanNode: The mean of each channel over the region: 1 x 1 x channels.
class PEWTER_API NNReductionSpatialMeanNode final : public NNUnaryReductionNode {
public:
    /// Objective-C: +nodeWithSource: and -initWithSource:
    static std::shared_ptr<NNReductionSpatialMeanNode> node(const std::shared_ptr<NNImageNode>& source);
    explicit NNReductionSpatialMeanNode(const std::shared_ptr<NNImageNode>& source);

protected:
    std::vector<std::unique_ptr<NNStateNode>> newStates() override;
    NNGradientFilterNodes newGradientFilters(const std::shared_ptr<NNImageNode>& gradientImage) override;
    std::unique_ptr<pewter::mps::Step> compile(pewter::mps::Compilation& compilation) const override;
};

/// MPSNNReductionSpatialMeanGradientNode: the incoming gradient divided by the number of pixels of the region
/// that the forward filter read, in each of them; 0 outside. The region comes with the state.
class PEWTER_API NNReductionSpatialMeanGradientNode final : public NNGradientFilterNode {
public:
    /// Objective-C: +nodeWithSourceGradient:sourceImage:gradientState:
    static std::shared_ptr<NNReductionSpatialMeanGradientNode> node(
        const std::shared_ptr<NNImageNode>& sourceGradient, const std::shared_ptr<NNImageNode>& sourceImage,
        const std::shared_ptr<NNGradientStateNode>& gradientState);
    NNReductionSpatialMeanGradientNode(const std::shared_ptr<NNImageNode>& sourceGradient,
                                       const std::shared_ptr<NNImageNode>& sourceImage,
                                       const std::shared_ptr<NNGradientStateNode>& gradientState);

protected:
    std::unique_ptr<pewter::mps::Step> compile(pewter::mps::Compilation& compilation) const override;
};

}  // namespace MPS
