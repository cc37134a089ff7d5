#pragma once

#include <MPS/Types.hpp>
#include <MTL/Resource.hpp>
#include <memory>

namespace MTL {
class CommandBuffer;
}

namespace pewter::mps {

// What vectors and matrices share.

/// Bytes of `elements` elements, rounded up for alignment (matrices and vectors recommend the same).
std::size_t recommendedStride(std::size_t elements, MPS::DataType type);
/// Throws for types narrower than a byte.
void checkElements(const char* who, MPS::DataType type);
/// Throws for null, an offset inside an element, and a range that does not fit.
void checkBuffer(const char* who, const std::shared_ptr<MTL::Buffer>& buffer, std::size_t offset,
                 std::size_t bytes, std::size_t elementSize);
/// Keeps the memory until the command buffer completes; null buffers are fine.
void synchronizeStorage(const char* who, const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
                        const std::shared_ptr<MTL::Buffer>& buffer);

}  // namespace pewter::mps
