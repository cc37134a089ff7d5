#pragma once

#include <memory>
#include <vector>

#include <MPS/Image.hpp>
#include <MPS/Kernel.hpp>
#include <MPS/NNPadding.hpp>
#include <MPS/State.hpp>

namespace pewter::mps {
struct UnaryEncoding;
struct ForwardRecord;
}  // namespace pewter::mps

namespace MPS {

/// MPSCNNKernel: one source image to one destination image.
///
/// Two families of encodes. *Explicit destination*: the caller gives the image; the properties are used as they are.
/// *Returned destination*: the padding policy sizes the result and overwrites offset(), destinationImageAllocator()
/// makes the image; both forms exist with and without a state for the gradient kernel, for one image and for a batch.
/// Every encode lowers the read count of each distinct temporary source by one; destinations keep theirs.
/// All throw MPS::Error for null arguments, foreign devices and command buffers, spent temporaries, too few channels,
/// aliasing, unequal batches, offsets beyond 2^40 pixels; nothing is encoded then. Source: MPSCNNKernel.h.
class PEWTER_API CNNKernel : public Kernel {
public:
    /// Default {0,0,0}: the first window's centre is the top left pixel. Returned encodes overwrite it; all refuse x, y past 2^40.
    const Offset& offset() const { return offset_; }
    void setOffset(const Offset& offset) { offset_ = offset; }
    /// Default RectNoClip. Only pixels inside are written.
    const MTL::Region& clipRect() const { return clipRect_; }
    void setClipRect(const MTL::Region& clipRect) { clipRect_ = clipRect; }
    /// First destination channel; default 0, a multiple of 4.
    std::size_t destinationFeatureChannelOffset() const { return destinationFeatureChannelOffset_; }
    void setDestinationFeatureChannelOffset(std::size_t channels) { destinationFeatureChannelOffset_ = channels; }
    /// First source channel; default 0, a multiple of 4.
    std::size_t sourceFeatureChannelOffset() const { return sourceFeatureChannelOffset_; }
    void setSourceFeatureChannelOffset(std::size_t channels) { sourceFeatureChannelOffset_ = channels; }
    /// Most source channels to read; cut to what there is. Default: all.
    std::size_t sourceFeatureChannelMaxCount() const { return sourceFeatureChannelMaxCount_; }
    void setSourceFeatureChannelMaxCount(std::size_t channels) { sourceFeatureChannelMaxCount_ = channels; }
    /// Value of reads outside the source: Zero (default) or Clamp.
    ImageEdgeMode edgeMode() const { return edgeMode_; }
    void setEdgeMode(ImageEdgeMode mode) { edgeMode_ = mode; }

    std::size_t kernelWidth() const { return kernelWidth_; }
    std::size_t kernelHeight() const { return kernelHeight_; }
    std::size_t strideInPixelsX() const { return strideX_; }
    std::size_t strideInPixelsY() const { return strideY_; }
    std::size_t dilationRateX() const { return dilationX_; }
    std::size_t dilationRateY() const { return dilationY_; }
    /// sourceFeatureChannelOffset() is a multiple of this.
    virtual std::size_t sourceChannelAlignment() const { return 4; }
    virtual bool isBackwards() const { return false; }
    virtual bool isStateModified() const { return false; }

    /// Default: centred, remainder to the top left, same size. Never null.
    const std::shared_ptr<NNPadding>& padding() const { return padding_; }
    void setPadding(std::shared_ptr<NNPadding> padding);
    /// Default: TemporaryImage::defaultAllocator(). Never null.
    const std::shared_ptr<ImageAllocator>& destinationImageAllocator() const { return allocator_; }
    void setDestinationImageAllocator(std::shared_ptr<ImageAllocator> allocator);

    // --- explicit destination ---

