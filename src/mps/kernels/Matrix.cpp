#include <fmt/format.h>

#include <MPS/Matrix.hpp>
#include <MTL/Device.hpp>
#include <MTL/Error.hpp>

#include "mps/kernels/MatrixStorage.h"

namespace MPS {

using namespace pewter::mps;

MatrixDescriptor MatrixDescriptor::matrixDescriptor(std::size_t rows, std::size_t columns,
                                                    std::size_t rowBytes, DataType dataType) {
    return {rows, columns, 1, rowBytes, rows * rowBytes, dataType};
}

MatrixDescriptor MatrixDescriptor::matrixDescriptor(std::size_t rows, std::size_t columns,
                                                    std::size_t matrices, std::size_t rowBytes,
                                                    std::size_t matrixBytes, DataType dataType) {
    return {rows, columns, matrices, rowBytes, matrixBytes, dataType};
}

std::size_t MatrixDescriptor::rowBytesForColumns(std::size_t columns, DataType dataType) {
    return recommendedStride(columns, dataType);
}

namespace {

/// Bytes from the first element to behind the last one; throws when the descriptor makes no sense.
std::size_t extent(const MatrixDescriptor& d) {
    checkElements("Matrix", d.dataType);
    const std::size_t size = SizeofMPSDataType(d.dataType);
    for (const auto& [argument, value] :
         {std::pair{"rows", d.rows}, {"columns", d.columns}, {"matrices", d.matrices}})
        if (value == 0) throw Error("Matrix", argument, "at least 1", "0");
    if (d.rowBytes % size != 0 || d.rowBytes < d.columns * size)
        throw Error("Matrix", "rowBytes",
                    fmt::format("a multiple of {} of at least {}", size, d.columns * size),
                    fmt::format("{}", d.rowBytes));
    if (d.matrices > 1 && (d.matrixBytes % d.rowBytes != 0 || d.matrixBytes < d.rows * d.rowBytes))
        throw Error("Matrix", "matrixBytes",
                    fmt::format("a multiple of {} of at least {}", d.rowBytes, d.rows * d.rowBytes),
                    fmt::format("{}", d.matrixBytes));
    return (d.matrices - 1) * d.matrixBytes + (d.rows - 1) * d.rowBytes + d.columns * size;
}

}  // namespace

Matrix::Matrix(std::shared_ptr<MTL::Buffer> buffer, const MatrixDescriptor& descriptor)
    : Matrix(std::move(buffer), 0, descriptor) {}

Matrix::Matrix(std::shared_ptr<MTL::Buffer> buffer, std::size_t offset, const MatrixDescriptor& descriptor)
    : buffer_(std::move(buffer)), descriptor_(descriptor), offset_(offset) {
    checkBuffer("Matrix", buffer_, offset, extent(descriptor), SizeofMPSDataType(descriptor.dataType));
    device_ = buffer_->device();
}

Matrix::Matrix(std::shared_ptr<MTL::Device> device, const MatrixDescriptor& descriptor)
    : device_(std::move(device)), descriptor_(descriptor) {
    if (!device_) throw Error("Matrix", "device", "a device", "null");
    extent(descriptor);
}

const std::shared_ptr<MTL::Buffer>& Matrix::data() {
    if (!buffer_) {
        // Whole rows, so that a flat vector over the matrix fits too.
        const std::size_t bytes =
            (descriptor_.matrices - 1) * descriptor_.matrixBytes + descriptor_.rows * descriptor_.rowBytes;
        buffer_ = device_->newBuffer(bytes, MTL::ResourceStorageModeManaged);
    }
    return buffer_;
}

void Matrix::synchronize(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer) {
    synchronizeStorage("Matrix", commandBuffer, buffer_);
}

std::size_t Matrix::resourceSize() const { return buffer_ ? buffer_->allocatedSize() : 0; }

}  // namespace MPS
