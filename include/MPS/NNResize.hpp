#pragma once

#include <memory>
#include <vector>

#include <MPS/CNNKernel.hpp>

namespace MPS {

/// MPSNNResizeBilinear: an image resampled to a fixed size, channel by channel.
///
/// Shapes: [N,H,W,C] to [N, resizeHeight, resizeWidth, C]; the padding policy has no say. For an axis of n
/// pixels made N, clip pixel i is the mean of the pixels around offset + g(i): with alignCorners g(i) = i (n
/// - 1) / (N - 1), 0 when N is 1; without g(i) = i n / N. Positions outside the source are moved to its
/// nearest pixel. Nothing is smoothed when the image shrinks. There is no gradient kernel and no state.
/// Source: MPSNNResize.h.
class PEWTER_API NNResizeBilinear final : public CNNKernel {
public:
    /// Throws MPS::Error for a size of 0.
    /// Objective-C: -initWithDevice:resizeWidth:resizeHeight:alignCorners:
    NNResizeBilinear(std::shared_ptr<MTL::Device> device, std::size_t resizeWidth, std::size_t resizeHeight,
                     bool alignCorners = false);

    std::size_t resizeWidth() const { return width_; }
    std::size_t resizeHeight() const { return height_; }
    bool alignCorners() const { return alignCorners_; }

    const char* className() const override { return "NNResizeBilinear"; }
    std::shared_ptr<Kernel> copy(const std::shared_ptr<MTL::Device>& device = nullptr) const override;

protected:
    bool ignoresPadding() const override { return true; }
    ImageDescriptor adjustDescriptor(const std::vector<std::shared_ptr<Image>>& sourceImages,
                                     const StateBatch& sourceStates,
                                     const ImageDescriptor& suggested) override;
    void record(pewter::mps::UnaryEncoding& encoding) override;

private:
    std::size_t width_, height_;
    bool alignCorners_;
};

/// MPSNNCropAndResizeBilinear: boxes of an image, each resampled to one size.
///
/// A region is given in parts of the image, 0 the centre of its first pixel and 1 that of its last. Pixel i
/// of a result of w pixels from a source of W, region (x, width), lies at
///   g(i) = x (W - 1) + i width (W - 1) / (w - 1),   (x + width / 2) (W - 1) when w is 1
/// and is the mean of the pixels around it, or 0 outside [0, W - 1]; rows likewise. A negative width mirrors.
/// Region r of source picture b goes to destination picture b * numberOfRegions + r: a destination image
/// holds numberOfRegions pictures for each of the source. clipRect().origin.z is the first of them,
/// clipRect().size.depth counts pictures of the source. origin.z and size.depth of regions are not used,
/// offset() moves all regions. There is no gradient kernel and no state. Source: MPSNNResize.h.
class PEWTER_API NNCropAndResizeBilinear final : public CNNKernel {
public:
    /// Copies the regions. Throws MPS::Error for a size of 0, no regions, and numbers that are not finite.
    /// Objective-C: -initWithDevice:resizeWidth:resizeHeight:numberOfRegions:regions:
    NNCropAndResizeBilinear(std::shared_ptr<MTL::Device> device, std::size_t resizeWidth,
                            std::size_t resizeHeight, std::size_t numberOfRegions, const Region* regions);

    std::size_t resizeWidth() const { return width_; }
    std::size_t resizeHeight() const { return height_; }
    std::size_t numberOfRegions() const { return regions_->size(); }
    /// numberOfRegions() of them; live as long as the kernel and its copies.
    const Region* regions() const { return regions_->data(); }

    // The batch forms encode image by image: each result holds numberOfRegions pictures of one source image.
    // A temporary source image may come once in a batch. As in CNNKernel otherwise.

    /// Objective-C: -encodeBatchToCommandBuffer:sourceImages:destinationImages:
    void encodeBatch(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer, const ImageBatch& sourceImages,
                     const ImageBatch& destinationImages);
    /// Objective-C: -encodeBatchToCommandBuffer:sourceImages:destinationStates:destinationImages:
    void encodeBatch(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer, const ImageBatch& sourceImages,
                     const StateBatch& destinationStates, const ImageBatch& destinationImages);
    /// Objective-C: -encodeBatchToCommandBuffer:sourceImages:
    ImageBatch encodeBatch(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
                           const ImageBatch& sourceImages);
    /// *destinationStates becomes empty: the kernel has no states.
    /// Objective-C: -encodeBatchToCommandBuffer:sourceImages:destinationStates:destinationStateIsTemporary:
    ImageBatch encodeBatch(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
                           const ImageBatch& sourceImages, StateBatch* destinationStates,
                           bool destinationStateIsTemporary);

    const char* className() const override { return "NNCropAndResizeBilinear"; }
    std::shared_ptr<Kernel> copy(const std::shared_ptr<MTL::Device>& device = nullptr) const override;

protected:
    bool ignoresPadding() const override { return true; }
    ImageDescriptor adjustDescriptor(const std::vector<std::shared_ptr<Image>>& sourceImages,
                                     const StateBatch& sourceStates,
                                     const ImageDescriptor& suggested) override;
    void validate(const pewter::mps::UnaryEncoding& encoding) const override;
    void record(pewter::mps::UnaryEncoding& encoding) override;

private:
    std::size_t width_, height_;
    std::shared_ptr<const std::vector<Region>> regions_;
};

}  // namespace MPS
