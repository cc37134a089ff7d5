#include <fmt/format.h>

#include <MPS/Image.hpp>
#include <MTL/CommandBuffer.hpp>
#include <MTL/Device.hpp>
#include <MTL/Error.hpp>
#include <algorithm>
#include <cstring>

#include "mps/core/ImageAccess.h"
#include "mtl/CommandBuffer.h"
#include "mtl/Texture.h"

namespace MPS {

using pewter::mps::ImageAccess;
using pewter::mps::ImageStorage;
namespace ops = pewter::ops;
namespace mtl = pewter::mtl;

namespace {

std::size_t slices(std::size_t channels) { return (channels + 3) / 4; }

ImageFeatureChannelFormat formatOf(ops::Type type) {
    switch (type) {
        case ops::Type::Unorm8: return ImageFeatureChannelFormat::Unorm8;
        case ops::Type::Unorm16: return ImageFeatureChannelFormat::Unorm16;
        case ops::Type::Float16: return ImageFeatureChannelFormat::Float16;
        default: return ImageFeatureChannelFormat::Float32;
    }
}

}  // namespace

ImageDescriptor ImageDescriptor::imageDescriptor(ImageFeatureChannelFormat channelFormat, std::size_t width,
                                                 std::size_t height, std::size_t featureChannels) {
    ImageDescriptor d;
    d.channelFormat = channelFormat;
    d.width = width;
    d.height = height;
    d.featureChannels = featureChannels;
    return d;
}

ImageDescriptor ImageDescriptor::imageDescriptor(ImageFeatureChannelFormat channelFormat, std::size_t width,
                                                 std::size_t height, std::size_t featureChannels,
                                                 std::size_t numberOfImages, MTL::TextureUsage usage) {
    auto d = imageDescriptor(channelFormat, width, height, featureChannels);
    d.numberOfImages = numberOfImages;
    d.usage = usage;
    return d;
}

MTL::PixelFormat ImageDescriptor::pixelFormat() const {
    using P = MTL::PixelFormat;
    const auto pick = [&](P one, P two, P four) {
        return featureChannels == 1 ? one : featureChannels == 2 ? two : four;
    };
    switch (channelFormat) {
        case ImageFeatureChannelFormat::Unorm8: return pick(P::R8Unorm, P::RG8Unorm, P::RGBA8Unorm);
        case ImageFeatureChannelFormat::Unorm16: return pick(P::R16Unorm, P::RG16Unorm, P::RGBA16Unorm);
        case ImageFeatureChannelFormat::None:
        case ImageFeatureChannelFormat::Float16: return pick(P::R16Float, P::RG16Float, P::RGBA16Float);
        case ImageFeatureChannelFormat::Float32: return pick(P::R32Float, P::RG32Float, P::RGBA32Float);
        default: return P::Invalid;
    }
}

Image::Image(std::shared_ptr<MTL::Device> device, const ImageDescriptor& descriptor) {
    if (!device) throw Error("Image", "device", "a device", "null");
    ImageAccess::initialize(*this, device, descriptor);
    storage_ = std::make_shared<ImageStorage>(
        device, images_ * strideN_ * ops::sizeOf(pewter::mps::typeOf(format_, "Image")),
        static_cast<MTL::ResourceOptions>(descriptor.storageMode) << 4 |
            static_cast<MTL::ResourceOptions>(descriptor.cpuCacheMode));
}

Image::Image(const std::shared_ptr<MTL::Texture>& texture, std::size_t featureChannels) {
    if (!texture) throw Error("Image", "texture", "a texture", "null");
    if (featureChannels == 0) throw Error("Image", "featureChannels", "at least 1", "0");
    const auto& face = static_cast<mtl::Texture&>(*texture);
    const auto& layout = face.layout();
    const std::size_t length = texture->arrayLength(), per = slices(featureChannels);
    const bool flat = texture->textureType() == MTL::TextureType::Texture2D;
    if (flat ? featureChannels > layout.lanes : length % per != 0)
        throw Error("Image", "featureChannels",
                    flat ? fmt::format("at most {} for a 2D texture", layout.lanes)
                         : fmt::format("slices that divide the array length {}", length),
                    fmt::format("{}", featureChannels));
    // The face of an image with several pictures keeps them apart by its own stride; a texture of its own has its
    // slices side by side in a pixel, and so the images cut from them.
    const bool wholePictures = per * layout.images == length, cut = layout.images == 1;
    const std::size_t step = wholePictures ? layout.strideN : layout.lanes * per;
    const std::size_t last = wholePictures ? featureChannels : (length / per - 1) * step + featureChannels;
    if ((!wholePictures && !cut) || featureChannels > layout.lanes * per || last > layout.channels)
        throw Error("Image", "featureChannels",
                    fmt::format("channels that the texture has: {} images of {} channels in {} slices", layout.images,
                                layout.channels, length),
                    fmt::format("{}", featureChannels));
    device_ = texture->device();
    storage_ = std::make_shared<ImageStorage>(face.buffer());
    width_ = texture->width();
    height_ = texture->height();
    channels_ = featureChannels;
    images_ = length / per;
    offset_ = layout.byteOffset / ops::sizeOf(layout.type);
    strideW_ = layout.strideW;
    strideH_ = layout.strideH;
    strideN_ = step;
    format_ = formatOf(layout.type);
    usage_ = texture->usage();
}

Image::~Image() = default;
TemporaryImage::~TemporaryImage() = default;

MTL::TextureType Image::textureType() const {
    return channels_ <= 4 && images_ == 1 ? MTL::TextureType::Texture2D : MTL::TextureType::Texture2DArray;
}

MTL::PixelFormat Image::pixelFormat() const {
    return ImageDescriptor::imageDescriptor(format_, 1, 1, channels_).pixelFormat();
}

std::size_t Image::precision() const {
    switch (format_) {
        case ImageFeatureChannelFormat::Unorm8:
        case ImageFeatureChannelFormat::BFloat16: return 8;
        case ImageFeatureChannelFormat::Unorm16: return 16;
        case ImageFeatureChannelFormat::Float16: return 11;
        case ImageFeatureChannelFormat::Float32: return 24;
        case ImageFeatureChannelFormat::Float64: return 53;
        default: return 0;
    }
}

std::size_t Image::pixelSize() const {
    const std::size_t lanes = channels_ == 1 ? 1 : channels_ == 2 ? 2 : 4;
    return lanes * ops::sizeOf(pewter::mps::typeOf(format_, "Image"));
}

std::shared_ptr<MTL::Texture> Image::texture() {
    const auto format = pixelFormat();
    if (format == MTL::PixelFormat::Invalid)
        throw Error(description(), "texture", "a channel format that textures have", pewter::mps::nameOf(format_));
    if (temporary_ && temporary_->readCount() == 0)
        throw Error(description(), "texture", "a read count of at least 1", "0");
    mtl::Texture::Layout layout;
    layout.type = pewter::mps::typeOf(format_, "Image");
    layout.width = width_;
    layout.height = height_;
    layout.channels = channels_;
    layout.images = images_;
    layout.lanes = mtl::texelFormat(format).lanes;
    layout.byteOffset = offset_ * ops::sizeOf(layout.type);
    layout.strideN = strideN_;
    layout.strideH = strideH_;
    layout.strideW = strideW_;
    return std::make_shared<mtl::Texture>(storage_->materialize(), layout, format, usage_);
}

void Image::setLabel(const std::string& label) {
    label_ = label;
    if (temporary_) temporary_->label = label;
}

std::size_t Image::resourceSize() const {
    return parent_ || storage_->isCallers() ? 0 : mtl::roundUp(images_ * strideN_ * ops::sizeOf(pewter::mps::typeOf(format_, "Image")));
}

PurgeableState Image::setPurgeableState(PurgeableState state) {
    if (!storage_->isAllocated()) return PurgeableState::AllocationDeferred;
    if (state == PurgeableState::AllocationDeferred) state = PurgeableState::KeepCurrent;  // nothing one can ask for
    const auto before = storage_->materialize()->setPurgeableState(static_cast<MTL::PurgeableState>(state));
    return static_cast<PurgeableState>(before);
}

void Image::synchronize(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer) {
    if (!commandBuffer) throw Error(description(), "commandBuffer", "a command buffer", "null");
    auto& root = mtl::recordingBuffer(*commandBuffer, "synchronize");
    if (!temporary_ && storage_->isAllocated()) root.retain(shared_from_this());
}

std::string Image::description() const {
    return fmt::format("{}{}: {} x {} x {}, {} image{}, {}", temporary_ ? "TemporaryImage" : "Image",
                       label_.empty() ? "" : fmt::format(" '{}'", label_), width_, height_, channels_, images_,
                       images_ == 1 ? "" : "s", pewter::mps::nameOf(format_));
}

ImageBatch Image::batchRepresentation() { return ImageAccess::views(*this, 0, images_); }

ImageBatch Image::batchRepresentation(Range range) {
    if (range.length == 0 || range.location > images_ || range.length > images_ - range.location)
        throw Error(description(), "subRange", fmt::format("1 to {} images inside the image", images_),
                    fmt::format("{} from {}", range.length, range.location));
    return ImageAccess::views(*this, range.location, range.length);
}

std::shared_ptr<Image> Image::subImage(Range range) {
    if (images_ != 1)
        throw Error(description(), "numberOfImages", "1 for a view of channels", fmt::format("{}", images_));
    if (range.location % 4 != 0 || range.length % 4 != 0 || range.length == 0 || range.location >= channels_)
        throw Error(description(), "featureChannelRange",
                    fmt::format("multiples of 4 inside {} channels", channels_),
                    fmt::format("{} from {}", range.length, range.location));
    auto view = ImageAccess::view(*this);
    view->offset_ += range.location;
    view->channels_ = std::min(range.length, channels_ - range.location);
    ImageAccess::share(*this, {view});
    return view;
}

void Image::readBytes(void* bytes, DataLayout layout, std::size_t bytesPerRow, const MTL::Region& region,
                      const ImageReadWriteParams& channels, std::size_t imageIndex) {
    if (region.size.depth != 1)
        throw Error(description(), "region", "depth 1 without bytesPerImage", fmt::format("{}", region.size.depth));
    readBytes(bytes, layout, bytesPerRow, 0, region, channels, imageIndex);
}

void Image::readBytes(void* bytes, DataLayout layout, std::size_t bytesPerRow, std::size_t bytesPerImage,
                      const MTL::Region& region, const ImageReadWriteParams& channels, std::size_t imageIndex) {
    ImageAccess::copyBytes(*this, false, static_cast<std::byte*>(bytes), layout, 0, bytesPerRow, bytesPerImage,
                           region, channels, imageIndex);
}

void Image::writeBytes(const void* bytes, DataLayout layout, std::size_t bytesPerRow, const MTL::Region& region,
                       const ImageReadWriteParams& channels, std::size_t imageIndex) {
    if (region.size.depth != 1)
        throw Error(description(), "region", "depth 1 without bytesPerImage", fmt::format("{}", region.size.depth));
    writeBytes(bytes, layout, 0, bytesPerRow, 0, region, channels, imageIndex);
}

void Image::writeBytes(const void* bytes, DataLayout layout, std::size_t bytesPerRow, std::size_t bytesPerImage,
                       const MTL::Region& region, const ImageReadWriteParams& channels, std::size_t imageIndex) {
    writeBytes(bytes, layout, 0, bytesPerRow, bytesPerImage, region, channels, imageIndex);
}

void Image::writeBytes(const void* bytes, DataLayout layout, std::size_t bytesPerColumn, std::size_t bytesPerRow,
                       std::size_t bytesPerImage, const MTL::Region& region, const ImageReadWriteParams& channels,
                       std::size_t imageIndex) {
    ImageAccess::copyBytes(*this, true, static_cast<std::byte*>(const_cast<void*>(bytes)), layout, bytesPerColumn,
                           bytesPerRow, bytesPerImage, region, channels, imageIndex);
}

namespace {

/// Region, row bytes and channels of a tightly packed whole image. The window is what fits into real channels.
struct Whole {
    MTL::Region region;
    std::size_t bytesPerRow;
    ImageReadWriteParams channels;
    Whole(const Image& image, DataLayout layout)
        : region{{0, 0, 0}, {image.width(), image.height(), 1}}, channels{0, image.featureChannels()} {
        const std::size_t e = ops::sizeOf(pewter::mps::typeOf(image.featureChannelFormat(), "Image"));
        bytesPerRow = image.width() * e *
                      (layout == DataLayout::HeightxWidthxFeatureChannels ? image.featureChannels() : 1);
    }
};

}  // namespace

void Image::readBytes(void* bytes, DataLayout layout, std::size_t imageIndex) {
    const Whole whole(*this, layout);
    readBytes(bytes, layout, whole.bytesPerRow, whole.region, whole.channels, imageIndex);
}

void Image::writeBytes(const void* bytes, DataLayout layout, std::size_t imageIndex) {
    const Whole whole(*this, layout);
    writeBytes(bytes, layout, whole.bytesPerRow, whole.region, whole.channels, imageIndex);
}

std::shared_ptr<TemporaryImage> TemporaryImage::temporaryImage(
    const std::shared_ptr<MTL::CommandBuffer>& commandBuffer, const ImageDescriptor& descriptor) {
    if (!commandBuffer) throw Error("TemporaryImage", "commandBuffer", "a command buffer", "null");
    auto batch = ImageAccess::makeTemporaryBatch(*commandBuffer, descriptor, 1, "");
    return std::static_pointer_cast<TemporaryImage>(batch.front());
}

std::shared_ptr<TemporaryImage> TemporaryImage::temporaryImage(
    const std::shared_ptr<MTL::CommandBuffer>& commandBuffer, const MTL::TextureDescriptor& descriptor) {
    const auto [type, lanes] = mtl::texelFormat(descriptor.pixelFormat);
    return temporaryImage(commandBuffer, descriptor, lanes);
}

std::shared_ptr<TemporaryImage> TemporaryImage::temporaryImage(
    const std::shared_ptr<MTL::CommandBuffer>& commandBuffer, const MTL::TextureDescriptor& descriptor,
    std::size_t featureChannels) {
    const auto [type, lanes] = mtl::texelFormat(descriptor.pixelFormat);
    if (descriptor.storageMode != MTL::StorageMode::Private || descriptor.depth != 1)
        throw Error("TemporaryImage", "textureDescriptor", "private storage and depth 1",
                    fmt::format("storage mode {}, depth {}", static_cast<int>(descriptor.storageMode),
                                descriptor.depth));
    if (!(descriptor.usage & (MTL::TextureUsageShaderRead | MTL::TextureUsageShaderWrite)))
        throw Error("TemporaryImage", "textureDescriptor", "a usage with ShaderRead or ShaderWrite",
                    fmt::format("{}", descriptor.usage));
    if (featureChannels == 0 || descriptor.arrayLength % slices(featureChannels) != 0)
        throw Error("TemporaryImage", "featureChannels",
                    fmt::format("slices that divide the array length {}", descriptor.arrayLength),
                    fmt::format("{}", featureChannels));
    auto image = ImageDescriptor::imageDescriptor(formatOf(type), descriptor.width, descriptor.height,
                                                  featureChannels);
    image.numberOfImages = descriptor.arrayLength / slices(featureChannels);
    image.usage = descriptor.usage;
    return temporaryImage(commandBuffer, image);
}

void TemporaryImage::prefetchStorage(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
                                     const std::vector<ImageDescriptor>& list) {
    if (!commandBuffer) throw Error("TemporaryImage", "commandBuffer", "a command buffer", "null");
    std::size_t most = 0;  // lifetimes are unknown: enough for the largest, as the hint may be too small
    for (const auto& d : list) {
        auto format = d.channelFormat == ImageFeatureChannelFormat::None ? ImageFeatureChannelFormat::Float16
                                                                          : d.channelFormat;
        most = std::max(most, d.width * d.height * d.featureChannels * d.numberOfImages *
                                  ops::sizeOf(pewter::mps::typeOf(format, "TemporaryImage")));
    }
    if (most) mtl::recordingBuffer(*commandBuffer, "prefetchStorage").heap()->hint(most);
}

std::size_t TemporaryImage::readCount() const { return temporary_->readCount(); }
void TemporaryImage::setReadCount(std::size_t count) { temporary_->setReadCount(count); }

ImageType GetImageType(const Image& image) {
    ImageType type = 0;
    if (image.featureChannels() > 4) type |= ImageTypeArrayMask;
    if (image.numberOfImages() > 1) type |= ImageTypeBatchMask;
    if (image.featureChannels() <= 2) type |= ImageTypeNoAlpha;
    switch (image.featureChannelFormat()) {
        case ImageFeatureChannelFormat::Unorm8: return type | ImageTypeTexelFormatUnorm8;
        case ImageFeatureChannelFormat::Float16: return type | ImageTypeTexelFormatFloat16;
        case ImageFeatureChannelFormat::BFloat16: return type | ImageTypeTexelFormatBFloat16;
        default: return type | ImageTypeTexelFormatStandard;
    }
}

}  // namespace MPS
