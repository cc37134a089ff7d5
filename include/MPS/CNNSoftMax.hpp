#pragma once

#include <memory>

#include <MPS/CNNGradientKernel.hpp>
#include <MPS/CNNKernel.hpp>

namespace MPS {

/// MPSCNNSoftMax: probabilities from scores, across the channels of each pixel: exp(x_k) / sum_j exp(x_j),
/// shifted by the maximum. Shapes: [N,H,W,C] to the same. State: NNGradientState, one an image. Source:
/// MPSCNNSoftMax.h.
class PEWTER_API CNNSoftMax : public CNNKernel {
public:
    /// Objective-C: -initWithDevice:
    explicit CNNSoftMax(std::shared_ptr<MTL::Device> device);

    const char* className() const override { return "CNNSoftMax"; }
    std::shared_ptr<Kernel> copy(const std::shared_ptr<MTL::Device>& device = nullptr) const override;

protected:
    virtual bool isLogarithm() const { return false; }
    std::shared_ptr<State> newResultState(const StateOwner& owner, const std::shared_ptr<Image>& sourceImage,
                                          const StateBatch& sourceStates,
                                          const std::shared_ptr<Image>& destinationImage) override;
    void record(pewter::mps::UnaryEncoding& encoding) override;
};

/// MPSCNNLogSoftMax: x_k - ln sum_j exp(x_j).
class PEWTER_API CNNLogSoftMax final : public CNNSoftMax {
public:
    /// Objective-C: -initWithDevice:
    explicit CNNLogSoftMax(std::shared_ptr<MTL::Device> device);

    const char* className() const override { return "CNNLogSoftMax"; }
    std::shared_ptr<Kernel> copy(const std::shared_ptr<MTL::Device>& device = nullptr) const override;

protected:
    bool isLogarithm() const override { return true; }
};

/// MPSCNNSoftMaxGradient: s_k (g_k - sum_j g_j s_j), s the forward kernel's result.
///
/// The source image of this kernel is the forward *result*, not its input. A gradient pixel belongs to the
/// result's pixel of the same position.
class PEWTER_API CNNSoftMaxGradient : public CNNGradientKernel {
public:
    /// Objective-C: -initWithDevice:
    explicit CNNSoftMaxGradient(std::shared_ptr<MTL::Device> device);

    /// Forward offset, channels and edge mode are facts of the forward input; what this kernel reads is the
    /// result.
    void configure(const pewter::mps::ForwardRecord& forward) override;
    const char* className() const override { return "CNNSoftMaxGradient"; }
    std::shared_ptr<Kernel> copy(const std::shared_ptr<MTL::Device>& device = nullptr) const override;

protected:
    virtual bool isLogarithm() const { return false; }
    ImageDescriptor adjustDescriptor(const std::vector<std::shared_ptr<Image>>& sourceImages,
                                     const StateBatch& sourceStates,
                                     const ImageDescriptor& suggested) override;
    bool accepts(const State& state) const override;
    void validate(const pewter::mps::BinaryEncoding& encoding) const override;
    void record(pewter::mps::BinaryEncoding& encoding) override;
};

/// MPSCNNLogSoftMaxGradient: g_k - exp(l_k) sum_j g_j, l the forward kernel's result.
class PEWTER_API CNNLogSoftMaxGradient final : public CNNSoftMaxGradient {
public:
    /// Objective-C: -initWithDevice:
    explicit CNNLogSoftMaxGradient(std::shared_ptr<MTL::Device> device);

    const char* className() const override { return "CNNLogSoftMaxGradient"; }
    std::shared_ptr<Kernel> copy(const std::shared_ptr<MTL::Device>& device = nullptr) const override;

protected:
    bool isLogarithm() const override { return true; }
};

}  // namespace MPS
