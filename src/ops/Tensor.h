#pragma once

#include <cstddef>
#include <cstdint>

namespace pewter::ops {

/// Element types that the seam knows. Float64 exists for the gradient checks on `reference`.
enum class Type : std::uint8_t { Float32, Float16, BFloat16, Unorm8, Unorm16, UInt8, UInt32, Float64 };

constexpr std::size_t sizeOf(Type type) {
    switch (type) {
        case Type::Float32:
        case Type::UInt32: return 4;
        case Type::Float16:
        case Type::BFloat16:
        case Type::Unorm16: return 2;
        case Type::Unorm8:
        case Type::UInt8: return 1;
        case Type::Float64: return 8;
    }
    return 0;
}

constexpr const char* nameOf(Type type) {
    switch (type) {
        case Type::Float32: return "float32";
        case Type::Float16: return "float16";
        case Type::BFloat16: return "bfloat16";
        case Type::Unorm8: return "unorm8";
        case Type::Unorm16: return "unorm16";
        case Type::UInt8: return "uint8";
        case Type::UInt32: return "uint32";
        case Type::Float64: return "float64";
    }
    return "unknown";
}

/// How the elements of an image lie: as its strides say, or each image as c / 16 planes of h x w pixels of 16 channels. The
/// strides of an image in blocks are those of the dense image N,H,W,C; of them only strideN says where anything lies.
enum class ImageLayout : std::uint8_t { ChannelsLast, ChannelBlocks };
/// Channels of a block.
constexpr std::int64_t kChannelBlock = 16;

/// A strided four-dimensional view: n images of h rows, w columns, c channels. Strides count elements; any may be 0
/// (broadcast), larger than dense (a sub-view) or negative (turned round). data points at element (0,0,0,0).
struct Tensor {
    void* data = nullptr;
    Type type = Type::Float32;
    std::int64_t n = 0, h = 0, w = 0, c = 0;
    std::int64_t strideN = 0, strideH = 0, strideW = 0, strideC = 1;
    /// In blocks only where the backend has said that the operation takes it so (Backend::layoutCost).
    ImageLayout layout = ImageLayout::ChannelsLast;

    std::int64_t count() const { return n * h * w * c; }
    bool isNull() const { return data == nullptr; }
    bool inBlocks() const { return layout == ImageLayout::ChannelBlocks; }
    /// Whether the elements lie back to back in N,H,W,C order.
    bool isDense() const {
        return (c == 1 || strideC == 1) && (w == 1 || strideW == c) && (h == 1 || strideH == w * c) &&
               (n == 1 || strideN == h * w * c);
    }
    bool sameExtents(const Tensor& o) const { return n == o.n && h == o.h && w == o.w && c == o.c; }

    /// A dense view of the given extents.
    static Tensor dense(void* data, Type type, std::int64_t n, std::int64_t h, std::int64_t w, std::int64_t c) {
        return {data, type, n, h, w, c, h * w * c, w * c, c, 1, ImageLayout::ChannelsLast};
    }
};

/// A dense run of elements: biases, statistics, optimizer moments. Null data means "absent".
struct Array {
    void* data = nullptr;
    Type type = Type::Float32;
    std::int64_t size = 0;

    bool isNull() const { return data == nullptr; }
};

/// What a read outside the source gives.
enum class Edge : std::uint8_t { Zero, Clamp };

}  // namespace pewter::ops
