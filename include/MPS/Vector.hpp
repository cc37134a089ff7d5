#pragma once

#include <memory>

#include <MPS/Types.hpp>
#include <MTL/Resource.hpp>

namespace MTL {
class CommandBuffer;
class Device;
}  // namespace MTL

namespace MPS {

/// MPSVectorDescriptor: length and element type of one vector, or of several at equal distances. Source:
/// MPSMatrix.h.
struct PEWTER_API VectorDescriptor {
    /// Elements of one vector.
    std::size_t length = 0;
    std::size_t vectors = 1;
    /// Bytes from one vector to the next; a multiple of the element size.
    std::size_t vectorBytes = 0;
    DataType dataType = DataType::Float32;

    /// One vector.   Objective-C: +vectorDescriptorWithLength:dataType:
    static VectorDescriptor vectorDescriptor(std::size_t length, DataType dataType);
    /// Objective-C: +vectorDescriptorWithLength:vectors:vectorBytes:dataType:
    static VectorDescriptor vectorDescriptor(std::size_t length, std::size_t vectors, std::size_t vectorBytes,
                                             DataType dataType);
    /// Recommended distance: 0 for 0 elements, one element for 1, else floats rounded up to 16 bytes and
    /// integers to a multiple of 4 elements.   Objective-C: +vectorBytesForLength:dataType:
    static std::size_t vectorBytesForLength(std::size_t length, DataType dataType);
};

/// MPSVector: a descriptor bound to memory. Elements of one vector are contiguous. Source: MPSMatrix.h.
class PEWTER_API Vector {
public:
    /// Throws MPS::Error for null, a descriptor that makes no sense, or a buffer shorter than
    /// offset + (vectors - 1) vectorBytes + length elements.
    /// Objective-C: -initWithBuffer:descriptor:, -initWithBuffer:offset:descriptor:
    Vector(std::shared_ptr<MTL::Buffer> buffer, const VectorDescriptor& descriptor);
    Vector(std::shared_ptr<MTL::Buffer> buffer, std::size_t offset, const VectorDescriptor& descriptor);
    /// Zeros, allocated with first use.   Objective-C: -initWithDevice:descriptor:
    Vector(std::shared_ptr<MTL::Device> device, const VectorDescriptor& descriptor);

    const std::shared_ptr<MTL::Device>& device() const { return device_; }
    std::size_t length() const { return descriptor_.length; }
    std::size_t vectors() const { return descriptor_.vectors; }
    std::size_t vectorBytes() const { return descriptor_.vectorBytes; }
    DataType dataType() const { return descriptor_.dataType; }
    /// Bytes before element 0 of vector 0.
    std::size_t offset() const { return offset_; }
    /// The memory, allocated now if need be. Never null.
    const std::shared_ptr<MTL::Buffer>& data();

    /// Makes device results readable by the host once the command buffer completes.
    /// Objective-C: -synchronizeOnCommandBuffer:
    void synchronize(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer);
    /// Bytes of memory held; 0 before the first use of memory of its own.
    std::size_t resourceSize() const;

private:
    std::shared_ptr<MTL::Device> device_;
    std::shared_ptr<MTL::Buffer> buffer_;
    VectorDescriptor descriptor_;
    std::size_t offset_ = 0;
};

}  // namespace MPS
