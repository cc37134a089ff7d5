#pragma once

#include <limits>
#include <memory>
#include <vector>

#include <MPS/CNNGradientKernel.hpp>
#include <MPS/CNNKernel.hpp>

namespace MPS {

/// MPSCNNPooling: base of the kernels that reduce a sliding window, channel by channel.
///
/// With E = (k - 1) * dilation + 1, output pixel i of an axis reads the source at
///   offset + stride * i + m * dilation - floor(E / 2),   m = 0 ... k - 1
/// so that even windows reach one pixel further to the left and top. Shapes: [N,H,W,C] to [N,Ho,Wo,C], Ho and
/// Wo from the padding policy: ceil((H + v (E - 1)) / stride), v = -1 valid, 0 same, 1 full. State:
/// NNGradientState, one an image. Source: MPSCNNPooling.h.
class PEWTER_API CNNPooling : public CNNKernel {
public:
    const char* className() const override { return "CNNPooling"; }

protected:
    CNNPooling(std::shared_ptr<MTL::Device> device, std::size_t kernelWidth, std::size_t kernelHeight,
               std::size_t strideInPixelsX, std::size_t strideInPixelsY, std::size_t dilationRateX = 1,
               std::size_t dilationRateY = 1);

    std::shared_ptr<State> newResultState(const StateOwner& owner, const std::shared_ptr<Image>& sourceImage,
                                          const StateBatch& sourceStates,
                                          const std::shared_ptr<Image>& destinationImage) override;
};

/// MPSCNNPoolingMax: the largest value of each window; NaN propagates.
///
/// Reads outside the source follow edgeMode(): under Zero a 0 takes part, under Clamp the nearest edge pixel
/// does.
class PEWTER_API CNNPoolingMax : public CNNPooling {
public:
    /// Stride 1. Throws MPS::Error for a zero size.   Objective-C: -initWithDevice:kernelWidth:kernelHeight:
    CNNPoolingMax(std::shared_ptr<MTL::Device> device, std::size_t kernelWidth, std::size_t kernelHeight);
    /// Objective-C: -initWithDevice:kernelWidth:kernelHeight:strideInPixelsX:strideInPixelsY:
    CNNPoolingMax(std::shared_ptr<MTL::Device> device, std::size_t kernelWidth, std::size_t kernelHeight,
                  std::size_t strideInPixelsX, std::size_t strideInPixelsY);

    const char* className() const override { return "CNNPoolingMax"; }
    std::shared_ptr<Kernel> copy(const std::shared_ptr<MTL::Device>& device = nullptr) const override;

protected:
    CNNPoolingMax(std::shared_ptr<MTL::Device> device, std::size_t kernelWidth, std::size_t kernelHeight,
                  std::size_t strideInPixelsX, std::size_t strideInPixelsY, std::size_t dilationRateX,
                  std::size_t dilationRateY);
    void record(pewter::mps::UnaryEncoding& encoding) override;
};

/// MPSCNNDilatedPoolingMax: as CNNPoolingMax with dilationRateX/Y pixels between the taps.
class PEWTER_API CNNDilatedPoolingMax final : public CNNPoolingMax {
public:
    /// Throws MPS::Error for a zero. Objective-C:
    /// -initWithDevice:kernelWidth:kernelHeight:dilationRateX:dilationRateY:strideInPixelsX:strideInPixelsY:
    CNNDilatedPoolingMax(std::shared_ptr<MTL::Device> device, std::size_t kernelWidth,
                         std::size_t kernelHeight, std::size_t dilationRateX, std::size_t dilationRateY,
                         std::size_t strideInPixelsX, std::size_t strideInPixelsY);

    const char* className() const override { return "CNNDilatedPoolingMax"; }
    std::shared_ptr<Kernel> copy(const std::shared_ptr<MTL::Device>& device = nullptr) const override;
};

/// MPSCNNPoolingAverage: the mean of each window.
///
/// edgeMode Zero: sum of the pixels inside divided by kernelWidth * kernelHeight, always. Clamp: the window
/// is cut to the source enlarged by zeroPadSizeX/Y on every side, and its area there divides. A window wholly
/// outside gives 0. An encode that returns its image under a padding policy with the bit ExcludeEdges sets
/// edgeMode Clamp and the zero pad sizes that the policy applied (Caffe's rule).
class PEWTER_API CNNPoolingAverage final : public CNNPooling {
public:
    /// Stride 1. Throws MPS::Error for a zero size.   Objective-C: -initWithDevice:kernelWidth:kernelHeight:
    CNNPoolingAverage(std::shared_ptr<MTL::Device> device, std::size_t kernelWidth, std::size_t kernelHeight);
    /// Objective-C: -initWithDevice:kernelWidth:kernelHeight:strideInPixelsX:strideInPixelsY:
    CNNPoolingAverage(std::shared_ptr<MTL::Device> device, std::size_t kernelWidth, std::size_t kernelHeight,
                      std::size_t strideInPixelsX, std::size_t strideInPixelsY);

