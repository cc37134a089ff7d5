#pragma once

#include <cstdint>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include <MPS/CNNKernel.hpp>
#include <MPS/CNNNormalizationState.hpp>
#include <MPS/CNNSampleNormalizationGradient.hpp>

namespace MPS {

class CNNInstanceNormalization;
class CNNInstanceNormalizationGradientState;

/// MPSCNNInstanceNormalizationGradientStateBatch: one state an image.
using CNNInstanceNormalizationGradientStateBatch =
    std::vector<std::shared_ptr<CNNInstanceNormalizationGradientState>>;

/// MPSCNNInstanceNormalizationDataSource: where an instance normalisation gets its scale and bias, and who
/// updates them. There are no stored statistics. Source: MPSCNNInstanceNormalization.h.
class PEWTER_API CNNInstanceNormalizationDataSource {
public:
    virtual ~CNNInstanceNormalizationDataSource();

    /// C.   Objective-C: numberOfFeatureChannels
    virtual std::size_t numberOfFeatureChannels() const = 0;
    /// C values each, valid between load() and purge(); null means 1 for gamma, 0 for beta. Read at
    /// construction and at a reload. Objective-C: -gamma, -beta
    virtual const float* gamma() = 0;
    virtual const float* beta() = 0;
    /// For error messages and as the kernel's label.
    virtual std::string label() const = 0;

    /// Default: FLT_MIN.   Objective-C: -epsilon
    virtual float epsilon() const { return std::numeric_limits<float>::min(); }
    /// Called before and after the values are read; false refuses. Defaults: true, nothing.
    /// Objective-C: -load, -purge (optional)
    virtual bool load() { return true; }
    virtual void purge() {}

    /// Update of scale and bias on the device: sums the gradients of the states over the batch
    /// (CNNNormalizationGradientState::batchGradient()), lowers the read count of every distinct temporary
    /// state by one and returns the new values, or null for no change. Must not touch the kernel. Default:
    /// lowers the counts, reports once for each data source that the method is missing, and returns null.
    /// Objective-C:
    /// -updateGammaAndBetaWithCommandBuffer:instanceNormalizationStateBatch:
    virtual std::shared_ptr<CNNNormalizationGammaAndBetaState> updateGammaAndBeta(
        const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
        const CNNInstanceNormalizationGradientStateBatch& instanceNormalizationStateBatch);
    /// Update on the host from states whose work is complete; true when the values changed. Default: false.
    /// Objective-C: -updateGammaAndBetaWithInstanceNormalizationStateBatch:
    virtual bool updateGammaAndBeta(
        const CNNInstanceNormalizationGradientStateBatch& instanceNormalizationStateBatch);

    /// A copy for a kernel that is copied to `device`, or null to share this object (the default).
    /// Objective-C: -copyWithZone:device:
    virtual std::shared_ptr<CNNInstanceNormalizationDataSource> copy(
        const std::shared_ptr<MTL::Device>& device) const;

private:
    bool reportedMissingUpdate_ = false;
};

/// MPSCNNInstanceNormalizationGradientState: statistics of one image from the forward encode, gradients for
/// gamma and beta from the gradient encode. The gradient encode lowers the read count by one. Source:
/// MPSCNNInstanceNormalization.h.
class PEWTER_API CNNInstanceNormalizationGradientState final : public CNNNormalizationGradientState {
public:
    /// The kernel that made the state, or null when it is gone.
    std::shared_ptr<CNNInstanceNormalization> instanceNormalization() const;

    const char* className() const override { return "CNNInstanceNormalizationGradientState"; }

