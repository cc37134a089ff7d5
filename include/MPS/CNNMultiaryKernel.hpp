#pragma once

#include <memory>
#include <vector>

#include <MPS/CNNBinaryKernel.hpp>

namespace pewter::mps {
struct MultiaryEncoding;
}

namespace MPS {

/// MPSCNNMultiaryKernel: sourceCount() source images to one destination image; MPS has no public subclass.
///
/// Properties are those of CNNBinaryKernel, one set a source, addressed by index; a wrong index throws MPS::Error.
/// Source 0 gives the size of a returned result. Source: MPSCNNKernel.h.
class PEWTER_API CNNMultiaryKernel : public Kernel {
public:
    std::size_t sourceCount() const { return sources_.size(); }

    const MTL::Region& clipRect() const { return clipRect_; }
    void setClipRect(const MTL::Region& clipRect) { clipRect_ = clipRect; }
    std::size_t destinationFeatureChannelOffset() const { return destinationFeatureChannelOffset_; }
    void setDestinationFeatureChannelOffset(std::size_t channels) { destinationFeatureChannelOffset_ = channels; }
    virtual bool isBackwards() const { return false; }
    virtual bool isStateModified() const { return false; }

    const std::shared_ptr<NNPadding>& padding() const { return padding_; }
    void setPadding(std::shared_ptr<NNPadding> padding);
    const std::shared_ptr<ImageAllocator>& destinationImageAllocator() const { return allocator_; }
    void setDestinationImageAllocator(std::shared_ptr<ImageAllocator> allocator);

    /// Of one source; throw MPS::Error for an index not below sourceCount(), encodes for offsets past 2^40. -offsetAtIndex:,
    /// -setOffset:atIndex:, -sourceFeatureChannelOffsetAtIndex:, -setSourceFeatureChannelOffset:atIndex:,
    /// -sourceFeatureChannelMaxCountAtIndex:, -setSourceFeatureChannelMaxCount:atIndex:, -edgeModeAtIndex:,
    /// -setEdgeMode:atIndex:, -kernelWidthAtIndex:, -setKernelWidth:atIndex:, -kernelHeightAtIndex:,
    /// -setKernelHeight:atIndex:, -strideInPixelsXatIndex:, -setStrideInPixelsX:atIndex:, -strideInPixelsYatIndex:,
    /// -setStrideInPixelsY:atIndex:, -dilationRateXatIndex:, -setDilationRateX:atIndex:, -dilationRateYatIndex:,
    /// -setDilationRateY:atIndex:
    Offset offsetAtIndex(std::size_t index) const { return at(index).offset; }
    void setOffset(const Offset& offset, std::size_t index) { at(index).offset = offset; }
    std::size_t sourceFeatureChannelOffsetAtIndex(std::size_t index) const { return at(index).featureChannelOffset; }
    void setSourceFeatureChannelOffset(std::size_t n, std::size_t index) { at(index).featureChannelOffset = n; }
    std::size_t sourceFeatureChannelMaxCountAtIndex(std::size_t index) const {
        return at(index).featureChannelMaxCount;
    }
    void setSourceFeatureChannelMaxCount(std::size_t n, std::size_t index) { at(index).featureChannelMaxCount = n; }
    ImageEdgeMode edgeModeAtIndex(std::size_t index) const { return at(index).edgeMode; }
    void setEdgeMode(ImageEdgeMode mode, std::size_t index) { at(index).edgeMode = mode; }
    std::size_t kernelWidthAtIndex(std::size_t index) const { return at(index).kernelWidth; }
    void setKernelWidth(std::size_t n, std::size_t index) { at(index).kernelWidth = n; }
    std::size_t kernelHeightAtIndex(std::size_t index) const { return at(index).kernelHeight; }
    void setKernelHeight(std::size_t n, std::size_t index) { at(index).kernelHeight = n; }
    std::size_t strideInPixelsXatIndex(std::size_t index) const { return at(index).strideInPixelsX; }
    void setStrideInPixelsX(std::size_t n, std::size_t index) { at(index).strideInPixelsX = n; }
    std::size_t strideInPixelsYatIndex(std::size_t index) const { return at(index).strideInPixelsY; }
    void setStrideInPixelsY(std::size_t n, std::size_t index) { at(index).strideInPixelsY = n; }
    std::size_t dilationRateXatIndex(std::size_t index) const { return at(index).dilationRateX; }
    void setDilationRateX(std::size_t n, std::size_t index) { at(index).dilationRateX = n; }
    std::size_t dilationRateYatIndex(std::size_t index) const { return at(index).dilationRateY; }
    void setDilationRateY(std::size_t n, std::size_t index) { at(index).dilationRateY = n; }

