#pragma once

#include <memory>
#include <vector>

#include <MPS/CNNGradientKernel.hpp>
#include <MPS/CNNKernel.hpp>

namespace MPS {

// The three normalisations by a neighbourhood. They have no parameters to train. A gradient kernel must be
// given the parameters of its forward kernel; the state records those, and an encode whose parameters differ
// is refused. The gradients are the true derivatives: the formulas printed with Apple's headers lack factors.

/// MPSCNNSpatialNormalization: divides each pixel by a power of the mean square of its neighbourhood, channel
/// by channel.
///
///   y = x / T^beta,   T = delta + (alpha / N) * sum over the window of x^2,   N = kernelWidth * kernelHeight
///
/// The window of pixel i of an axis begins at offset + i - floor(k / 2). Taps outside the source read what
/// edgeMode() says and N stays. Shapes: [N,H,W,C] to [N,Ho,Wo,C], Ho and Wo from the padding policy. State:
/// NNGradientState, one an image. Where T is 0 the result is what IEEE division gives. Source:
/// MPSCNNNormalization.h.
class PEWTER_API CNNSpatialNormalization final : public CNNKernel {
public:
    /// Width and height may differ. Throws MPS::Error for a 0.
    /// Objective-C: -initWithDevice:kernelWidth:kernelHeight:
    CNNSpatialNormalization(std::shared_ptr<MTL::Device> device, std::size_t kernelWidth,
                            std::size_t kernelHeight);

    /// Default 1. Throws MPS::Error below 0.
    float alpha() const { return alpha_; }
    void setAlpha(float alpha);
    /// Default 5.
    float beta() const { return beta_; }
    void setBeta(float beta) { beta_ = beta; }
    /// Default 1.
    float delta() const { return delta_; }
    void setDelta(float delta) { delta_ = delta; }

    const char* className() const override { return "CNNSpatialNormalization"; }
    std::shared_ptr<Kernel> copy(const std::shared_ptr<MTL::Device>& device = nullptr) const override;

protected:
    std::shared_ptr<State> newResultState(const StateOwner& owner, const std::shared_ptr<Image>& sourceImage,
                                          const StateBatch& sourceStates,
                                          const std::shared_ptr<Image>& destinationImage) override;
    void record(pewter::mps::UnaryEncoding& encoding) override;
    std::shared_ptr<pewter::mps::ForwardRecord> captureRecord(const Image& source,
                                                              const Image& destination) const override;

private:
    float alpha_ = 1, beta_ = 5, delta_ = 1;
};

/// MPSCNNSpatialNormalizationGradient: with g the incoming gradient and L the windows that contain a pixel,
///
///   dx = g / T^beta - (2 alpha beta / N) x * sum over l in L of g_l x_l / T_l^(beta + 1)
///
/// The source image is the forward *input*; T is computed again from it. Under edge mode Clamp an edge pixel
/// also gets what its copies outside would get. Source: MPSCNNNormalization.h.
class PEWTER_API CNNSpatialNormalizationGradient final : public CNNGradientKernel {
public:
    /// Objective-C: -initWithDevice:kernelWidth:kernelHeight:
    CNNSpatialNormalizationGradient(std::shared_ptr<MTL::Device> device, std::size_t kernelWidth,
                                    std::size_t kernelHeight);

    /// Default 1. Throws MPS::Error below 0.
    float alpha() const { return alpha_; }
    void setAlpha(float alpha);
    /// Default 5.
    float beta() const { return beta_; }
    void setBeta(float beta) { beta_ = beta; }
    /// Default 1.
    float delta() const { return delta_; }
    void setDelta(float delta) { delta_ = delta; }

