#pragma once

#include <memory>

#include <MPS/Types.hpp>
#include <MTL/Resource.hpp>

namespace MTL {
class CommandBuffer;
class Device;
}  // namespace MTL

namespace MPS {

/// MPSMatrixDescriptor: extents, strides and element type of one row-major matrix, or of several at equal
/// distances. Source: MPSMatrix.h.
struct PEWTER_API MatrixDescriptor {
    std::size_t rows = 0, columns = 0;
    std::size_t matrices = 1;
    /// Bytes from one row to the next; holds a row, a multiple of the element size.
    std::size_t rowBytes = 0;
    /// Bytes from one matrix to the next; a multiple of rowBytes, at least rows * rowBytes.
    std::size_t matrixBytes = 0;
    DataType dataType = DataType::Float32;

    /// One matrix.   Objective-C: +matrixDescriptorWithRows:columns:rowBytes:dataType:
    static MatrixDescriptor matrixDescriptor(std::size_t rows, std::size_t columns, std::size_t rowBytes,
                                             DataType dataType);
    /// Objective-C: +matrixDescriptorWithRows:columns:matrices:rowBytes:matrixBytes:dataType:
    static MatrixDescriptor matrixDescriptor(std::size_t rows, std::size_t columns, std::size_t matrices,
                                             std::size_t rowBytes, std::size_t matrixBytes,
                                             DataType dataType);
    /// Recommended stride: 0 for 0 columns, one element for 1, else floats rounded up to 16 bytes and
    /// integers to a multiple of 4 elements.   Objective-C: +rowBytesForColumns:dataType:
    static std::size_t rowBytesForColumns(std::size_t columns, DataType dataType);
};

/// MPSMatrix: a descriptor bound to memory. Element [i, j] of matrix k lies at
/// offset + k matrixBytes + i rowBytes + j elements. Bytes between rows are never written. Source:
/// MPSMatrix.h.
class PEWTER_API Matrix {
public:
    /// Throws MPS::Error for null, a descriptor that makes no sense, or a buffer that is too short; the last
    /// row needs no padding behind it.   Objective-C: -initWithBuffer:descriptor:,
    /// -initWithBuffer:offset:descriptor:
    Matrix(std::shared_ptr<MTL::Buffer> buffer, const MatrixDescriptor& descriptor);
    Matrix(std::shared_ptr<MTL::Buffer> buffer, std::size_t offset, const MatrixDescriptor& descriptor);
    /// Zeros, allocated with first use.   Objective-C: -initWithDevice:descriptor:
    Matrix(std::shared_ptr<MTL::Device> device, const MatrixDescriptor& descriptor);

    const std::shared_ptr<MTL::Device>& device() const { return device_; }
    std::size_t rows() const { return descriptor_.rows; }
    std::size_t columns() const { return descriptor_.columns; }
    std::size_t matrices() const { return descriptor_.matrices; }
    std::size_t rowBytes() const { return descriptor_.rowBytes; }
    std::size_t matrixBytes() const { return descriptor_.matrixBytes; }
    DataType dataType() const { return descriptor_.dataType; }
    /// Bytes before element [0, 0] of matrix 0.
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
    MatrixDescriptor descriptor_;
    std::size_t offset_ = 0;
};

}  // namespace MPS
