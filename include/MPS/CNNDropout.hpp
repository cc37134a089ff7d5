#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include <MPS/CNNGradientKernel.hpp>
#include <MPS/CNNKernel.hpp>

namespace pewter::mps {
struct DropoutAccess;
}

namespace MPS {

/// MPSCNNDropoutGradientState: the mask that one forward encode drew, and the parameters that drew it. One an
/// image.
class PEWTER_API CNNDropoutGradientState final : public NNGradientState {
public:
    /// One byte a mask element, 0 or 1, in the order row, column, channel. For debugging; undefined before
    /// the encode, which must have completed. Throws MPS::Error for a temporary state.   Objective-C:
    /// -maskData
    std::vector<std::uint8_t> maskData();

    const MTL::Size& maskStrideInPixels() const { return maskStride_; }
    float keepProbability() const { return keepProbability_; }
    /// Width, height and channels of the mask: 1 along each broadcast dimension.
    const MTL::Size& maskSize() const { return maskSize_; }

    const char* className() const override { return "CNNDropoutGradientState"; }

    /// For CNNDropout.
    CNNDropoutGradientState(const StateOwner& owner, float keepProbability, std::uint64_t seed,
                            const MTL::Size& maskStrideInPixels, const MTL::Size& maskSize);

protected:
    void describe(Facts& facts) const override;

private:
    float keepProbability_;
    std::uint64_t seed_;
    MTL::Size maskStride_, maskSize_;
};

/// MPSCNNDropoutGradientStateBatch.
using CNNDropoutGradientStateBatch = std::vector<std::shared_ptr<CNNDropoutGradientState>>;

/// MPSCNNDropout: y = k x / keepProbability, k drawn from {0, 1} with P(k = 1) = keepProbability.
///
/// Shapes: [N,H,W,C] to the same. The draw of an element depends on seed, the number of encodes of this
/// kernel so far, the image's index in the batch and the element's index in the mask (Philox 4x32-10), so
/// that every device draws the same masks. State: CNNDropoutGradientState, one an image. Source:
/// MPSCNNDropout.h.
class PEWTER_API CNNDropout final : public CNNKernel {
public:
    /// maskStrideInPixels: each of width, height, depth (channels) 1 for a value of its own per coordinate, 0
    /// for one value along that dimension. Throws MPS::Error for a probability outside (0, 1) or another
    /// stride. Objective-C: -initWithDevice:keepProbability:seed:maskStrideInPixels:
    CNNDropout(std::shared_ptr<MTL::Device> device, float keepProbability, std::uint64_t seed = 0,
               const MTL::Size& maskStrideInPixels = {1, 1, 1});

    float keepProbability() const { return keepProbability_; }
    std::uint64_t seed() const { return seed_; }
    const MTL::Size& maskStrideInPixels() const { return maskStride_; }

    const char* className() const override { return "CNNDropout"; }
    /// The copy begins its count of encodes anew.
    std::shared_ptr<Kernel> copy(const std::shared_ptr<MTL::Device>& device = nullptr) const override;

protected:
    std::shared_ptr<State> newResultState(const StateOwner& owner, const std::shared_ptr<Image>& sourceImage,
                                          const StateBatch& sourceStates,
                                          const std::shared_ptr<Image>& destinationImage) override;
    void validate(const pewter::mps::UnaryEncoding& encoding) const override;
    void record(pewter::mps::UnaryEncoding& encoding) override;

private:
    MTL::Size maskExtents(std::size_t width, std::size_t height, std::size_t channels) const;

    float keepProbability_;
    std::uint64_t seed_, encodes_ = 0;
    std::shared_ptr<const std::uint64_t> sequenceOfRun_;
    MTL::Size maskStride_;

    friend struct pewter::mps::DropoutAccess;
};

/// MPSCNNDropoutGradient: dx = g * mask / keepProbability with the mask of the state.
///
/// Element (row, column) takes mask element (row + secondaryOffset.y, column + secondaryOffset.x); outside
/// it, 0. The source image is not read; its size is the result's.
class PEWTER_API CNNDropoutGradient final : public CNNGradientKernel {
public:
    /// The three parameters must be the forward kernel's.
    /// Objective-C: -initWithDevice:keepProbability:seed:maskStrideInPixels:
    CNNDropoutGradient(std::shared_ptr<MTL::Device> device, float keepProbability, std::uint64_t seed = 0,
                       const MTL::Size& maskStrideInPixels = {1, 1, 1});

    float keepProbability() const { return keepProbability_; }
    std::uint64_t seed() const { return seed_; }
    const MTL::Size& maskStrideInPixels() const { return maskStride_; }

    void configure(const pewter::mps::ForwardRecord& forward) override;
    const char* className() const override { return "CNNDropoutGradient"; }
    std::shared_ptr<Kernel> copy(const std::shared_ptr<MTL::Device>& device = nullptr) const override;

protected:
    const char* acceptedState() const override { return "CNNDropoutGradientState"; }
    bool accepts(const State& state) const override;
    ImageDescriptor adjustDescriptor(const std::vector<std::shared_ptr<Image>>& sourceImages,
                                     const StateBatch& sourceStates,
                                     const ImageDescriptor& suggested) override;
    void validate(const pewter::mps::BinaryEncoding& encoding) const override;
    void record(pewter::mps::BinaryEncoding& encoding) override;

private:
    float keepProbability_;
    std::uint64_t seed_;
    MTL::Size maskStride_;
};

}  // namespace MPS
