#pragma once

#include <memory>
#include <utility>
#include <vector>

#include <MPS/CNNGradientKernel.hpp>
#include <MPS/CNNKernel.hpp>
#include <MPS/CNNNormalizationProperties.hpp>

namespace MPS {

// The three normalisations by a neighbourhood. They have no parameters to train. A gradient kernel must be
// given the parameters of its forward kernel; the state records those, and an encode whose parameters differ
// is refused. The gradients are the true derivatives: the formulas printed with Apple's headers lack factors.

/// What the forward kernels have in common; no class of Apple's. State: NNGradientState, one an image.
class PEWTER_API CNNLocalNormalization : public CNNKernel, public CNNNormalizationProperties {
protected:
    CNNLocalNormalization(std::shared_ptr<MTL::Device> device, float alpha, float beta, float delta);
    /// Throws MPS::Error for a 0.
    void setPixels(std::size_t kernelWidth, std::size_t kernelHeight);
    /// What a gradient kernel must have alike, by the names of the properties.
    virtual std::vector<std::pair<const char*, double>> parameters() const;

    std::shared_ptr<State> newResultState(const StateOwner& owner, const std::shared_ptr<Image>& sourceImage,
                                          const StateBatch& sourceStates,
                                          const std::shared_ptr<Image>& destinationImage) override;
    std::shared_ptr<pewter::mps::ForwardRecord> captureRecord(const Image& source,
                                                              const Image& destination) const override;
};

/// What the gradient kernels have in common; no class of Apple's. The source image is the forward *input*.
class PEWTER_API CNNLocalNormalizationGradient : public CNNGradientKernel, public CNNNormalizationProperties {
public:
    /// The window stays the one of the constructor, so that a state of another is found out.
    void configure(const pewter::mps::ForwardRecord& forward) override;

protected:
    /// forwardClass: whose states the kernel takes.
    CNNLocalNormalizationGradient(std::shared_ptr<MTL::Device> device, const char* forwardClass, float alpha,
                                  float beta, float delta);
    /// Throws MPS::Error for a 0.
    void setPixels(std::size_t kernelWidth, std::size_t kernelHeight);
    /// As the forward kernel's.
    virtual std::vector<std::pair<const char*, double>> parameters() const;

    ImageDescriptor adjustDescriptor(const std::vector<std::shared_ptr<Image>>& sourceImages,
                                     const StateBatch& sourceStates,
                                     const ImageDescriptor& suggested) override;
    void validate(const pewter::mps::BinaryEncoding& encoding) const override;

private:
    const char* forwardClass_;
};

/// MPSCNNSpatialNormalization: divides each pixel by a power of the mean square of its neighbourhood, channel
/// by channel.
///
///   y = x / T^beta,   T = delta + (alpha / N) * sum over the window of x^2,   N = kernelWidth * kernelHeight
///
/// The window of pixel i of an axis begins at offset + i - floor(k / 2). Taps outside the source read what
/// edgeMode() says and N stays. Shapes: [N,H,W,C] to [N,Ho,Wo,C], Ho and Wo from the padding policy. Where T
/// is 0 the result is what IEEE division gives. Defaults: alpha 1, at least 0; beta 5; delta 1. Source:
/// MPSCNNNormalization.h.
class PEWTER_API CNNSpatialNormalization final : public CNNLocalNormalization {
public:
    /// Width and height may differ. Throws MPS::Error for a 0.
    /// Objective-C: -initWithDevice:kernelWidth:kernelHeight:
    CNNSpatialNormalization(std::shared_ptr<MTL::Device> device, std::size_t kernelWidth,
                            std::size_t kernelHeight);

    const char* className() const override { return "CNNSpatialNormalization"; }
    std::shared_ptr<Kernel> copy(const std::shared_ptr<MTL::Device>& device = nullptr) const override;

protected:
    void checkAlpha(float alpha) const override;
    void record(pewter::mps::UnaryEncoding& encoding) override;
};

/// MPSCNNSpatialNormalizationGradient: with g the incoming gradient and L the windows that contain a pixel,
///
///   dx = g / T^beta - (2 alpha beta / N) x * sum over l in L of g_l x_l / T_l^(beta + 1)
///
/// T is computed again from the source image. Under edge mode Clamp an edge pixel also gets what its copies
/// outside would get. Defaults as of the forward kernel. Source: MPSCNNNormalization.h.
class PEWTER_API CNNSpatialNormalizationGradient final : public CNNLocalNormalizationGradient {
public:
    /// Objective-C: -initWithDevice:kernelWidth:kernelHeight:
    CNNSpatialNormalizationGradient(std::shared_ptr<MTL::Device> device, std::size_t kernelWidth,
                                    std::size_t kernelHeight);

