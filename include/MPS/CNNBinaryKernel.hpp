#pragma once

#include <memory>
#include <vector>

#include <MPS/Image.hpp>
#include <MPS/Kernel.hpp>
#include <MPS/NNPadding.hpp>
#include <MPS/State.hpp>

namespace pewter::mps {
struct BinaryEncoding;
struct ForwardRecord;
}  // namespace pewter::mps

namespace MPS {

class NNBinaryGradientState;

/// MPSCNNBinaryKernel: two source images, primary and secondary, to one destination image.
///
/// Encodes as in CNNKernel, each source lowered by one read. An object given as both sources is read twice.
/// The primary source gives the size of a returned result, unless its stride is 0 (broadcast). Source: MPSCNNKernel.h.
class PEWTER_API CNNBinaryKernel : public Kernel {
public:
    /// Addressing of one source; the properties below read and write it. Encodes refuse offsets beyond 2^40 pixels.
    struct SourceGeometry {
        Offset offset;
        std::size_t featureChannelOffset = 0;
        std::size_t featureChannelMaxCount = std::numeric_limits<std::size_t>::max();
        ImageEdgeMode edgeMode = ImageEdgeMode::Zero;
        std::size_t kernelWidth = 1, kernelHeight = 1;
        std::size_t strideInPixelsX = 1, strideInPixelsY = 1;
        std::size_t dilationRateX = 1, dilationRateY = 1;
    };

    const Offset& primaryOffset() const { return primary_.offset; }
    void setPrimaryOffset(const Offset& offset) { primary_.offset = offset; }
    const Offset& secondaryOffset() const { return secondary_.offset; }
    void setSecondaryOffset(const Offset& offset) { secondary_.offset = offset; }
    const MTL::Region& clipRect() const { return clipRect_; }
    void setClipRect(const MTL::Region& clipRect) { clipRect_ = clipRect; }
    std::size_t destinationFeatureChannelOffset() const { return destinationFeatureChannelOffset_; }
    void setDestinationFeatureChannelOffset(std::size_t channels) { destinationFeatureChannelOffset_ = channels; }
    std::size_t primarySourceFeatureChannelOffset() const { return primary_.featureChannelOffset; }
    void setPrimarySourceFeatureChannelOffset(std::size_t n) { primary_.featureChannelOffset = n; }
    std::size_t secondarySourceFeatureChannelOffset() const { return secondary_.featureChannelOffset; }
    void setSecondarySourceFeatureChannelOffset(std::size_t n) { secondary_.featureChannelOffset = n; }
    std::size_t primarySourceFeatureChannelMaxCount() const { return primary_.featureChannelMaxCount; }
    void setPrimarySourceFeatureChannelMaxCount(std::size_t n) { primary_.featureChannelMaxCount = n; }
    std::size_t secondarySourceFeatureChannelMaxCount() const { return secondary_.featureChannelMaxCount; }
    void setSecondarySourceFeatureChannelMaxCount(std::size_t n) { secondary_.featureChannelMaxCount = n; }
    ImageEdgeMode primaryEdgeMode() const { return primary_.edgeMode; }
    void setPrimaryEdgeMode(ImageEdgeMode mode) { primary_.edgeMode = mode; }
    ImageEdgeMode secondaryEdgeMode() const { return secondary_.edgeMode; }
    void setSecondaryEdgeMode(ImageEdgeMode mode) { secondary_.edgeMode = mode; }

    std::size_t primaryKernelWidth() const { return primary_.kernelWidth; }
    std::size_t primaryKernelHeight() const { return primary_.kernelHeight; }
    std::size_t secondaryKernelWidth() const { return secondary_.kernelWidth; }
    std::size_t secondaryKernelHeight() const { return secondary_.kernelHeight; }
    std::size_t primaryDilationRateX() const { return primary_.dilationRateX; }
    std::size_t primaryDilationRateY() const { return primary_.dilationRateY; }
    std::size_t secondaryDilationRateX() const { return secondary_.dilationRateX; }
    std::size_t secondaryDilationRateY() const { return secondary_.dilationRateY; }

