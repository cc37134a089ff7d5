#include "mtl/Texture.h"

#include <fmt/format.h>

#include <MTL/Error.hpp>
#include <algorithm>
#include <cstring>

#include "mtl/Buffer.h"

namespace pewter::mtl {

TexelFormat texelFormat(MTL::PixelFormat format) {
    using F = MTL::PixelFormat;
    switch (format) {
        case F::R8Unorm: return {ops::Type::Unorm8, 1};
        case F::RG8Unorm: return {ops::Type::Unorm8, 2};
        case F::RGBA8Unorm: return {ops::Type::Unorm8, 4};
        case F::R16Unorm: return {ops::Type::Unorm16, 1};
        case F::RG16Unorm: return {ops::Type::Unorm16, 2};
        case F::RGBA16Unorm: return {ops::Type::Unorm16, 4};
        case F::R16Float: return {ops::Type::Float16, 1};
        case F::RG16Float: return {ops::Type::Float16, 2};
        case F::RGBA16Float: return {ops::Type::Float16, 4};
        case F::R32Float: return {ops::Type::Float32, 1};
        case F::RG32Float: return {ops::Type::Float32, 2};
        case F::RGBA32Float: return {ops::Type::Float32, 4};
        default:
            throw MTL::Error("texture", "pixelFormat", "an unorm or float format of 1, 2 or 4 channels",
                             fmt::format("MTLPixelFormat {}", static_cast<std::uint64_t>(format)));
    }
}

Texture::Layout standaloneLayout(const MTL::TextureDescriptor& d) {
    const auto [type, lanes] = texelFormat(d.pixelFormat);
    Texture::Layout layout;
    layout.type = type;
    layout.lanes = lanes;
    layout.width = d.width;
    layout.height = d.height;
    layout.channels = lanes * d.arrayLength;
    layout.strideW = layout.channels;
    layout.strideH = layout.strideW * d.width;
    layout.strideN = layout.strideH * d.height;
    return layout;
}

std::size_t textureBytes(const MTL::TextureDescriptor& d) {
    const auto layout = standaloneLayout(d);
    return layout.strideN * ops::sizeOf(layout.type);
}

std::shared_ptr<MTL::Texture> makeTexture(const std::shared_ptr<Device>& device, const MTL::TextureDescriptor& d) {
    if (d.width == 0 || d.height == 0 || d.arrayLength == 0 || d.depth != 1 || d.mipmapLevelCount != 1 ||
        d.sampleCount != 1)
        throw MTL::Error("device " + device->name(), "texture descriptor",
                         "a 2D texture or array with one level and one sample",
                         fmt::format("{} x {} x {}, {} slices, {} levels, {} samples", d.width, d.height, d.depth,
                                     d.arrayLength, d.mipmapLevelCount, d.sampleCount));
    auto buffer = device->newBuffer(textureBytes(d), static_cast<MTL::ResourceOptions>(d.storageMode) << 4);
    return std::make_shared<Texture>(std::move(buffer), standaloneLayout(d), d.pixelFormat, d.usage);
}

Texture::Texture(std::shared_ptr<MTL::Buffer> buffer, const Layout& layout, MTL::PixelFormat format,
                 MTL::TextureUsage usage)
    : buffer_(std::move(buffer)), layout_(layout), format_(format), usage_(usage) {}

template <class Fn>
void Texture::forEachTexel(const MTL::Region& region, std::size_t mipmapLevel, std::size_t slice,
                           std::size_t bytesPerRow, HostAccess access, Fn fn) {
    if (storageMode() == MTL::StorageMode::Private)
        throw MTL::Error("texture " + label_, "storageMode", "shared or managed storage for host access", "private");
    // Written so that no sum of origin and size can wrap around.
    if (mipmapLevel != 0 || slice >= arrayLength() || region.size.width > width() ||
        region.origin.x > width() - region.size.width || region.size.height > height() ||
        region.origin.y > height() - region.size.height)
        throw MTL::Error("texture " + label_, "region",
                         fmt::format("inside {} x {}, {} slices, level 0", width(), height(), arrayLength()),
                         fmt::format("{} x {} at ({}, {}), slice {}, level {}", region.size.width, region.size.height,
                                     region.origin.x, region.origin.y, slice, mipmapLevel));
    const std::size_t element = ops::sizeOf(layout_.type), slicesPerImage = arrayLength() / layout_.images;
    const std::size_t image = slice / slicesPerImage, channel = slice % slicesPerImage * layout_.lanes;
    const std::size_t present = std::min(layout_.lanes, layout_.channels - channel);
    const std::size_t elements = (layout_.images - 1) * layout_.strideN + (height() - 1) * layout_.strideH +
                                 (width() - 1) * layout_.strideW + layout_.channels;
    const HostView view(*buffer_, layout_.byteOffset, elements * element, access);
    std::byte* base = view.data();
    for (std::size_t y = 0; y < region.size.height; ++y)
        for (std::size_t x = 0; x < region.size.width; ++x)
            fn(base + element * (image * layout_.strideN + (region.origin.y + y) * layout_.strideH +
                                 (region.origin.x + x) * layout_.strideW + channel),
               y * bytesPerRow + x * layout_.lanes * element, present * element);
}

void Texture::getBytes(void* bytes, std::size_t bytesPerRow, std::size_t, const MTL::Region& region,
                       std::size_t mipmapLevel, std::size_t slice) {
    const std::size_t texel = layout_.lanes * ops::sizeOf(layout_.type);
    const auto take = [&](std::byte* at, std::size_t host, std::size_t n) {
        auto* to = static_cast<std::byte*>(bytes) + host;
        std::memcpy(to, at, n);
        std::memset(to + n, 0, texel - n);
    };
    forEachTexel(region, mipmapLevel, slice, bytesPerRow, HostAccess::Read, take);
}

void Texture::replaceRegion(const MTL::Region& region, std::size_t mipmapLevel, std::size_t slice, const void* bytes,
                            std::size_t bytesPerRow, std::size_t) {
    const auto put = [&](std::byte* at, std::size_t host, std::size_t n) {
        std::memcpy(at, static_cast<const std::byte*>(bytes) + host, n);
    };
    forEachTexel(region, mipmapLevel, slice, bytesPerRow, HostAccess::ReadWrite, put);
}

}  // namespace pewter::mtl
