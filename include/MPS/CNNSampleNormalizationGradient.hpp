#pragma once

#include <memory>
#include <string>
#include <vector>

#include <MPS/CNNGradientKernel.hpp>

namespace MPS {

/// What the gradient kernels of instance and group normalisation have in common; no class of Apple's: the
/// gradient for the source image, and those for gamma and beta into the state of each image. Gradient, source
/// image and state lose one read each.
class PEWTER_API CNNSampleNormalizationGradient : public CNNGradientKernel {
public:
    bool isStateModified() const override { return true; }
    void configure(const pewter::mps::ForwardRecord& forward) override;

    /// Gradients of gamma and beta into the states only, without any result image, with all geometry from the states;
    /// each distinct gradient, image and state loses one read (extension).
    void encodeParameterGradients(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
                                  const ImageBatch& sourceGradients, const ImageBatch& sourceImages,
                                  const StateBatch& gradientStates) {
        encodeWithoutResult(commandBuffer, sourceGradients, sourceImages, gradientStates);
    }

protected:
    /// forwardClass: the kernel whose states this one takes; they are of its name and "GradientState".
    CNNSampleNormalizationGradient(std::shared_ptr<MTL::Device> device, const char* forwardClass);

    const char* acceptedState() const override { return stateClass_.c_str(); }
    bool accepts(const State& state) const override;
    ImageDescriptor adjustDescriptor(const std::vector<std::shared_ptr<Image>>& sourceImages,
                                     const StateBatch& sourceStates,
                                     const ImageDescriptor& suggested) override;
    void validate(const pewter::mps::BinaryEncoding& encoding) const override;
    void record(pewter::mps::BinaryEncoding& encoding) override;

private:
    const char* forwardClass_;
    std::string stateClass_;
};

}  // namespace MPS