    /// Objective-C: -encodeToCommandBuffer:sourceImages:destinationImage:
    void encode(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
                const std::vector<std::shared_ptr<Image>>& sourceImages,
                const std::shared_ptr<Image>& destinationImage);
    /// One batch a source.   Objective-C: -encodeBatchToCommandBuffer:sourceImages:destinationImages:
    void encodeBatch(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
                     const std::vector<ImageBatch>& sourceImages, const ImageBatch& destinationImages);
    /// Objective-C: -encodeToCommandBuffer:sourceImages:
    std::shared_ptr<Image> encode(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
                                  const std::vector<std::shared_ptr<Image>>& sourceImages);
    /// Objective-C: -encodeBatchToCommandBuffer:sourceImages:
    ImageBatch encodeBatch(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
                           const std::vector<ImageBatch>& sourceImages);
    /// Objective-C: -encodeToCommandBuffer:sourceImages:destinationState:destinationStateIsTemporary:
    std::shared_ptr<Image> encode(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
                                  const std::vector<std::shared_ptr<Image>>& sourceImages,
                                  std::shared_ptr<State>* destinationState, bool destinationStateIsTemporary);
    /// Objective-C: -encodeBatchToCommandBuffer:sourceImages:destinationStates:destinationStateIsTemporary:
    ImageBatch encodeBatch(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
                           const std::vector<ImageBatch>& sourceImages, StateBatch* destinationStates,
                           bool destinationStateIsTemporary);

    /// Objective-C: -resultStateForSourceImages:sourceStates:destinationImage:
    std::shared_ptr<State> resultState(const std::vector<std::shared_ptr<Image>>& sourceImages,
                                       const StateBatch& sourceStates, const std::shared_ptr<Image>& destinationImage);
    /// Objective-C: -resultStateBatchForSourceImages:sourceStates:destinationImage:
    StateBatch resultStateBatch(const std::vector<ImageBatch>& sourceImages,
                                const std::vector<StateBatch>& sourceStates, const ImageBatch& destinationImages);
    /// Objective-C: -temporaryResultStateForCommandBuffer:sourceImages:sourceStates:destinationImage:
    std::shared_ptr<State> temporaryResultState(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
                                                const std::vector<std::shared_ptr<Image>>& sourceImages,
                                                const StateBatch& sourceStates,
                                                const std::shared_ptr<Image>& destinationImage);
    /// Objective-C: -temporaryResultStateBatchForCommandBuffer:sourceImages:sourceStates:destinationImage:
    StateBatch temporaryResultStateBatch(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
                                         const std::vector<ImageBatch>& sourceImages,
                                         const std::vector<StateBatch>& sourceStates,
                                         const ImageBatch& destinationImages);
    virtual bool isResultStateReusedAcrossBatch() const { return false; }
    virtual bool appendBatchBarrier() const { return false; }
    /// Objective-C: -destinationImageDescriptorForSourceImages:sourceStates:
    ImageDescriptor destinationImageDescriptor(const std::vector<std::shared_ptr<Image>>& sourceImages,
                                               const StateBatch& sourceStates = {});

    const char* className() const override { return "CNNMultiaryKernel"; }

protected:
    /// Throws MPS::Error for 0 sources.   Objective-C: -initWithDevice:sourceCount:
    CNNMultiaryKernel(std::shared_ptr<MTL::Device> device, std::size_t sourceCount);

    const CNNBinaryKernel::SourceGeometry& at(std::size_t index) const;
    CNNBinaryKernel::SourceGeometry& at(std::size_t index);

    /// Channels of the result. Default: those of source 0.
    virtual std::size_t resultFeatureChannels(const std::vector<std::size_t>& sourceChannels) const;
    virtual ImageDescriptor adjustDescriptor(const std::vector<std::shared_ptr<Image>>& sourceImages,
                                             const StateBatch& sourceStates, const ImageDescriptor& suggested);
    virtual std::shared_ptr<State> newResultState(const StateOwner& owner,
                                                  const std::vector<std::shared_ptr<Image>>& sourceImages,
                                                  const StateBatch& sourceStates,
                                                  const std::shared_ptr<Image>& destinationImage);
    virtual void validate(const pewter::mps::MultiaryEncoding& encoding) const;
    virtual void record(pewter::mps::MultiaryEncoding& encoding) = 0;

private:
    void encodeImages(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer, const std::vector<ImageBatch>& sources,
                      const StateBatch& destinationStates, const ImageBatch& destinations, bool batch);
    void checkSources(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
                      const std::vector<ImageBatch>& sources) const;
    ImageBatch makeDestinations(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
                                const std::vector<ImageBatch>& sources);
    void recordStates(const StateBatch& states, const std::vector<ImageBatch>& sources,
                      const ImageBatch& destinations) const;

    std::vector<CNNBinaryKernel::SourceGeometry> sources_;
    MTL::Region clipRect_ = RectNoClip;
    std::size_t destinationFeatureChannelOffset_ = 0;
    std::shared_ptr<NNPadding> padding_;
    std::shared_ptr<ImageAllocator> allocator_;
};

}  // namespace MPS
