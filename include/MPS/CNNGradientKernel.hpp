#pragma once

#include <MPS/CNNBinaryKernel.hpp>
#include <MPS/NNGradientState.hpp>

namespace MPS {

/// MPSCNNGradientKernel: maps the gradient of the loss with respect to a forward kernel's result (primary source) to the
/// gradient with respect to its source. The secondary source is the image the forward kernel read.
///
/// Encodes that return their image take all geometry from the gradient state; those with a given destination use the
/// properties as they are. Gradient, source image and state each lose one read. Source: MPSCNNKernel.h.
class PEWTER_API CNNGradientKernel : public CNNBinaryKernel {
public:
    /// Position in the incoming gradient after zeros are put between its pixels; effective offset =
    /// primaryOffset * stride + kernelOffset. Default 0.
    std::int64_t kernelOffsetX() const { return kernelOffsetX_; }
    void setKernelOffsetX(std::int64_t offset) { kernelOffsetX_ = offset; }
    std::int64_t kernelOffsetY() const { return kernelOffsetY_; }
    void setKernelOffsetY(std::int64_t offset) { kernelOffsetY_ = offset; }

    /// Objective-C: -encodeToCommandBuffer:sourceGradient:sourceImage:gradientState:
    std::shared_ptr<Image> encode(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
                                  const std::shared_ptr<Image>& sourceGradient,
                                  const std::shared_ptr<Image>& sourceImage,
                                  const std::shared_ptr<State>& gradientState);
    /// Objective-C: -encodeToCommandBuffer:sourceGradient:sourceImage:gradientState:destinationGradient:
    void encode(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
                const std::shared_ptr<Image>& sourceGradient, const std::shared_ptr<Image>& sourceImage,
                const std::shared_ptr<State>& gradientState, const std::shared_ptr<Image>& destinationGradient);
    /// Objective-C: -encodeBatchToCommandBuffer:sourceGradients:sourceImages:gradientStates:
    ImageBatch encodeBatch(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
                           const ImageBatch& sourceGradients, const ImageBatch& sourceImages,
                           const StateBatch& gradientStates);
    /// Objective-C: -encodeBatchToCommandBuffer:sourceGradients:sourceImages:gradientStates:destinationGradients:
    void encodeBatch(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer, const ImageBatch& sourceGradients,
                     const ImageBatch& sourceImages, const StateBatch& gradientStates,
                     const ImageBatch& destinationGradients);

    /// Takes the geometry of a forward kernel, as the gradient state's descriptor hook does. Base: the properties of
    /// similar name.
    virtual void configure(const pewter::mps::ForwardRecord& forward);

    const char* className() const override { return "CNNGradientKernel"; }

protected:
    explicit CNNGradientKernel(std::shared_ptr<MTL::Device> device);

    const char* primaryName() const override { return "sourceGradient"; }
    const char* secondaryName() const override { return "sourceImage"; }
    bool acceptsPlainEncodes() const override { return false; }
    std::size_t resultFeatureChannels(std::size_t primaryChannels, std::size_t secondaryChannels) const override;
    /// Name of the state class the kernel takes, for errors; and whether this one is it.
    virtual const char* acceptedState() const { return "NNGradientState"; }
    virtual bool accepts(const State& state) const;
    /// Records what the gradient kernel computes besides its result image, of which there is none: all geometry comes
    /// from the states, and each distinct gradient, image and state loses one read. For kernels whose record() does
    /// without destinations.
    void encodeWithoutResult(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
                             const ImageBatch& sourceGradients, const ImageBatch& sourceImages,
                             const StateBatch& gradientStates);

private:
    void checkStates(const StateBatch& states, std::size_t count) const;

    std::int64_t kernelOffsetX_ = 0, kernelOffsetY_ = 0;
};

}  // namespace MPS
