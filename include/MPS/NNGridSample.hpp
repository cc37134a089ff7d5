#pragma once

#include <memory>
#include <vector>

#include <MPS/CNNBinaryKernel.hpp>

namespace MPS {

/// MPSNNGridSample: the primary image sampled at the positions that the secondary image, the grid, holds.
///
/// Shapes: [N,H,W,C] and [N,Ho,Wo,2 or more] to [N,Ho,Wo,C]. Channels 0 and 1 of the grid are x and y in
/// pixels of the primary image, whose centres are the whole numbers. A result pixel is the mean of the four
/// pixels around primaryOffset + (x, y), by their nearness; each of them that lies outside is read by
/// primaryEdgeMode(): 0 or the nearest pixel. A position that is not a number gives NaN. The grid is read
/// from secondaryOffset on, by secondaryEdgeMode(). Encodes that return their image size it by the grid and
/// set both offsets to 0. Strides must be 1. There is no gradient kernel and no state. Source:
/// MPSNNGridSample.h.
class PEWTER_API NNGridSample final : public CNNBinaryKernel {
public:
    /// Objective-C: -initWithDevice:
    explicit NNGridSample(std::shared_ptr<MTL::Device> device);

    /// Default true: the grid holds positions. False: it holds what is added to the position of the result's
    /// pixel in the clip rectangle.
    bool useGridValueAsInputCoordinate() const { return positions_; }
    void setUseGridValueAsInputCoordinate(bool use) { positions_ = use; }

    const char* className() const override { return "NNGridSample"; }
    std::shared_ptr<Kernel> copy(const std::shared_ptr<MTL::Device>& device = nullptr) const override;

protected:
    ImageDescriptor adjustDescriptor(const std::vector<std::shared_ptr<Image>>& sourceImages,
                                     const StateBatch& sourceStates,
                                     const ImageDescriptor& suggested) override;
    void validate(const pewter::mps::BinaryEncoding& encoding) const override;
    void record(pewter::mps::BinaryEncoding& encoding) override;

private:
    bool positions_ = true;
};

}  // namespace MPS
