#pragma once

#include <MPS/CNNGradientKernel.hpp>
#include <MPS/CNNKernel.hpp>

namespace pewter::mps {

/// Copies one source of an NNConcatenationNode to its channels, which begin at
/// destinationFeatureChannelOffset(). MPS has no such kernel; the padding policy has no say. State:
/// NNGradientState.
class Concatenation final : public MPS::CNNKernel {
public:
    explicit Concatenation(std::shared_ptr<MTL::Device> device);
    const char* className() const override { return "NNConcatenation"; }
    std::shared_ptr<MPS::Kernel> copy(const std::shared_ptr<MTL::Device>& device = nullptr) const override;
    /// False: the next encodes find the pixels where they belong. Default true.
    void setCopies(bool copies) { copies_ = copies; }

protected:
    bool ignoresPadding() const override { return true; }
    std::shared_ptr<MPS::State> newResultState(const MPS::StateOwner& owner,
                                               const std::shared_ptr<MPS::Image>& sourceImage,
                                               const MPS::StateBatch& sourceStates,
                                               const std::shared_ptr<MPS::Image>& destinationImage) override;
    void record(UnaryEncoding& encoding) override;

private:
    bool copies_ = true;
};

/// The channels of the incoming gradient that the forward kernel wrote. The source image gives nothing but
/// its size.
class ConcatenationGradient final : public MPS::CNNGradientKernel {
public:
    explicit ConcatenationGradient(std::shared_ptr<MTL::Device> device);
    void configure(const ForwardRecord& forward) override;
    const char* className() const override { return "NNConcatenationGradient"; }
    std::shared_ptr<MPS::Kernel> copy(const std::shared_ptr<MTL::Device>& device = nullptr) const override;
    /// False: the result is a part of the incoming gradient. Default true.
    void setCopies(bool copies) { copies_ = copies; }

protected:
    MPS::ImageDescriptor adjustDescriptor(const std::vector<std::shared_ptr<MPS::Image>>& sourceImages,
                                          const MPS::StateBatch& sourceStates,
                                          const MPS::ImageDescriptor& suggested) override;
    void validate(const BinaryEncoding& encoding) const override;
    void record(BinaryEncoding& encoding) override;

private:
    bool copies_ = true;
};

}  // namespace pewter::mps
