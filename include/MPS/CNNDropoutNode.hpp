#pragma once

#include <memory>

#include <MPS/NNFilterNode.hpp>
#include <MTL/Types.hpp>

namespace MPS {

/// MPSCNNDropoutNode: CNNDropout. Drops whenever it is in the graph: build the inference graph without it.
/// Source: MPSNNGraphNodes.h.
class PEWTER_API CNNDropoutNode final : public NNFilterNode {
public:
    /// keepProbability: strictly between 0 and 1. maskStrideInPixels: 1 for a mask value a coordinate, 0 to
    /// share it along the axis. Throws MPS::Error for other values. Objective-C: +nodeWithSource:,
    /// …keepProbability:, …keepProbability:seed:maskStrideInPixels:
    static std::shared_ptr<CNNDropoutNode> node(const std::shared_ptr<NNImageNode>& source,
                                                float keepProbability = 0.5F, std::size_t seed = 0,
                                                const MTL::Size& maskStrideInPixels = {1, 1, 1});
    explicit CNNDropoutNode(const std::shared_ptr<NNImageNode>& source, float keepProbability = 0.5F,
                            std::size_t seed = 0, const MTL::Size& maskStrideInPixels = {1, 1, 1});

    float keepProbability() const { return keepProbability_; }
    std::size_t seed() const { return seed_; }
    const MTL::Size& maskStrideInPixels() const { return maskStride_; }

protected:
    std::vector<std::unique_ptr<NNStateNode>> newStates() override;
    NNGradientFilterNodes newGradientFilters(const std::shared_ptr<NNImageNode>& gradientImage) override;
    std::unique_ptr<pewter::mps::Step> compile(pewter::mps::Compilation& compilation) const override;

private:
    float keepProbability_;
    std::size_t seed_;
    MTL::Size maskStride_;
};

/// MPSCNNDropoutGradientNode: CNNDropoutGradient, with the mask that the forward encode drew.
class PEWTER_API CNNDropoutGradientNode final : public NNGradientFilterNode {
public:
    /// Objective-C:
    /// +nodeWithSourceGradient:sourceImage:gradientState:keepProbability:seed:maskStrideInPixels:
    static std::shared_ptr<CNNDropoutGradientNode> node(
        const std::shared_ptr<NNImageNode>& sourceGradient, const std::shared_ptr<NNImageNode>& sourceImage,
        const std::shared_ptr<NNGradientStateNode>& gradientState, float keepProbability, std::size_t seed,
        const MTL::Size& maskStrideInPixels);
    CNNDropoutGradientNode(const std::shared_ptr<NNImageNode>& sourceGradient,
                           const std::shared_ptr<NNImageNode>& sourceImage,
                           const std::shared_ptr<NNGradientStateNode>& gradientState, float keepProbability,
                           std::size_t seed, const MTL::Size& maskStrideInPixels);

    float keepProbability() const { return keepProbability_; }
    std::size_t seed() const { return seed_; }
    const MTL::Size& maskStrideInPixels() const { return maskStride_; }

protected:
    std::unique_ptr<pewter::mps::Step> compile(pewter::mps::Compilation& compilation) const override;

private:
    float keepProbability_;
    std::size_t seed_;
    MTL::Size maskStride_;
};

}  // namespace MPS
