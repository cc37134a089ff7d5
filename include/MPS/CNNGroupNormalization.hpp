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

class CNNGroupNormalization;
class CNNGroupNormalizationGradientState;

/// MPSCNNGroupNormalizationGradientStateBatch: one state an image.
using CNNGroupNormalizationGradientStateBatch =
    std::vector<std::shared_ptr<CNNGroupNormalizationGradientState>>;

/// MPSCNNGroupNormalizationDataSource: where a group normalisation gets its scale and bias, and who updates
/// them. There are no stored statistics. Source: MPSCNNGroupNormalization.h.
class PEWTER_API CNNGroupNormalizationDataSource {
public:
    virtual ~CNNGroupNormalizationDataSource();

    /// C.   Objective-C: numberOfFeatureChannels
    virtual std::size_t numberOfFeatureChannels() const = 0;
    /// Groups that the channels are cut into, C / groups neighbouring ones each.   Objective-C:
    /// numberOfGroups
    virtual std::size_t numberOfGroups() const = 0;
    virtual void setNumberOfGroups(std::size_t groups) = 0;
    /// C values each; null means 1 for gamma, 0 for beta. Read at construction and at a reload.
    /// Objective-C: -gamma, -beta
    virtual const float* gamma() = 0;
    virtual const float* beta() = 0;
    /// For error messages and as the kernel's label.
    virtual std::string label() const = 0;

    /// Default: FLT_MIN.   Objective-C: -epsilon
    virtual float epsilon() const { return std::numeric_limits<float>::min(); }

    /// Update of scale and bias on the device: sums the gradients of the states over the batch
    /// (CNNNormalizationGradientState::batchGradient()), lowers the read count of every distinct temporary
    /// state by one and returns the new values, or null for no change. Must not touch the kernel. Default:
    /// lowers the counts, reports once for each data source that the method is missing, and returns null.
    /// Objective-C:
    /// -updateGammaAndBetaWithCommandBuffer:groupNormalizationStateBatch:
    virtual std::shared_ptr<CNNNormalizationGammaAndBetaState> updateGammaAndBeta(
        const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
        const CNNGroupNormalizationGradientStateBatch& groupNormalizationStateBatch);
    /// Update on the host from states whose work is complete; true when the values changed. Default: false.
    /// Objective-C: -updateGammaAndBetaWithGroupNormalizationStateBatch:
    virtual bool updateGammaAndBeta(
        const CNNGroupNormalizationGradientStateBatch& groupNormalizationStateBatch);

    /// A copy for a kernel that is copied to `device`, or null to share this object (the default).
    /// Objective-C: -copyWithZone:device:
    virtual std::shared_ptr<CNNGroupNormalizationDataSource> copy(
        const std::shared_ptr<MTL::Device>& device) const;

private:
    bool reportedMissingUpdate_ = false;
};

/// MPSCNNGroupNormalizationGradientState: statistics of one image from the forward encode, gradients for
/// gamma and beta from the gradient encode. The gradient encode lowers the read count by one. Source:
/// MPSCNNGroupNormalization.h.
class PEWTER_API CNNGroupNormalizationGradientState final : public CNNNormalizationGradientState {
public:
    /// The kernel that made the state, or null when it is gone.
    std::shared_ptr<CNNGroupNormalization> groupNormalization() const;

    const char* className() const override { return "CNNGroupNormalizationGradientState"; }

    /// For CNNGroupNormalization.
    CNNGroupNormalizationGradientState(const StateOwner& owner,
                                       const std::shared_ptr<CNNGroupNormalization>& kernel,
                                       std::shared_ptr<pewter::mps::GroupNormalizationParameters> parameters,
                                       std::size_t images, std::size_t bytesPerValue);

private:
    std::weak_ptr<CNNGroupNormalization> kernel_;
};

/// MPSCNNGroupNormalization: y = gamma[c] (x - mean) / sqrt(variance + epsilon) + beta[c], mean and biased
/// variance over the pixels and channels of each group of each image.
///
/// Shapes: [N,H,W,C] to the same, in training and inference alike. The statistics are those of the whole
/// image: an offset, a clip rectangle that does not cover the destination, or a destination of another size
/// throws MPS::Error. State: CNNGroupNormalizationGradientState, one an image. Source:
/// MPSCNNGroupNormalization.h.
class PEWTER_API CNNGroupNormalization final : public CNNKernel {
public:
    /// Takes the parameters. Throws MPS::Error for a null data source, one without channels, or groups that
    /// do not divide them. Objective-C: -initWithDevice:dataSource:
    CNNGroupNormalization(std::shared_ptr<MTL::Device> device,
                          std::shared_ptr<CNNGroupNormalizationDataSource> dataSource);

    std::size_t numberOfFeatureChannels() const;
    /// As the data source had it at construction or the last reload.
    std::size_t numberOfGroups() const;
    /// Default: the data source's.
    float epsilon() const;
    /// For encodes from now on.
    void setEpsilon(float epsilon);
    const std::shared_ptr<CNNGroupNormalizationDataSource>& dataSource() const { return dataSource_; }

    /// From the data source given at construction; encodes made before keep the old values.
    /// Objective-C: -reloadGammaAndBetaFromDataSource
    void reloadGammaAndBetaFromDataSource();
    /// In command order; a temporary state loses one read. Throws MPS::Error for a state of fewer channels.
    /// Objective-C: -reloadGammaAndBetaWithCommandBuffer:gammaAndBetaState:
    void reloadGammaAndBeta(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
                            const std::shared_ptr<CNNNormalizationGammaAndBetaState>& gammaAndBetaState);

    const char* className() const override { return "CNNGroupNormalization"; }
    std::shared_ptr<Kernel> copy(const std::shared_ptr<MTL::Device>& device = nullptr) const override;

protected:
    std::shared_ptr<State> newResultState(const StateOwner& owner, const std::shared_ptr<Image>& sourceImage,
                                          const StateBatch& sourceStates,
                                          const std::shared_ptr<Image>& destinationImage) override;
    void validate(const pewter::mps::UnaryEncoding& encoding) const override;
    void record(pewter::mps::UnaryEncoding& encoding) override;

private:
    friend struct pewter::mps::GroupNormalizationAccess;
    CNNGroupNormalization(const CNNGroupNormalization&) = default;
    void reload(CNNGroupNormalizationDataSource& dataSource);

    std::shared_ptr<CNNGroupNormalizationDataSource> dataSource_;
    std::shared_ptr<pewter::mps::GroupNormalizationParameters> parameters_;
};

/// MPSCNNGroupNormalizationGradient: the gradient for the source image, and the gradients for gamma and beta
/// into the state.
///
/// With xh = (x - mean) r, r = 1 / sqrt(variance + epsilon), g the incoming gradient, h = gamma[c] g and S
/// the sum over the m pixels and channels of a group: beta gets sum g, gamma gets sum g xh over the pixels of
/// each channel, dx = r (h - S(h) / m - xh S(h xh) / m). Gradient, source image and state lose one read each.
class PEWTER_API CNNGroupNormalizationGradient final : public CNNSampleNormalizationGradient {
public:
    /// Objective-C: -initWithDevice:
    explicit CNNGroupNormalizationGradient(std::shared_ptr<MTL::Device> device);

    const char* className() const override { return "CNNGroupNormalizationGradient"; }
    std::shared_ptr<Kernel> copy(const std::shared_ptr<MTL::Device>& device = nullptr) const override;
};

}  // namespace MPS