    /// Objective-C: -encodeToCommandBuffer:sourceImage:destinationImage:
    void encode(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer, const std::shared_ptr<Image>& sourceImage,
                const std::shared_ptr<Image>& destinationImage);
    /// The state, made by resultState() of this kernel as it is now, is filled for the gradient kernel.
    /// Objective-C: -encodeToCommandBuffer:sourceImage:destinationState:destinationImage:
    void encode(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer, const std::shared_ptr<Image>& sourceImage,
                const std::shared_ptr<State>& destinationState, const std::shared_ptr<Image>& destinationImage);
    /// Objective-C: -encodeBatchToCommandBuffer:sourceImages:destinationImages:
    void encodeBatch(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer, const ImageBatch& sourceImages,
                     const ImageBatch& destinationImages);
    /// An empty destinationStates records nothing.
    /// Objective-C: -encodeBatchToCommandBuffer:sourceImages:destinationStates:destinationImages:
    void encodeBatch(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer, const ImageBatch& sourceImages,
                     const StateBatch& destinationStates, const ImageBatch& destinationImages);

    // --- returned destination ---

    /// Objective-C: -encodeToCommandBuffer:sourceImage:
    std::shared_ptr<Image> encode(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
                                  const std::shared_ptr<Image>& sourceImage);
    /// *destinationState receives the new state, or null when the kernel has none.
    /// Objective-C: -encodeToCommandBuffer:sourceImage:destinationState:destinationStateIsTemporary:
    std::shared_ptr<Image> encode(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
                                  const std::shared_ptr<Image>& sourceImage,
                                  std::shared_ptr<State>* destinationState, bool destinationStateIsTemporary);
    /// Objective-C: -encodeBatchToCommandBuffer:sourceImages:
    ImageBatch encodeBatch(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer, const ImageBatch& sourceImages);
    /// *destinationStates receives the new states, or an empty batch.
    /// Objective-C: -encodeBatchToCommandBuffer:sourceImages:destinationStates:destinationStateIsTemporary:
    ImageBatch encodeBatch(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer, const ImageBatch& sourceImages,
                           StateBatch* destinationStates, bool destinationStateIsTemporary);

    // --- states and sizes ---

    /// A state for the next encode of the kernel as it is now, or null.
    /// Objective-C: -resultStateForSourceImage:sourceStates:destinationImage:
    std::shared_ptr<State> resultState(const std::shared_ptr<Image>& sourceImage, const StateBatch& sourceStates,
                                       const std::shared_ptr<Image>& destinationImage);
    /// Objective-C: -resultStateBatchForSourceImage:sourceStates:destinationImage:
    StateBatch resultStateBatch(const ImageBatch& sourceImages, const std::vector<StateBatch>& sourceStates,
                                const ImageBatch& destinationImages);
    /// Objective-C: -temporaryResultStateForCommandBuffer:sourceImage:sourceStates:destinationImage:
    std::shared_ptr<State> temporaryResultState(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
                                                const std::shared_ptr<Image>& sourceImage,
                                                const StateBatch& sourceStates,
                                                const std::shared_ptr<Image>& destinationImage);
    /// Objective-C: -temporaryResultStateBatchForCommandBuffer:sourceImage:sourceStates:destinationImage:
    StateBatch temporaryResultStateBatch(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
                                         const ImageBatch& sourceImages, const std::vector<StateBatch>& sourceStates,
                                         const ImageBatch& destinationImages);

    /// Whether one state serves the whole batch.
    virtual bool isResultStateReusedAcrossBatch() const { return false; }
    /// Whether the whole batch must pass before anybody reads the result.
    virtual bool appendBatchBarrier() const { return false; }

