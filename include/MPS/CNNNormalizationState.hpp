#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <MPS/NNGradientState.hpp>
#include <MPS/State.hpp>

namespace pewter::mps {
struct GroupNormalizationParameters;
struct GroupNormalizationAccess;
}  // namespace pewter::mps

namespace MPS {

/// MPSCNNNormalizationGammaAndBetaState: scale and bias on their way into a normalisation kernel; float32,
/// one value a channel (more are ignored). Source: MPSCNNNormalizationWeights.h.
class PEWTER_API CNNNormalizationGammaAndBetaState final : public State {
public:
    /// Wraps the buffers without copying. Throws MPS::Error for null.   Objective-C: -initWithGamma:beta:
    CNNNormalizationGammaAndBetaState(std::shared_ptr<MTL::Buffer> gamma, std::shared_ptr<MTL::Buffer> beta);
    /// Read count 1; a reload lowers it.
    /// Objective-C: +temporaryStateWithCommandBuffer:numberOfFeatureChannels:
    static std::shared_ptr<CNNNormalizationGammaAndBetaState> temporaryState(
        const std::shared_ptr<MTL::CommandBuffer>& commandBuffer, std::size_t numberOfFeatureChannels);

    /// Never null.
    std::shared_ptr<MTL::Buffer> gamma();
    std::shared_ptr<MTL::Buffer> beta();

    const char* className() const override { return "CNNNormalizationGammaAndBetaState"; }

private:
    CNNNormalizationGammaAndBetaState(const StateOwner& owner, std::size_t numberOfFeatureChannels);
};

/// MPSCNNNormalizationMeanAndVarianceState: stored statistics on their way into a batch normalisation.
class PEWTER_API CNNNormalizationMeanAndVarianceState final : public State {
public:
    /// Wraps the buffers without copying. Throws MPS::Error for null.   Objective-C: -initWithMean:variance:
    CNNNormalizationMeanAndVarianceState(std::shared_ptr<MTL::Buffer> mean,
                                         std::shared_ptr<MTL::Buffer> variance);
    /// Read count 1; a reload lowers it.
    /// Objective-C: +temporaryStateWithCommandBuffer:numberOfFeatureChannels:
    static std::shared_ptr<CNNNormalizationMeanAndVarianceState> temporaryState(
        const std::shared_ptr<MTL::CommandBuffer>& commandBuffer, std::size_t numberOfFeatureChannels);

    /// Never null.
    std::shared_ptr<MTL::Buffer> mean();
    std::shared_ptr<MTL::Buffer> variance();

    const char* className() const override { return "CNNNormalizationMeanAndVarianceState"; }

private:
    CNNNormalizationMeanAndVarianceState(const StateOwner& owner, std::size_t numberOfFeatureChannels);
};

/// What the gradient states of instance and group normalisation have in common; no class of Apple's.
///
/// One an image. The forward encode records the statistics of the image and which gamma and beta it used; the
/// gradient encode writes (never adds) the gradients of this image alone. A batch's gradient is the sum over
/// its states: batchGradient().
class PEWTER_API CNNNormalizationGradientState : public NNGradientState {
public:
    /// float32, one value a channel: the kernel's current values, after a forward encode those that it used.
    /// A reload from a state, later in command order, shows here too.   Objective-C: -gamma, -beta
    std::shared_ptr<MTL::Buffer> gamma() const;
    std::shared_ptr<MTL::Buffer> beta() const;
    /// float32, one value a channel (float64 when the state was made for a Float64 image); undefined before
    /// the gradient encode has run. Throws MPS::Error for a temporary state whose count is 0. Objective-C:
    /// -gradientForGamma, -gradientForBeta
    std::shared_ptr<MTL::Buffer> gradientForGamma();
    std::shared_ptr<MTL::Buffer> gradientForBeta();

    /// An addition to MPS: encodes the sums of both gradients over the states of a batch and returns them as
    /// the pair of a temporary state (gradient of gamma in gamma(), of beta in beta(), float32) with read
    /// count 1. Every distinct temporary state of the batch loses one read, which is what an update callback
    /// owes. Throws MPS::Error for an empty batch, null, states of different channel counts or devices, and
    /// states without gradients.
    template <class GradientState>
    static std::shared_ptr<CNNNormalizationGammaAndBetaState> batchGradient(
        const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
        const std::vector<std::shared_ptr<GradientState>>& states) {
        return sumOf(commandBuffer, {states.begin(), states.end()});
    }

protected:
    /// For kernels: statistics of `images` pictures.
    CNNNormalizationGradientState(const StateOwner& owner,
                                  std::shared_ptr<pewter::mps::GroupNormalizationParameters> parameters,
                                  std::size_t images, std::size_t bytesPerValue);
    void describe(Facts& facts) const override;

private:
    static std::shared_ptr<CNNNormalizationGammaAndBetaState> sumOf(
        const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
        const std::vector<std::shared_ptr<CNNNormalizationGradientState>>& states);

    std::shared_ptr<pewter::mps::GroupNormalizationParameters> parameters_;
    /// Those of the last forward encode.
    std::shared_ptr<MTL::Buffer> gamma_, beta_;
    std::size_t groups_, images_;
    /// Whether a forward and a gradient encode wrote here; decided at encode time.
    bool filled_ = false, differentiated_ = false;

    friend struct pewter::mps::GroupNormalizationAccess;
};

}  // namespace MPS