    /// Pixels of zeros around the source that count in the divisor under Clamp. Default 0.
    std::size_t zeroPadSizeX() const { return zeroPadSizeX_; }
    void setZeroPadSizeX(std::size_t pixels) { zeroPadSizeX_ = pixels; }
    std::size_t zeroPadSizeY() const { return zeroPadSizeY_; }
    void setZeroPadSizeY(std::size_t pixels) { zeroPadSizeY_ = pixels; }

    const char* className() const override { return "CNNPoolingAverage"; }
    std::shared_ptr<Kernel> copy(const std::shared_ptr<MTL::Device>& device = nullptr) const override;

protected:
    ImageDescriptor adjustDescriptor(const std::vector<std::shared_ptr<Image>>& sourceImages,
                                     const StateBatch& sourceStates,
                                     const ImageDescriptor& suggested) override;
    void record(pewter::mps::UnaryEncoding& encoding) override;
    std::shared_ptr<pewter::mps::ForwardRecord> captureRecord(const Image& source,
                                                              const Image& destination) const override;

private:
    std::size_t zeroPadSizeX_ = 0, zeroPadSizeY_ = 0;
};

/// MPSCNNPoolingL2Norm: the root of the sum of the squares of each window, not of their mean.
///
/// Reads outside the source follow edgeMode(): under Zero they add nothing, under Clamp the nearest edge
/// pixel counts again for each of them. Squares are summed in the device's precision, float32 on `cpu`.
class PEWTER_API CNNPoolingL2Norm final : public CNNPooling {
public:
    /// Stride 1. Throws MPS::Error for a zero size.   Objective-C: -initWithDevice:kernelWidth:kernelHeight:
    CNNPoolingL2Norm(std::shared_ptr<MTL::Device> device, std::size_t kernelWidth, std::size_t kernelHeight);
    /// Objective-C: -initWithDevice:kernelWidth:kernelHeight:strideInPixelsX:strideInPixelsY:
    CNNPoolingL2Norm(std::shared_ptr<MTL::Device> device, std::size_t kernelWidth, std::size_t kernelHeight,
                     std::size_t strideInPixelsX, std::size_t strideInPixelsY);

    const char* className() const override { return "CNNPoolingL2Norm"; }
    std::shared_ptr<Kernel> copy(const std::shared_ptr<MTL::Device>& device = nullptr) const override;

protected:
    void record(pewter::mps::UnaryEncoding& encoding) override;
};

/// MPSCNNPoolingGradient: base of the pooling gradients.
///
/// The incoming gradient is read from primaryOffset on, sourceSize() pixels of it; pixel primaryOffset + i is
/// the one that window i wrote, and secondaryOffset is the centre of window 0. A gradient pixel belongs to
/// the forward source's pixel of the same position; those that no window reached are 0. Encodes that return
/// their image take all this from the state; kernelOffsetX/Y must be 0. Source: MPSCNNPooling.h.
class PEWTER_API CNNPoolingGradient : public CNNGradientKernel {
public:
    /// Default: everything from primaryOffset on. Intersected with the incoming gradient.
    const MTL::Size& sourceSize() const { return sourceSize_; }
    void setSourceSize(const MTL::Size& size) { sourceSize_ = size; }

    void configure(const pewter::mps::ForwardRecord& forward) override;
    const char* className() const override { return "CNNPoolingGradient"; }

protected:
    CNNPoolingGradient(std::shared_ptr<MTL::Device> device, std::size_t kernelWidth, std::size_t kernelHeight,
                       std::size_t strideInPixelsX, std::size_t strideInPixelsY,
                       std::size_t dilationRateX = 1, std::size_t dilationRateY = 1);

    ImageDescriptor adjustDescriptor(const std::vector<std::shared_ptr<Image>>& sourceImages,
                                     const StateBatch& sourceStates,
                                     const ImageDescriptor& suggested) override;
    void validate(const pewter::mps::BinaryEncoding& encoding) const override;
    bool accepts(const State& state) const override;
    /// Whether the state's forward class is the one this kernel differentiates.
    virtual bool isGradientOf(const pewter::mps::ForwardRecord& forward) const = 0;

private:
    MTL::Size sourceSize_{std::numeric_limits<std::uint64_t>::max(),
                          std::numeric_limits<std::uint64_t>::max(),
                          std::numeric_limits<std::uint64_t>::max()};
};

/// MPSCNNPoolingMaxGradient: each window's gradient goes to its maximum, found again in the source image:
/// taps are scanned row by row and the first strictly greater one wins. A tap outside that wins credits
/// nothing under Zero (it wins only if 0 is greater than every tap inside) and the edge pixel it read under
/// Clamp.
class PEWTER_API CNNPoolingMaxGradient : public CNNPoolingGradient {
public:
    /// Stride 1. Throws MPS::Error for a zero size.   Objective-C: -initWithDevice:kernelWidth:kernelHeight:
    CNNPoolingMaxGradient(std::shared_ptr<MTL::Device> device, std::size_t kernelWidth,
                          std::size_t kernelHeight);
    /// Objective-C: -initWithDevice:kernelWidth:kernelHeight:strideInPixelsX:strideInPixelsY:
    CNNPoolingMaxGradient(std::shared_ptr<MTL::Device> device, std::size_t kernelWidth,
                          std::size_t kernelHeight, std::size_t strideInPixelsX, std::size_t strideInPixelsY);