    void configure(const pewter::mps::ForwardRecord& forward) override;
    const char* className() const override { return "CNNSpatialNormalizationGradient"; }
    std::shared_ptr<Kernel> copy(const std::shared_ptr<MTL::Device>& device = nullptr) const override;

protected:
    ImageDescriptor adjustDescriptor(const std::vector<std::shared_ptr<Image>>& sourceImages,
                                     const StateBatch& sourceStates,
                                     const ImageDescriptor& suggested) override;
    void validate(const pewter::mps::BinaryEncoding& encoding) const override;
    void record(pewter::mps::BinaryEncoding& encoding) override;

private:
    float alpha_ = 1, beta_ = 5, delta_ = 1;
};

/// MPSCNNLocalContrastNormalization: subtracts the local mean and divides by a power of the local variance,
/// channel by channel.
///
///   y = pm + ps (x - p0 M) / T^beta,   T = delta + alpha V
///
/// M is the mean and V the mean squared deviation from it over the window, which lies as for
/// CNNSpatialNormalization. Taps outside the source take part with what edgeMode() says they read. Shapes and
/// state as there. Source: MPSCNNNormalization.h.
class PEWTER_API CNNLocalContrastNormalization final : public CNNKernel {
public:
    /// Width and height may differ. Throws MPS::Error for a 0.
    /// Objective-C: -initWithDevice:kernelWidth:kernelHeight:
    CNNLocalContrastNormalization(std::shared_ptr<MTL::Device> device, std::size_t kernelWidth,
                                  std::size_t kernelHeight);

    /// Default 0: the variance does not count.
    float alpha() const { return alpha_; }
    void setAlpha(float alpha) { alpha_ = alpha; }
    /// Default 0.5.
    float beta() const { return beta_; }
    void setBeta(float beta) { beta_ = beta; }
    /// Default 1/1024.
    float delta() const { return delta_; }
    void setDelta(float delta) { delta_ = delta; }
    /// Weight of the mean. Default 1.
    float p0() const { return p0_; }
    void setP0(float p0) { p0_ = p0; }
    /// Mean of the result. Default 0.
    float pm() const { return pm_; }
    void setPm(float pm) { pm_ = pm; }
    /// Scale of the result. Default 1.
    float ps() const { return ps_; }
    void setPs(float ps) { ps_ = ps; }

    const char* className() const override { return "CNNLocalContrastNormalization"; }
    std::shared_ptr<Kernel> copy(const std::shared_ptr<MTL::Device>& device = nullptr) const override;

protected:
    std::shared_ptr<State> newResultState(const StateOwner& owner, const std::shared_ptr<Image>& sourceImage,
                                          const StateBatch& sourceStates,
                                          const std::shared_ptr<Image>& destinationImage) override;
    void record(pewter::mps::UnaryEncoding& encoding) override;
    std::shared_ptr<pewter::mps::ForwardRecord> captureRecord(const Image& source,
                                                              const Image& destination) const override;

private:
    float alpha_ = 0, beta_ = 0.5f, delta_ = 1.0f / 1024, p0_ = 1, pm_ = 0, ps_ = 1;
};

/// MPSCNNLocalContrastNormalizationGradient: with A = g / T^beta, B = g (x - p0 M) / T^(beta + 1) and sums
/// over the windows that contain a pixel,
///
///   dx = ps (A - (p0 / N) sum A - (2 alpha beta / N) (x sum B - sum B M))
///
/// The source image is the forward *input*. Source: MPSCNNNormalization.h.
class PEWTER_API CNNLocalContrastNormalizationGradient final : public CNNGradientKernel {
public:
    /// Objective-C: -initWithDevice:kernelWidth:kernelHeight:
    CNNLocalContrastNormalizationGradient(std::shared_ptr<MTL::Device> device, std::size_t kernelWidth,
                                          std::size_t kernelHeight);

    /// Default 0.
    float alpha() const { return alpha_; }
    void setAlpha(float alpha) { alpha_ = alpha; }
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

