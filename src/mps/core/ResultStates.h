#pragma once

#include <MPS/Image.hpp>
#include <MPS/Kernel.hpp>
#include <MPS/State.hpp>
#include <MTL/CommandBuffer.hpp>
#include <functional>
#include <utility>
#include <vector>

#include "mps/core/Checks.h"
#include "mps/core/ForwardRecord.h"

namespace pewter::mps {

// What unary, binary and multiary kernels share in making destinations and result states.

/// Extents, formats and names of a record; the kernel fills in its geometry.
void fillRecord(ForwardRecord& record, const MPS::Kernel& kernel, const MPS::Image& source,
                const MPS::Image& destination);

/// Null images refuse by name.
void checkStateImages(const MPS::Kernel& kernel,
                      const std::vector<std::pair<const char*, std::shared_ptr<MPS::Image>>>& images);

/// `count` destination images from the allocator; throws when it returns too few or null.
MPS::ImageBatch allocateDestinations(const MPS::Kernel& kernel, MPS::ImageAllocator& allocator,
                                     const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
                                     const MPS::ImageDescriptor& descriptor, std::size_t count);

/// One state repeated, or one an image; empty when the kernel has none. Throws for null among states.
MPS::StateBatch makeStateBatch(const MPS::Kernel& kernel, std::size_t sources, std::size_t destinations, bool reused,
                               const std::function<std::shared_ptr<MPS::State>(std::size_t)>& make);

/// Entry `index` of every batch.
MPS::StateBatch statesAt(const std::vector<MPS::StateBatch>& batches, std::size_t index);

/// Runs the rest of an encode; if it throws, the temporaries made for it are given up.
template <class Fn>
void undoOnFailure(const MPS::ImageBatch& images, const MPS::StateBatch& states, Fn fn) {
    try {
        fn();
    } catch (...) {
        discard(images, states);
        throw;
    }
}

}  // namespace pewter::mps
