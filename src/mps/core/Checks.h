#pragma once

#include <MPS/Image.hpp>
#include <MPS/Kernel.hpp>
#include <MPS/State.hpp>
#include <MTL/CommandBuffer.hpp>
#include <string>
#include <vector>

namespace pewter::mps {

/// One source argument of an encode.
struct SourceArgument {
    const char* name;
    const MPS::ImageBatch& images;
};

/// Null command buffer, foreign device, committed buffer, open encoder.
void checkCommandBuffer(const MPS::Kernel& kernel, const std::shared_ptr<MTL::CommandBuffer>& commandBuffer);

/// Null images, foreign devices, element types the device cannot compute, unequal batches, several images in one.
void checkImages(const MPS::Kernel& kernel, const char* argument, const MPS::ImageBatch& images, bool batch);

/// Everything that any encode checks about its arguments before anything happens.
void checkArguments(const MPS::Kernel& kernel, const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
                    const std::vector<SourceArgument>& sources, const char* statesName,
                    const MPS::StateBatch& sourceStates, const MPS::StateBatch& destinationStates,
                    const MPS::ImageBatch& destinations, bool batch);

/// Enough channels in the destination from an offset that is a multiple of 4.
void checkDestinationChannels(const MPS::Kernel& kernel, std::size_t offset, std::size_t channels,
                              const MPS::Image& destination);

/// An offset along x or y that sums and products with the sizes of images and windows leave in the range of integers.
void checkOffset(const MPS::Kernel& kernel, const char* argument, const MPS::Offset& offset);

/// Only Zero and Clamp are for CNN kernels, except for those that take all.
void checkEdgeMode(const MPS::Kernel& kernel, const char* argument, MPS::ImageEdgeMode mode, bool all = false);

/// One read of each distinct temporary of a source argument.
void consumeImages(const MPS::ImageBatch& images, const std::string& kernel);

/// Gives up temporaries that a failed encode has made.
void discard(const MPS::ImageBatch& images, const MPS::StateBatch& states);

}  // namespace pewter::mps
