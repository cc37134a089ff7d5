#pragma once

#include <memory>
#include <vector>

#include <MPS/CNNGradientKernel.hpp>
#include <MPS/CNNKernel.hpp>

namespace pewter::ops {
enum class ResampleType : std::uint8_t;
}

namespace MPS {

/// MPSCNNUpsampling: base of the kernels that enlarge an image by whole factors, channel by channel.
///
/// Shapes: [N,H,W,C] to [N, H scaleFactorY, W scaleFactorX, C]; the padding policy has no say. Clip pixel i
/// reads around offset + g(i); positions outside the source are moved to its nearest pixel, whatever
/// edgeMode() says. State: NNGradientState, one an image. Source: MPSCNNUpsampling.h.
class PEWTER_API CNNUpsampling : public CNNKernel {
public:
    /// Pixels of the result for each of the source; whole numbers from 1. Default 1.
    double scaleFactorX() const { return static_cast<double>(scaleX_); }
    double scaleFactorY() const { return static_cast<double>(scaleY_); }
    /// Whether the corner pixels of source and result coincide. Default false; only bilinear kernels have it
    /// true.
    bool alignCorners() const { return alignCorners_; }

    const char* className() const override { return "CNNUpsampling"; }

protected:
    CNNUpsampling(std::shared_ptr<MTL::Device> device, std::size_t integerScaleFactorX,
                  std::size_t integerScaleFactorY, bool alignCorners);

    bool ignoresPadding() const override { return true; }
    ImageDescriptor adjustDescriptor(const std::vector<std::shared_ptr<Image>>& sourceImages,
                                     const StateBatch& sourceStates,
                                     const ImageDescriptor& suggested) override;
    std::shared_ptr<State> newResultState(const StateOwner& owner, const std::shared_ptr<Image>& sourceImage,
                                          const StateBatch& sourceStates,
                                          const std::shared_ptr<Image>& destinationImage) override;
    std::shared_ptr<pewter::mps::ForwardRecord> captureRecord(const Image& source,
                                                              const Image& destination) const override;
    void record(pewter::mps::UnaryEncoding& encoding) override;
    virtual pewter::ops::ResampleType resampleType() const = 0;

private:
    std::size_t scaleX_, scaleY_;
    bool alignCorners_;
};

/// MPSCNNUpsamplingNearest: out(j, i) = in(j / scaleFactorY, i / scaleFactorX), rounded down.
class PEWTER_API CNNUpsamplingNearest final : public CNNUpsampling {
public:
    /// Throws MPS::Error for a factor of 0.
    /// Objective-C: -initWithDevice:integerScaleFactorX:integerScaleFactorY:
    CNNUpsamplingNearest(std::shared_ptr<MTL::Device> device, std::size_t integerScaleFactorX,
                         std::size_t integerScaleFactorY);

    const char* className() const override { return "CNNUpsamplingNearest"; }
    std::shared_ptr<Kernel> copy(const std::shared_ptr<MTL::Device>& device = nullptr) const override;

protected:
    pewter::ops::ResampleType resampleType() const override;
};

/// MPSCNNUpsamplingBilinear: the mean of the four pixels around g, by their nearness. For an axis of n pixels
/// made N = n s: with alignCorners g(i) = i (n - 1) / (N - 1), 0 when N is 1; without g(i) = i / s, which is
/// the rule of Core ML's upsampling layer and not the half-pixel rule of other frameworks.
class PEWTER_API CNNUpsamplingBilinear final : public CNNUpsampling {
public:
    /// alignCorners false. Throws MPS::Error for a factor of 0.
    /// Objective-C: -initWithDevice:integerScaleFactorX:integerScaleFactorY:
    CNNUpsamplingBilinear(std::shared_ptr<MTL::Device> device, std::size_t integerScaleFactorX,
                          std::size_t integerScaleFactorY);
    /// Objective-C: -initWithDevice:integerScaleFactorX:integerScaleFactorY:alignCorners:
    CNNUpsamplingBilinear(std::shared_ptr<MTL::Device> device, std::size_t integerScaleFactorX,
                          std::size_t integerScaleFactorY, bool alignCorners);

