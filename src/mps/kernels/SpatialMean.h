#pragma once

#include <MPS/CNNGradientKernel.hpp>
#include <MPS/NNReduce.hpp>

namespace pewter::mps {

/// The mean of each channel over the pixels of clipRectSource(): 1 x 1 x channels. The kernel of
/// NNReductionSpatialMeanNode; MPS has no public one. State: NNGradientState, which keeps the region.
class SpatialMean final : public MPS::NNReduceUnary {
public:
    explicit SpatialMean(std::shared_ptr<MTL::Device> device);
    const char* className() const override { return "NNReduceSpatialMean"; }
    std::shared_ptr<MPS::Kernel> copy(const std::shared_ptr<MTL::Device>& device = nullptr) const override;

protected:
    std::shared_ptr<MPS::State> newResultState(const MPS::StateOwner& owner,
                                               const std::shared_ptr<MPS::Image>& sourceImage,
                                               const MPS::StateBatch& sourceStates,
                                               const std::shared_ptr<MPS::Image>& destinationImage) override;
    std::shared_ptr<ForwardRecord> captureRecord(const MPS::Image& source,
                                                 const MPS::Image& destination) const override;
};

/// The incoming gradient divided by the number of pixels of the region, in each of them; 0 outside. The
/// source image gives nothing but its size.
class SpatialMeanGradient final : public MPS::CNNGradientKernel {
public:
    explicit SpatialMeanGradient(std::shared_ptr<MTL::Device> device);
    void configure(const ForwardRecord& forward) override;
    const char* className() const override { return "NNReduceSpatialMeanGradient"; }
    std::shared_ptr<MPS::Kernel> copy(const std::shared_ptr<MTL::Device>& device = nullptr) const override;

protected:
    MPS::ImageDescriptor adjustDescriptor(const std::vector<std::shared_ptr<MPS::Image>>& sourceImages,
                                          const MPS::StateBatch& sourceStates,
                                          const MPS::ImageDescriptor& suggested) override;
    void validate(const BinaryEncoding& encoding) const override;
    void record(BinaryEncoding& encoding) override;
};

}  // namespace pewter::mps