    /// Arithmetic kernels take 0 (broadcast) or 1.
    std::size_t primaryStrideInPixelsX() const { return primary_.strideInPixelsX; }
    void setPrimaryStrideInPixelsX(std::size_t stride) { primary_.strideInPixelsX = stride; }
    std::size_t primaryStrideInPixelsY() const { return primary_.strideInPixelsY; }
    void setPrimaryStrideInPixelsY(std::size_t stride) { primary_.strideInPixelsY = stride; }
    std::size_t secondaryStrideInPixelsX() const { return secondary_.strideInPixelsX; }
    void setSecondaryStrideInPixelsX(std::size_t stride) { secondary_.strideInPixelsX = stride; }
    std::size_t secondaryStrideInPixelsY() const { return secondary_.strideInPixelsY; }
    void setSecondaryStrideInPixelsY(std::size_t stride) { secondary_.strideInPixelsY = stride; }

    /// Both source channel offsets are multiples of this.
    virtual std::size_t sourceChannelAlignment() const { return 4; }
    virtual bool isBackwards() const { return false; }
    virtual bool isStateModified() const { return false; }

    /// Default: centred, remainder to the top left, same size. Never null.
    const std::shared_ptr<NNPadding>& padding() const { return padding_; }
    void setPadding(std::shared_ptr<NNPadding> padding);
    /// Default: TemporaryImage::defaultAllocator(). Never null.
    const std::shared_ptr<ImageAllocator>& destinationImageAllocator() const { return allocator_; }
    void setDestinationImageAllocator(std::shared_ptr<ImageAllocator> allocator);

    /// Objective-C: -encodeToCommandBuffer:primaryImage:secondaryImage:destinationImage:
    void encode(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer, const std::shared_ptr<Image>& primaryImage,
                const std::shared_ptr<Image>& secondaryImage, const std::shared_ptr<Image>& destinationImage);
    /// Objective-C: -encodeBatchToCommandBuffer:primaryImages:secondaryImages:destinationImages:
    void encodeBatch(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer, const ImageBatch& primaryImages,
                     const ImageBatch& secondaryImages, const ImageBatch& destinationImages);
    /// Objective-C: -encodeToCommandBuffer:primaryImage:secondaryImage:
    std::shared_ptr<Image> encode(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
                                  const std::shared_ptr<Image>& primaryImage,
                                  const std::shared_ptr<Image>& secondaryImage);
    /// Objective-C: -encodeBatchToCommandBuffer:primaryImages:secondaryImages:
    ImageBatch encodeBatch(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer, const ImageBatch& primaryImages,
                           const ImageBatch& secondaryImages);
    /// Objective-C: -encodeToCommandBuffer:primaryImage:secondaryImage:destinationState:destinationStateIsTemporary:
    std::shared_ptr<Image> encode(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
                                  const std::shared_ptr<Image>& primaryImage,
                                  const std::shared_ptr<Image>& secondaryImage,
                                  std::shared_ptr<State>* destinationState, bool destinationStateIsTemporary);
    /// Objective-C: -encodeBatchToCommandBuffer:primaryImages:secondaryImages:destinationStates:destinationStateIsTemporary:
    ImageBatch encodeBatch(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer, const ImageBatch& primaryImages,
                           const ImageBatch& secondaryImages, StateBatch* destinationStates,
                           bool destinationStateIsTemporary);

    /// Objective-C: -resultStateForPrimaryImage:secondaryImage:sourceStates:destinationImage:
    std::shared_ptr<State> resultState(const std::shared_ptr<Image>& primaryImage,
                                       const std::shared_ptr<Image>& secondaryImage, const StateBatch& sourceStates,
                                       const std::shared_ptr<Image>& destinationImage);
    /// Objective-C: -resultStateBatchForPrimaryImage:secondaryImage:sourceStates:destinationImage:
    StateBatch resultStateBatch(const ImageBatch& primaryImages, const ImageBatch& secondaryImages,
                                const std::vector<StateBatch>& sourceStates, const ImageBatch& destinationImages);
    /// Objective-C: -temporaryResultStateForCommandBuffer:primaryImage:secondaryImage:sourceStates:destinationImage:
    std::shared_ptr<State> temporaryResultState(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
                                                const std::shared_ptr<Image>& primaryImage,
                                                const std::shared_ptr<Image>& secondaryImage,
                                                const StateBatch& sourceStates,
                                                const std::shared_ptr<Image>& destinationImage);
    /// Objective-C: -temporaryResultStateBatchForCommandBuffer:primaryImage:secondaryImage:sourceStates:destinationImage:
    StateBatch temporaryResultStateBatch(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
                                         const ImageBatch& primaryImages, const ImageBatch& secondaryImages,
                                         const std::vector<StateBatch>& sourceStates,
                                         const ImageBatch& destinationImages);

