#include <fmt/format.h>

#include <MPS/Vector.hpp>
#include <MTL/CommandBuffer.hpp>
#include <MTL/Device.hpp>
#include <MTL/Error.hpp>

#include "mps/kernels/MatrixStorage.h"
#include "mtl/CommandBuffer.h"

namespace pewter::mps {

std::size_t recommendedStride(std::size_t elements, MPS::DataType type) {
    const std::size_t size = MPS::SizeofMPSDataType(type);
    if (elements <= 1) return elements * size;
    const bool isFloat =
        static_cast<std::uint32_t>(type) & static_cast<std::uint32_t>(MPS::DataType::FloatBit);
    return isFloat ? (elements * size + 15) / 16 * 16 : (elements + 3) / 4 * 4 * size;
}

void checkElements(const char* who, MPS::DataType type) {
    if (MPS::DataTypeBitsCount(type) < 8)
        throw MTL::Error(who, "dataType", "elements of whole bytes",
                         fmt::format("DataType {:#x}", static_cast<std::uint32_t>(type)));
}

void checkBuffer(const char* who, const std::shared_ptr<MTL::Buffer>& buffer, std::size_t offset,
                 std::size_t bytes, std::size_t elementSize) {
    if (!buffer) throw MTL::Error(who, "buffer", "a buffer", "null");
    if (offset % elementSize != 0)
        throw MTL::Error(who, "offset", fmt::format("a multiple of the element size, {}", elementSize),
                         fmt::format("{}", offset));
    if (offset > buffer->length() || buffer->length() - offset < bytes)
        throw MTL::Error(who, "buffer",
                         fmt::format("at least {} bytes, {} from byte {}", offset + bytes, bytes, offset),
                         fmt::format("{} bytes", buffer->length()));
}

void synchronizeStorage(const char* who, const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
                        const std::shared_ptr<MTL::Buffer>& buffer) {
    if (!commandBuffer) throw MTL::Error(who, "commandBuffer", "a command buffer", "null");
    auto& root = mtl::recordingBuffer(*commandBuffer, who);
    if (buffer) root.retain(buffer);
}

}  // namespace pewter::mps

namespace MPS {

using namespace pewter::mps;

VectorDescriptor VectorDescriptor::vectorDescriptor(std::size_t length, DataType dataType) {
    return {length, 1, vectorBytesForLength(length, dataType), dataType};
}

VectorDescriptor VectorDescriptor::vectorDescriptor(std::size_t length, std::size_t vectors,
                                                    std::size_t vectorBytes, DataType dataType) {
    return {length, vectors, vectorBytes, dataType};
}

std::size_t VectorDescriptor::vectorBytesForLength(std::size_t length, DataType dataType) {
    return recommendedStride(length, dataType);
}

namespace {

/// Bytes from the first element to behind the last one; throws when the descriptor makes no sense.
std::size_t extent(const VectorDescriptor& d) {
    checkElements("Vector", d.dataType);
    const std::size_t size = SizeofMPSDataType(d.dataType);
    if (d.length == 0) throw Error("Vector", "length", "at least 1", "0");
    if (d.vectors == 0) throw Error("Vector", "vectors", "at least 1", "0");
    if (d.vectors > 1 && (d.vectorBytes % size != 0 || d.vectorBytes < d.length * size))
        throw Error("Vector", "vectorBytes",
                    fmt::format("a multiple of {} of at least {}", size, d.length * size),
                    fmt::format("{}", d.vectorBytes));
    return (d.vectors - 1) * d.vectorBytes + d.length * size;
}

}  // namespace

Vector::Vector(std::shared_ptr<MTL::Buffer> buffer, const VectorDescriptor& descriptor)
    : Vector(std::move(buffer), 0, descriptor) {}

Vector::Vector(std::shared_ptr<MTL::Buffer> buffer, std::size_t offset, const VectorDescriptor& descriptor)
    : buffer_(std::move(buffer)), descriptor_(descriptor), offset_(offset) {
    checkBuffer("Vector", buffer_, offset, extent(descriptor), SizeofMPSDataType(descriptor.dataType));
    device_ = buffer_->device();
}

Vector::Vector(std::shared_ptr<MTL::Device> device, const VectorDescriptor& descriptor)
    : device_(std::move(device)), descriptor_(descriptor) {
    if (!device_) throw Error("Vector", "device", "a device", "null");
    extent(descriptor);
}

const std::shared_ptr<MTL::Buffer>& Vector::data() {
    if (!buffer_) {
        const std::size_t bytes =
            std::max(extent(descriptor_), descriptor_.vectors * descriptor_.vectorBytes);
        buffer_ = device_->newBuffer(bytes, MTL::ResourceStorageModeManaged);
    }
    return buffer_;
}

void Vector::synchronize(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer) {
    synchronizeStorage("Vector", commandBuffer, buffer_);
}

std::size_t Vector::resourceSize() const { return buffer_ ? buffer_->allocatedSize() : 0; }

}  // namespace MPS
