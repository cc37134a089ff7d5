#pragma once

#include <MTL/Resource.hpp>
#include <memory>

#include "mtl/Device.h"
#include "mtl/Buffer.h"
#include "ops/Tensor.h"

namespace pewter::mtl {

/// Element type and channels of a texel; throws for formats that no feature-channel image uses.
struct TexelFormat {
    ops::Type type;
    std::size_t lanes;
};
TexelFormat texelFormat(MTL::PixelFormat format);

/// Bytes of all texels.
std::size_t textureBytes(const MTL::TextureDescriptor& descriptor);

/// A texture face of a strided image: slice s shows channels 4*(s mod slices(C)) .. +3 of image s / slices(C). A texture
/// made on its own is an image of 4*arrayLength channels, so that both faces are the same bytes.
class Texture final : public MTL::Texture {
public:
    struct Layout {
        ops::Type type = ops::Type::Float32;
        std::size_t width = 1, height = 1, channels = 4, images = 1, lanes = 4;
        std::size_t byteOffset = 0;
        std::size_t strideN = 0, strideH = 0, strideW = 0;  // elements
    };

    Texture(std::shared_ptr<MTL::Buffer> buffer, const Layout& layout, MTL::PixelFormat format,
            MTL::TextureUsage usage);

    const std::string& label() const override { return label_; }
    void setLabel(const std::string& label) override { label_ = label; }
    std::shared_ptr<MTL::Device> device() const override { return buffer_->device(); }
    MTL::StorageMode storageMode() const override { return buffer_->storageMode(); }
    MTL::CPUCacheMode cpuCacheMode() const override { return buffer_->cpuCacheMode(); }
    std::size_t allocatedSize() const override { return buffer_->allocatedSize(); }
    std::shared_ptr<MTL::Heap> heap() const override { return buffer_->heap(); }
    std::size_t heapOffset() const override { return buffer_->heapOffset(); }
    void makeAliasable() override { buffer_->makeAliasable(); }
    bool isAliasable() const override { return buffer_->isAliasable(); }
    MTL::PurgeableState setPurgeableState(MTL::PurgeableState state) override {
        return buffer_->setPurgeableState(state);
    }

    MTL::TextureType textureType() const override {
        return arrayLength() > 1 ? MTL::TextureType::Texture2DArray : MTL::TextureType::Texture2D;
    }
    MTL::PixelFormat pixelFormat() const override { return format_; }
    std::size_t width() const override { return layout_.width; }
    std::size_t height() const override { return layout_.height; }
    std::size_t arrayLength() const override {
        return (layout_.channels + layout_.lanes - 1) / layout_.lanes * layout_.images;
    }
    MTL::TextureUsage usage() const override { return usage_; }

    void getBytes(void* bytes, std::size_t bytesPerRow, std::size_t bytesPerImage, const MTL::Region& region,
                  std::size_t mipmapLevel, std::size_t slice) override;
    void replaceRegion(const MTL::Region& region, std::size_t mipmapLevel, std::size_t slice, const void* bytes,
                       std::size_t bytesPerRow, std::size_t bytesPerImage) override;

    const std::shared_ptr<MTL::Buffer>& buffer() const { return buffer_; }
    const Layout& layout() const { return layout_; }

private:
    /// Calls fn(imageAddress, hostOffset, channelsPresent) for every texel of the region.
    template <class Fn>
    void forEachTexel(const MTL::Region& region, std::size_t mipmapLevel, std::size_t slice,
                      std::size_t bytesPerRow, HostAccess access, Fn fn);

    std::shared_ptr<MTL::Buffer> buffer_;
    Layout layout_;
    MTL::PixelFormat format_;
    MTL::TextureUsage usage_;
    std::string label_;
};

std::shared_ptr<MTL::Texture> makeTexture(const std::shared_ptr<Device>& device,
                                          const MTL::TextureDescriptor& descriptor);
/// The layout of a texture of its own.
Texture::Layout standaloneLayout(const MTL::TextureDescriptor& descriptor);

}  // namespace pewter::mtl