    /// Applies the padding policy: the size of the result, and offset() with it. Changes kernel properties.
    /// Objective-C: -destinationImageDescriptorForSourceImages:sourceStates:
    ImageDescriptor destinationImageDescriptor(const std::vector<std::shared_ptr<Image>>& sourceImages,
                                               const StateBatch& sourceStates = {});
    /// Bytes of scratch memory an encode takes from the heap; an estimate.
    /// Objective-C: -encodingStorageSizeForSourceImage:sourceStates:destinationImage:
    virtual std::size_t encodingStorageSize(const std::shared_ptr<Image>& sourceImage, const StateBatch& sourceStates,
                                            const std::shared_ptr<Image>& destinationImage) const;
    /// Objective-C: -batchEncodingStorageSizeForSourceImage:sourceStates:destinationImage:
    virtual std::size_t batchEncodingStorageSize(const ImageBatch& sourceImages,
                                                 const std::vector<StateBatch>& sourceStates,
                                                 const ImageBatch& destinationImages) const;

    const char* className() const override { return "CNNKernel"; }

protected:
    explicit CNNKernel(std::shared_ptr<MTL::Device> device);

    /// Geometry that a subclass fixes at construction.
    void setWindow(std::size_t width, std::size_t height, std::size_t strideX, std::size_t strideY,
                   std::size_t dilationX = 1, std::size_t dilationY = 1);

    /// True for kernels whose result has a size of its own: the padding policy then neither sizes nor moves anything.
    virtual bool ignoresPadding() const { return false; }
    /// Whether edgeMode() may also be Mirror, MirrorWithEdge or Constant.
    virtual bool acceptsAllEdgeModes() const { return false; }
    /// Channels of the result when `sourceChannels` are read. Default: the same number.
    virtual std::size_t resultFeatureChannels(std::size_t sourceChannels) const;
    /// The class's own word on the channels and the clip rectangle written, once the destination is known. Default: none.
    virtual void fitToDestination(pewter::mps::UnaryEncoding& encoding) const;
    /// The class's own word on the suggested descriptor (step 2 of four). Default: unchanged.
    virtual ImageDescriptor adjustDescriptor(const std::vector<std::shared_ptr<Image>>& sourceImages,
                                             const StateBatch& sourceStates, const ImageDescriptor& suggested);
    /// A new state with that owner, or null (the default).
    virtual std::shared_ptr<State> newResultState(const StateOwner& owner, const std::shared_ptr<Image>& sourceImage,
                                                  const StateBatch& sourceStates,
                                                  const std::shared_ptr<Image>& destinationImage);
    /// Checks of the class, before anything is allocated or recorded. Default: none.
    virtual void validate(const pewter::mps::UnaryEncoding& encoding) const;
    /// Appends the commands.
    virtual void record(pewter::mps::UnaryEncoding& encoding) = 0;

    /// The facts a gradient state keeps. Subclasses extend it.
    virtual std::shared_ptr<pewter::mps::ForwardRecord> captureRecord(const Image& source,
                                                                      const Image& destination) const;

    /// The whole of an encode: validation, storage, commands, read counts. For subclasses that declare encodes of their
    /// own; sourceStates are consumed like sources.
    void encodeImages(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer, const ImageBatch& sources,
                      const StateBatch& sourceStates, const StateBatch& destinationStates,
                      const ImageBatch& destinations, bool batch);
    /// Descriptor, images and states for a returned-destination encode, in the order of the documentation.
    ImageBatch makeDestinations(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer, const ImageBatch& sources,
                                const StateBatch& sourceStates);

private:
    void checkReturned(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer, const ImageBatch& sources) const;

    Offset offset_;
    MTL::Region clipRect_ = RectNoClip;
    std::size_t destinationFeatureChannelOffset_ = 0, sourceFeatureChannelOffset_ = 0;
    std::size_t sourceFeatureChannelMaxCount_ = std::numeric_limits<std::size_t>::max();
    ImageEdgeMode edgeMode_ = ImageEdgeMode::Zero;
    std::size_t kernelWidth_ = 1, kernelHeight_ = 1, strideX_ = 1, strideY_ = 1, dilationX_ = 1, dilationY_ = 1;
    std::shared_ptr<NNPadding> padding_;
    std::shared_ptr<ImageAllocator> allocator_;
};

}  // namespace MPS
