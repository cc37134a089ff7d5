#pragma once

#include <MPS/NNFilterNode.hpp>
#include <MTL/Types.hpp>
#include <memory>

namespace MPS {

class ImageScale;
class ImageTransformProvider;

/// MPSNNScaleNode: base of the filters that resample an image to a given size. No gradient, no state.
///
/// Without a provider the whole image is stretched over the result. With one, every source image is shown
/// through the transform that the provider gives for it, as ImageScale::scaleTransform() says. Put
/// stopGradient on the result image: training does not go through. Source: MPSNNGraphNodes.h.
class PEWTER_API NNScaleNode : public NNFilterNode {
public:
    /// What the filter was made with, for errors and tools. (Extension.)
    const MTL::Size& outputSize() const { return outputSize_; }
    const std::shared_ptr<ImageTransformProvider>& transformProvider() const { return provider_; }

protected:
    /// outputSize: width and height of the result, at least 1. Its depth is 0, 1 or the number of feature
    /// channels of the source, which the result always has; an encode throws MPS::Error for others.
    NNScaleNode(const char* className, const std::shared_ptr<NNImageNode>& source,
                std::shared_ptr<ImageTransformProvider> transformProvider, const MTL::Size& outputSize);
    std::unique_ptr<pewter::mps::Step> compileWith(const std::shared_ptr<ImageScale>& kernel) const;

private:
    std::shared_ptr<ImageTransformProvider> provider_;
    MTL::Size outputSize_;
};

/// MPSNNBilinearScaleNode: ImageBilinearScale.
class PEWTER_API NNBilinearScaleNode final : public NNScaleNode {
public:
    /// Objective-C: +nodeWithSource:outputSize:
    static std::shared_ptr<NNBilinearScaleNode> node(const std::shared_ptr<NNImageNode>& source,
                                                     const MTL::Size& outputSize);
    /// transformProvider may be null.   Objective-C: +nodeWithSource:transformProvider:outputSize:
    static std::shared_ptr<NNBilinearScaleNode> node(
        const std::shared_ptr<NNImageNode>& source,
        const std::shared_ptr<ImageTransformProvider>& transformProvider, const MTL::Size& outputSize);
    NNBilinearScaleNode(const std::shared_ptr<NNImageNode>& source,
                        const std::shared_ptr<ImageTransformProvider>& transformProvider,
                        const MTL::Size& outputSize);

protected:
    std::unique_ptr<pewter::mps::Step> compile(pewter::mps::Compilation& compilation) const override;
};

/// MPSNNLanczosScaleNode: ImageLanczosScale.
class PEWTER_API NNLanczosScaleNode final : public NNScaleNode {
public:
    /// Objective-C: +nodeWithSource:outputSize:
    static std::shared_ptr<NNLanczosScaleNode> node(const std::shared_ptr<NNImageNode>& source,
                                                    const MTL::Size& outputSize);
    /// transformProvider may be null.   Objective-C: +nodeWithSource:transformProvider:outputSize:
    static std::shared_ptr<NNLanczosScaleNode> node(
        const std::shared_ptr<NNImageNode>& source,
        const std::shared_ptr<ImageTransformProvider>& transformProvider, const MTL::Size& outputSize);
    NNLanczosScaleNode(const std::shared_ptr<NNImageNode>& source,
                       const std::shared_ptr<ImageTransformProvider>& transformProvider,
                       const MTL::Size& outputSize);

protected:
    std::unique_ptr<pewter::mps::Step> compile(pewter::mps::Compilation& compilation) const override;
};

}  // namespace MPS