    const char* className() const override { return "CNNPoolingMaxGradient"; }
    std::shared_ptr<Kernel> copy(const std::shared_ptr<MTL::Device>& device = nullptr) const override;

protected:
    CNNPoolingMaxGradient(std::shared_ptr<MTL::Device> device, std::size_t kernelWidth,
                          std::size_t kernelHeight, std::size_t strideInPixelsX, std::size_t strideInPixelsY,
                          std::size_t dilationRateX, std::size_t dilationRateY);
    bool isGradientOf(const pewter::mps::ForwardRecord& forward) const override;
    void record(pewter::mps::BinaryEncoding& encoding) override;
};

/// MPSCNNDilatedPoolingMaxGradient.
class PEWTER_API CNNDilatedPoolingMaxGradient final : public CNNPoolingMaxGradient {
public:
    /// Objective-C:
    /// -initWithDevice:kernelWidth:kernelHeight:dilationRateX:dilationRateY:strideInPixelsX:strideInPixelsY:
    CNNDilatedPoolingMaxGradient(std::shared_ptr<MTL::Device> device, std::size_t kernelWidth,
                                 std::size_t kernelHeight, std::size_t dilationRateX,
                                 std::size_t dilationRateY, std::size_t strideInPixelsX,
                                 std::size_t strideInPixelsY);

    const char* className() const override { return "CNNDilatedPoolingMaxGradient"; }
    std::shared_ptr<Kernel> copy(const std::shared_ptr<MTL::Device>& device = nullptr) const override;
};

/// MPSCNNPoolingAverageGradient: each window's gradient is spread evenly over its pixels. Only the size of
/// the source image matters. zeroPadSizeX/Y and the edge mode are those of the forward kernel.
class PEWTER_API CNNPoolingAverageGradient final : public CNNPoolingGradient {
public:
    /// Stride 1. Throws MPS::Error for a zero size.   Objective-C: -initWithDevice:kernelWidth:kernelHeight:
    CNNPoolingAverageGradient(std::shared_ptr<MTL::Device> device, std::size_t kernelWidth,
                              std::size_t kernelHeight);
    /// Objective-C: -initWithDevice:kernelWidth:kernelHeight:strideInPixelsX:strideInPixelsY:
    CNNPoolingAverageGradient(std::shared_ptr<MTL::Device> device, std::size_t kernelWidth,
                              std::size_t kernelHeight, std::size_t strideInPixelsX,
                              std::size_t strideInPixelsY);

    std::size_t zeroPadSizeX() const { return zeroPadSizeX_; }
    void setZeroPadSizeX(std::size_t pixels) { zeroPadSizeX_ = pixels; }
    std::size_t zeroPadSizeY() const { return zeroPadSizeY_; }
    void setZeroPadSizeY(std::size_t pixels) { zeroPadSizeY_ = pixels; }

    /// Takes the zero pad sizes too.
    void configure(const pewter::mps::ForwardRecord& forward) override;
    const char* className() const override { return "CNNPoolingAverageGradient"; }
    std::shared_ptr<Kernel> copy(const std::shared_ptr<MTL::Device>& device = nullptr) const override;

protected:
    bool isGradientOf(const pewter::mps::ForwardRecord& forward) const override;
    void record(pewter::mps::BinaryEncoding& encoding) override;

private:
    std::size_t zeroPadSizeX_ = 0, zeroPadSizeY_ = 0;
};

/// MPSCNNPoolingL2NormGradient: a window gives each pixel that it read pixel / norm of its gradient, as often
/// as it read it; nothing where the norm, found again from the source image, is 0.
class PEWTER_API CNNPoolingL2NormGradient final : public CNNPoolingGradient {
public:
    /// Stride 1. Throws MPS::Error for a zero size.   Objective-C: -initWithDevice:kernelWidth:kernelHeight:
    CNNPoolingL2NormGradient(std::shared_ptr<MTL::Device> device, std::size_t kernelWidth,
                             std::size_t kernelHeight);
    /// Objective-C: -initWithDevice:kernelWidth:kernelHeight:strideInPixelsX:strideInPixelsY:
    CNNPoolingL2NormGradient(std::shared_ptr<MTL::Device> device, std::size_t kernelWidth,
                             std::size_t kernelHeight, std::size_t strideInPixelsX,
                             std::size_t strideInPixelsY);

    const char* className() const override { return "CNNPoolingL2NormGradient"; }
    std::shared_ptr<Kernel> copy(const std::shared_ptr<MTL::Device>& device = nullptr) const override;

protected:
    bool isGradientOf(const pewter::mps::ForwardRecord& forward) const override;
    void record(pewter::mps::BinaryEncoding& encoding) override;
};

}  // namespace MPS