    virtual bool isResultStateReusedAcrossBatch() const { return false; }
    virtual bool appendBatchBarrier() const { return false; }
    /// sourceImages: primary, secondary. Applies the padding policy and changes kernel properties.
    /// Objective-C: -destinationImageDescriptorForSourceImages:sourceStates:
    ImageDescriptor destinationImageDescriptor(const std::vector<std::shared_ptr<Image>>& sourceImages,
                                               const StateBatch& sourceStates = {});
    /// Objective-C: -encodingStorageSizeForPrimaryImage:secondaryImage:sourceStates:destinationImage:
    virtual std::size_t encodingStorageSize(const std::shared_ptr<Image>& primaryImage,
                                            const std::shared_ptr<Image>& secondaryImage,
                                            const StateBatch& sourceStates,
                                            const std::shared_ptr<Image>& destinationImage) const;
    /// Objective-C: -batchEncodingStorageSizeForPrimaryImage:secondaryImage:sourceStates:destinationImage:
    virtual std::size_t batchEncodingStorageSize(const ImageBatch& primaryImages, const ImageBatch& secondaryImages,
                                                 const std::vector<StateBatch>& sourceStates,
                                                 const ImageBatch& destinationImages) const;

    const char* className() const override { return "CNNBinaryKernel"; }

protected:
    explicit CNNBinaryKernel(std::shared_ptr<MTL::Device> device);

    SourceGeometry& primaryGeometry() { return primary_; }
    SourceGeometry& secondaryGeometry() { return secondary_; }
    const SourceGeometry& primaryGeometry() const { return primary_; }
    const SourceGeometry& secondaryGeometry() const { return secondary_; }

    /// Names of the two sources in error sentences; gradient kernels say sourceGradient and sourceImage.
    virtual const char* primaryName() const { return "primaryImage"; }
    virtual const char* secondaryName() const { return "secondaryImage"; }
    virtual std::size_t resultFeatureChannels(std::size_t primaryChannels, std::size_t secondaryChannels) const;
    /// Channels that an encode writes, where states have a say. Default: resultFeatureChannels().
    virtual std::size_t resultChannelsOf(const pewter::mps::BinaryEncoding& encoding) const;
    /// The class's own word on the clip rectangle written, once the destination is known. Default: none.
    virtual void fitToDestination(pewter::mps::BinaryEncoding& encoding) const;
    /// Whether the edge modes may also be Mirror, MirrorWithEdge or Constant.
    virtual bool acceptsAllEdgeModes() const { return false; }
    /// Whether plain binary encodes make sense; gradient kernels say no.
    virtual bool acceptsPlainEncodes() const { return true; }
    virtual ImageDescriptor adjustDescriptor(const std::vector<std::shared_ptr<Image>>& sourceImages,
                                             const StateBatch& sourceStates, const ImageDescriptor& suggested);
    virtual std::shared_ptr<State> newResultState(const StateOwner& owner, const std::shared_ptr<Image>& primaryImage,
                                                  const std::shared_ptr<Image>& secondaryImage,
                                                  const StateBatch& sourceStates,
                                                  const std::shared_ptr<Image>& destinationImage);
    virtual void validate(const pewter::mps::BinaryEncoding& encoding) const;
    virtual void record(pewter::mps::BinaryEncoding& encoding) = 0;
    /// The facts a gradient state keeps about one source.
    virtual std::shared_ptr<pewter::mps::ForwardRecord> captureRecord(const Image& source, bool secondary,
                                                                      const Image& destination) const;

    void encodeImages(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer, const ImageBatch& primaries,
                      const ImageBatch& secondaries, const StateBatch& sourceStates,
                      const StateBatch& destinationStates, const ImageBatch& destinations, bool batch);
    ImageBatch makeDestinations(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer, const ImageBatch& primaries,
                                const ImageBatch& secondaries, const StateBatch& sourceStates);

private:
    void setRecords(NNBinaryGradientState& state, const Image& primary, const Image& secondary,
                    const Image& destination, std::size_t resultChannels) const;
    void checkReturned(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer, const ImageBatch& primaries,
                       const ImageBatch& secondaries) const;

    SourceGeometry primary_, secondary_;
    MTL::Region clipRect_ = RectNoClip;
    std::size_t destinationFeatureChannelOffset_ = 0;
    std::shared_ptr<NNPadding> padding_;
    std::shared_ptr<ImageAllocator> allocator_;
};

}  // namespace MPS
