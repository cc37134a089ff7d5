#pragma once

#include <MPS/CNNGradientKernel.hpp>
#include <MPS/CNNKernel.hpp>
#include <optional>

namespace pewter::mps {
struct ReshapeAccess;
}

namespace MPS {

/// MPSNNReshape: copies all elements of an image into another width x height x channels.
///
/// Element l = (y W + x) C + c of the source, channels fastest, goes to element l of the destination; lanes
/// that pad channels to a multiple of 4 do not take part. The source is the window of channels of
/// sourceFeatureChannelOffset and MaxCount, the destination the clip rectangle with all channels from
/// destinationFeatureChannelOffset on; both must hold equally many elements. offset and padding have no
/// effect; encodes that return their image without naming a shape keep that of the source.
/// State: NNGradientState. Source: MPSNNReshape.h.
class PEWTER_API NNReshape final : public CNNKernel {
public:
    /// Objective-C: -initWithDevice:
    explicit NNReshape(std::shared_ptr<MTL::Device> device);

    using CNNKernel::encode;
    using CNNKernel::encodeBatch;
    /// Objective-C: -encodeToCommandBuffer:sourceImage:reshapedWidth:reshapedHeight:reshapedFeatureChannels:
    std::shared_ptr<Image> encode(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
                                  const std::shared_ptr<Image>& sourceImage, std::size_t reshapedWidth,
                                  std::size_t reshapedHeight, std::size_t reshapedFeatureChannels);
    /// Objective-C: -encodeToCommandBuffer:sourceImage:destinationState:destinationStateIsTemporary:reshapedWidth:reshapedHeight:reshapedFeatureChannels:
    std::shared_ptr<Image> encode(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
                                  const std::shared_ptr<Image>& sourceImage,
                                  std::shared_ptr<State>* destinationState, bool destinationStateIsTemporary,
                                  std::size_t reshapedWidth, std::size_t reshapedHeight,
                                  std::size_t reshapedFeatureChannels);
    /// Objective-C:
    /// -encodeBatchToCommandBuffer:sourceImages:reshapedWidth:reshapedHeight:reshapedFeatureChannels:
    ImageBatch encodeBatch(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
                           const ImageBatch& sourceImages, std::size_t reshapedWidth,
                           std::size_t reshapedHeight, std::size_t reshapedFeatureChannels);
    /// Objective-C: -encodeBatchToCommandBuffer:sourceImages:destinationStates:destinationStateIsTemporary:reshapedWidth:reshapedHeight:reshapedFeatureChannels:
    ImageBatch encodeBatch(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
                           const ImageBatch& sourceImages, StateBatch* destinationStates,
                           bool destinationStateIsTemporary, std::size_t reshapedWidth,
                           std::size_t reshapedHeight, std::size_t reshapedFeatureChannels);

    const char* className() const override { return "NNReshape"; }
    std::shared_ptr<Kernel> copy(const std::shared_ptr<MTL::Device>& device = nullptr) const override;

protected:
    bool ignoresPadding() const override { return true; }
    ImageDescriptor adjustDescriptor(const std::vector<std::shared_ptr<Image>>& sourceImages,
                                     const StateBatch& sourceStates,
                                     const ImageDescriptor& suggested) override;
    std::shared_ptr<State> newResultState(const StateOwner& owner, const std::shared_ptr<Image>& sourceImage,
                                          const StateBatch& sourceStates,
                                          const std::shared_ptr<Image>& destinationImage) override;
    std::shared_ptr<pewter::mps::ForwardRecord> captureRecord(const Image& source,
                                                              const Image& destination) const override;
    void fitToDestination(pewter::mps::UnaryEncoding& encoding) const override;
    void validate(const pewter::mps::UnaryEncoding& encoding) const override;
    void record(pewter::mps::UnaryEncoding& encoding) override;

private:
    friend struct pewter::mps::ReshapeAccess;
    struct Shape {
        std::size_t width, height, featureChannels;
    };
    /// The shape of the encode that is going on.
    std::optional<Shape> reshaped_;

    template <class Encode>
    auto withShape(const Shape& shape, Encode encode);
};

/// MPSNNReshapeGradient: the incoming gradient in the shape of the forward source. The source image gives
/// nothing but its size. Source: MPSNNReshape.h.
class PEWTER_API NNReshapeGradient final : public CNNGradientKernel {
public:
    /// Objective-C: -initWithDevice:
    explicit NNReshapeGradient(std::shared_ptr<MTL::Device> device);

    void configure(const pewter::mps::ForwardRecord& forward) override;
    const char* className() const override { return "NNReshapeGradient"; }
    std::shared_ptr<Kernel> copy(const std::shared_ptr<MTL::Device>& device = nullptr) const override;

protected:
    ImageDescriptor adjustDescriptor(const std::vector<std::shared_ptr<Image>>& sourceImages,
                                     const StateBatch& sourceStates,
                                     const ImageDescriptor& suggested) override;
    void validate(const pewter::mps::BinaryEncoding& encoding) const override;
    void record(pewter::mps::BinaryEncoding& encoding) override;
};

}  // namespace MPS