    /// For CNNInstanceNormalization.
    CNNInstanceNormalizationGradientState(
        const StateOwner& owner, const std::shared_ptr<CNNInstanceNormalization>& kernel,
        std::shared_ptr<pewter::mps::GroupNormalizationParameters> parameters, std::size_t images,
        std::size_t bytesPerValue);

private:
    std::weak_ptr<CNNInstanceNormalization> kernel_;
};

/// MPSCNNInstanceNormalization: y = gamma[c] (x - mean) / sqrt(variance + epsilon) + beta[c], mean and biased
/// variance over the pixels of each channel of each image.
///
/// Shapes: [N,H,W,C] to the same, in training and inference alike. The statistics are those of the whole
/// image: an offset, a clip rectangle that does not cover the destination, or a destination of another size
/// throws MPS::Error. State: CNNInstanceNormalizationGradientState, one an image. Source:
/// MPSCNNInstanceNormalization.h.
class PEWTER_API CNNInstanceNormalization final : public CNNKernel {
public:
    /// Takes the parameters. Throws MPS::Error for a null data source, one without channels, or one that
    /// refuses to load. Objective-C: -initWithDevice:dataSource:
    CNNInstanceNormalization(std::shared_ptr<MTL::Device> device,
                             std::shared_ptr<CNNInstanceNormalizationDataSource> dataSource);

    std::size_t numberOfFeatureChannels() const;
    /// Default: the data source's.
    float epsilon() const;
    /// For encodes from now on.
    void setEpsilon(float epsilon);
    const std::shared_ptr<CNNInstanceNormalizationDataSource>& dataSource() const { return dataSource_; }

    /// From the data source given at construction; encodes made before keep the old values.
    /// Objective-C: -reloadGammaAndBetaFromDataSource
    void reloadGammaAndBetaFromDataSource();
    /// Deprecated: everything, epsilon too, from another source of as many channels.   Objective-C:
    /// -reloadDataSource:
    void reloadDataSource(const std::shared_ptr<CNNInstanceNormalizationDataSource>& dataSource);
    /// In command order; a temporary state loses one read. Throws MPS::Error for a state of fewer channels.
    /// Objective-C: -reloadGammaAndBetaWithCommandBuffer:gammaAndBetaState:
    void reloadGammaAndBeta(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
                            const std::shared_ptr<CNNNormalizationGammaAndBetaState>& gammaAndBetaState);

    const char* className() const override { return "CNNInstanceNormalization"; }
    std::shared_ptr<Kernel> copy(const std::shared_ptr<MTL::Device>& device = nullptr) const override;

protected:
    std::shared_ptr<State> newResultState(const StateOwner& owner, const std::shared_ptr<Image>& sourceImage,
                                          const StateBatch& sourceStates,
                                          const std::shared_ptr<Image>& destinationImage) override;
    void validate(const pewter::mps::UnaryEncoding& encoding) const override;
    void record(pewter::mps::UnaryEncoding& encoding) override;

private:
    friend struct pewter::mps::GroupNormalizationAccess;
    CNNInstanceNormalization(const CNNInstanceNormalization&) = default;
    void reload(CNNInstanceNormalizationDataSource& dataSource);

    std::shared_ptr<CNNInstanceNormalizationDataSource> dataSource_;
    std::shared_ptr<pewter::mps::GroupNormalizationParameters> parameters_;
};

/// MPSCNNInstanceNormalizationGradient: the gradient for the source image, and the gradients for gamma and
/// beta into the state.
///
/// With xh = (x - mean) r, r = 1 / sqrt(variance + epsilon), g the incoming gradient and m the pixels of the
/// image: beta gets B = sum g, gamma gets G = sum g xh, dx = gamma r (g - B / m - xh G / m). Gradient, source
/// image and state lose one read each.
class PEWTER_API CNNInstanceNormalizationGradient final : public CNNSampleNormalizationGradient {
public:
    /// Objective-C: -initWithDevice:
    explicit CNNInstanceNormalizationGradient(std::shared_ptr<MTL::Device> device);

    const char* className() const override { return "CNNInstanceNormalizationGradient"; }
    std::shared_ptr<Kernel> copy(const std::shared_ptr<MTL::Device>& device = nullptr) const override;
};

}  // namespace MPS