    const char* className() const override { return "CNNSpatialNormalizationGradient"; }
    std::shared_ptr<Kernel> copy(const std::shared_ptr<MTL::Device>& device = nullptr) const override;

protected:
    void checkAlpha(float alpha) const override;
    void record(pewter::mps::BinaryEncoding& encoding) override;
};

/// MPSCNNLocalContrastNormalization: subtracts the local mean and divides by a power of the local variance,
/// channel by channel.
///
///   y = pm + ps (x - p0 M) / T^beta,   T = delta + alpha V
///
/// M is the mean and V the mean squared deviation from it over the window, which lies as for
/// CNNSpatialNormalization. Taps outside the source take part with what edgeMode() says they read. Shapes as
/// there. Defaults: alpha 0 (the variance does not count), beta 0.5, delta 1/1024. Source:
/// MPSCNNNormalization.h.
class PEWTER_API CNNLocalContrastNormalization final : public CNNLocalNormalization,
                                                       public CNNContrastProperties {
public:
    /// Width and height may differ. Throws MPS::Error for a 0.
    /// Objective-C: -initWithDevice:kernelWidth:kernelHeight:
    CNNLocalContrastNormalization(std::shared_ptr<MTL::Device> device, std::size_t kernelWidth,
                                  std::size_t kernelHeight);

    const char* className() const override { return "CNNLocalContrastNormalization"; }
    std::shared_ptr<Kernel> copy(const std::shared_ptr<MTL::Device>& device = nullptr) const override;

protected:
    std::vector<std::pair<const char*, double>> parameters() const override;
    void record(pewter::mps::UnaryEncoding& encoding) override;
};

/// MPSCNNLocalContrastNormalizationGradient: with A = g / T^beta, B = g (x - p0 M) / T^(beta + 1) and sums
/// over the windows that contain a pixel,
///
///   dx = ps (A - (p0 / N) sum A - (2 alpha beta / N) (x sum B - sum B M))
///
/// Defaults as of the forward kernel. Source: MPSCNNNormalization.h.
class PEWTER_API CNNLocalContrastNormalizationGradient final : public CNNLocalNormalizationGradient,
                                                               public CNNContrastProperties {
public:
    /// Objective-C: -initWithDevice:kernelWidth:kernelHeight:
    CNNLocalContrastNormalizationGradient(std::shared_ptr<MTL::Device> device, std::size_t kernelWidth,
                                          std::size_t kernelHeight);

    const char* className() const override { return "CNNLocalContrastNormalizationGradient"; }
    std::shared_ptr<Kernel> copy(const std::shared_ptr<MTL::Device>& device = nullptr) const override;

protected:
    std::vector<std::pair<const char*, double>> parameters() const override;
    void record(pewter::mps::BinaryEncoding& encoding) override;
};

/// MPSCNNCrossChannelNormalization: divides each channel by a power of the mean square of its neighbouring
/// channels, pixel by pixel.
///
///   y_k = x_k / L_k^beta,   L_k = delta + (alpha / N) * sum of x_q^2,   q = k - floor(N / 2) ... k +
///   floor((N - 1) / 2)
///
/// N = kernelSize, also where the window reaches past the first or last channel *read*
/// (sourceFeatureChannelOffset and -MaxCount select those). Shapes: [N,H,W,C] to the same. Defaults: alpha 1,
/// at least 0; beta 5; delta 1. Source: MPSCNNNormalization.h.
class PEWTER_API CNNCrossChannelNormalization final : public CNNLocalNormalization {
public:
    /// Throws MPS::Error for kernelSize 0.   Objective-C: -initWithDevice:kernelSize:
    explicit CNNCrossChannelNormalization(std::shared_ptr<MTL::Device> device, std::size_t kernelSize = 5);

    /// Channels of a window.
    std::size_t kernelSize() const { return kernelSize_; }

    const char* className() const override { return "CNNCrossChannelNormalization"; }
    std::shared_ptr<Kernel> copy(const std::shared_ptr<MTL::Device>& device = nullptr) const override;

protected:
    void checkAlpha(float alpha) const override;
    std::vector<std::pair<const char*, double>> parameters() const override;
    void record(pewter::mps::UnaryEncoding& encoding) override;

private:
    std::size_t kernelSize_;
};

/// MPSCNNCrossChannelNormalizationGradient: with sums over the channels r whose window contains k,
///
///   dx_k = g_k / L_k^beta - (2 alpha beta / N) x_k * sum of g_r x_r / L_r^(beta + 1)
///
/// Defaults as of the forward kernel. Source: MPSCNNNormalization.h.
class PEWTER_API CNNCrossChannelNormalizationGradient final : public CNNLocalNormalizationGradient {
public:
    /// Objective-C: -initWithDevice:kernelSize:
    explicit CNNCrossChannelNormalizationGradient(std::shared_ptr<MTL::Device> device,
                                                  std::size_t kernelSize = 5);

    std::size_t kernelSize() const { return kernelSize_; }

    const char* className() const override { return "CNNCrossChannelNormalizationGradient"; }
    std::shared_ptr<Kernel> copy(const std::shared_ptr<MTL::Device>& device = nullptr) const override;

protected:
    void checkAlpha(float alpha) const override;
    std::vector<std::pair<const char*, double>> parameters() const override;
    void record(pewter::mps::BinaryEncoding& encoding) override;

private:
    std::size_t kernelSize_;
};

}  // namespace MPS