    const char* className() const override { return "CNNUpsamplingBilinear"; }
    std::shared_ptr<Kernel> copy(const std::shared_ptr<MTL::Device>& device = nullptr) const override;

protected:
    pewter::ops::ResampleType resampleType() const override;
};

/// MPSCNNUpsamplingGradient: base of the kernels that shrink an incoming gradient to the forward source.
///
/// Every pixel of the gradient gives its value to the source pixels that the forward pass read for it, by the
/// weights it read them with. The incoming gradient is read from primaryOffset on, as much as the forward
/// pass wrote; secondaryOffset is the forward offset; kernelOffsetX/Y must be 0. Only the size of the source
/// image matters. alignCorners comes from the state. Source: MPSCNNUpsampling.h.
class PEWTER_API CNNUpsamplingGradient : public CNNGradientKernel {
public:
    /// Those of the forward kernel. Default 1.
    double scaleFactorX() const { return static_cast<double>(scaleX_); }
    double scaleFactorY() const { return static_cast<double>(scaleY_); }

    void configure(const pewter::mps::ForwardRecord& forward) override;
    const char* className() const override { return "CNNUpsamplingGradient"; }

protected:
    CNNUpsamplingGradient(std::shared_ptr<MTL::Device> device, std::size_t integerScaleFactorX,
                          std::size_t integerScaleFactorY);

    ImageDescriptor adjustDescriptor(const std::vector<std::shared_ptr<Image>>& sourceImages,
                                     const StateBatch& sourceStates,
                                     const ImageDescriptor& suggested) override;
    void validate(const pewter::mps::BinaryEncoding& encoding) const override;
    void record(pewter::mps::BinaryEncoding& encoding) override;
    /// The forward class that this kernel differentiates.
    virtual const char* forwardClass() const = 0;
    virtual pewter::ops::ResampleType resampleType() const = 0;

private:
    std::size_t scaleX_, scaleY_;
};

/// MPSCNNUpsamplingNearestGradient: each source pixel gets the sum of its scaleFactorX by scaleFactorY block.
class PEWTER_API CNNUpsamplingNearestGradient final : public CNNUpsamplingGradient {
public:
    /// Throws MPS::Error for a factor of 0.
    /// Objective-C: -initWithDevice:integerScaleFactorX:integerScaleFactorY:
    CNNUpsamplingNearestGradient(std::shared_ptr<MTL::Device> device, std::size_t integerScaleFactorX,
                                 std::size_t integerScaleFactorY);

    const char* className() const override { return "CNNUpsamplingNearestGradient"; }
    std::shared_ptr<Kernel> copy(const std::shared_ptr<MTL::Device>& device = nullptr) const override;

protected:
    const char* forwardClass() const override { return "CNNUpsamplingNearest"; }
    pewter::ops::ResampleType resampleType() const override;
};

/// MPSCNNUpsamplingBilinearGradient: the transpose of the interpolation.
class PEWTER_API CNNUpsamplingBilinearGradient final : public CNNUpsamplingGradient {
public:
    /// Throws MPS::Error for a factor of 0.
    /// Objective-C: -initWithDevice:integerScaleFactorX:integerScaleFactorY:
    CNNUpsamplingBilinearGradient(std::shared_ptr<MTL::Device> device, std::size_t integerScaleFactorX,
                                  std::size_t integerScaleFactorY);

    const char* className() const override { return "CNNUpsamplingBilinearGradient"; }
    std::shared_ptr<Kernel> copy(const std::shared_ptr<MTL::Device>& device = nullptr) const override;

protected:
    const char* forwardClass() const override { return "CNNUpsamplingBilinear"; }
    pewter::ops::ResampleType resampleType() const override;
};

}  // namespace MPS
