#pragma once

#include <memory>

#include <MPS/State.hpp>

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

}  // namespace MPS