    void configure(const pewter::mps::ForwardRecord& forward) override;
    const char* className() const override { return "CNNLocalContrastNormalizationGradient"; }
    std::shared_ptr<Kernel> copy(const std::shared_ptr<MTL::Device>& device = nullptr) const override;

protected:
    ImageDescriptor adjustDescriptor(const std::vector<std::shared_ptr<Image>>& sourceImages,
                                     const StateBatch& sourceStates,
                                     const ImageDescriptor& suggested) override;
    void validate(const pewter::mps::BinaryEncoding& encoding) const override;
    void record(pewter::mps::BinaryEncoding& encoding) override;

private:
    float alpha_ = 0, beta_ = 0.5f, delta_ = 1.0f / 1024, p0_ = 1, pm_ = 0, ps_ = 1;
};

/// MPSCNNCrossChannelNormalization: divides each channel by a power of the mean square of its neighbouring
/// channels, pixel by pixel.
///
///   y_k = x_k / L_k^beta,   L_k = delta + (alpha / N) * sum of x_q^2,   q = k - floor(N / 2) ... k +
///   floor((N - 1) / 2)
///
/// N = kernelSize, also where the window reaches past the first or last channel *read*
/// (sourceFeatureChannelOffset and -MaxCount select those). Shapes: [N,H,W,C] to the same. State:
/// NNGradientState, one an image. Source: MPSCNNNormalization.h.
class PEWTER_API CNNCrossChannelNormalization final : public CNNKernel {
public:
    /// Throws MPS::Error for kernelSize 0.   Objective-C: -initWithDevice:kernelSize:
    explicit CNNCrossChannelNormalization(std::shared_ptr<MTL::Device> device, std::size_t kernelSize = 5);

    /// Default 1. Throws MPS::Error below 0.
    float alpha() const { return alpha_; }
    void setAlpha(float alpha);
    /// Default 5.
    float beta() const { return beta_; }
    void setBeta(float beta) { beta_ = beta; }
    /// Default 1.
    float delta() const { return delta_; }
    void setDelta(float delta) { delta_ = delta; }
    /// Channels of a window.
    std::size_t kernelSize() const { return kernelSize_; }

    const char* className() const override { return "CNNCrossChannelNormalization"; }
    std::shared_ptr<Kernel> copy(const std::shared_ptr<MTL::Device>& device = nullptr) const override;

protected:
    std::shared_ptr<State> newResultState(const StateOwner& owner, const std::shared_ptr<Image>& sourceImage,
                                          const StateBatch& sourceStates,
                                          const std::shared_ptr<Image>& destinationImage) override;
    void record(pewter::mps::UnaryEncoding& encoding) override;
    std::shared_ptr<pewter::mps::ForwardRecord> captureRecord(const Image& source,
                                                              const Image& destination) const override;

private:
    std::size_t kernelSize_;
    float alpha_ = 1, beta_ = 5, delta_ = 1;
};

/// MPSCNNCrossChannelNormalizationGradient: with sums over the channels r whose window contains k,
///
///   dx_k = g_k / L_k^beta - (2 alpha beta / N) x_k * sum of g_r x_r / L_r^(beta + 1)
///
/// The source image is the forward *input*. Source: MPSCNNNormalization.h.
class PEWTER_API CNNCrossChannelNormalizationGradient final : public CNNGradientKernel {
public:
    /// Objective-C: -initWithDevice:kernelSize:
    explicit CNNCrossChannelNormalizationGradient(std::shared_ptr<MTL::Device> device,
                                                  std::size_t kernelSize = 5);

    /// Default 1. Throws MPS::Error below 0.
    float alpha() const { return alpha_; }
    void setAlpha(float alpha);
    /// Default 5.
    float beta() const { return beta_; }
    void setBeta(float beta) { beta_ = beta; }
    /// Default 1.
    float delta() const { return delta_; }
    void setDelta(float delta) { delta_ = delta; }
    std::size_t kernelSize() const { return kernelSize_; }

    void configure(const pewter::mps::ForwardRecord& forward) override;
    const char* className() const override { return "CNNCrossChannelNormalizationGradient"; }
    std::shared_ptr<Kernel> copy(const std::shared_ptr<MTL::Device>& device = nullptr) const override;

protected:
    ImageDescriptor adjustDescriptor(const std::vector<std::shared_ptr<Image>>& sourceImages,
                                     const StateBatch& sourceStates,
                                     const ImageDescriptor& suggested) override;
    void validate(const pewter::mps::BinaryEncoding& encoding) const override;
    void record(pewter::mps::BinaryEncoding& encoding) override;

private:
    std::size_t kernelSize_;
    float alpha_ = 1, beta_ = 5, delta_ = 1;
};

}  // namespace MPS
