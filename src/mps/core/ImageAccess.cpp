#include "mps/core/ImageAccess.h"

#include <fmt/format.h>

#include <MTL/Device.hpp>
#include <MTL/Error.hpp>
#include <algorithm>
#include <cstring>

#include "mtl/CommandBuffer.h"

namespace pewter::mps {

using MPS::DataLayout;
using MPS::Image;
using MPS::ImageBatch;
using MPS::ImageDescriptor;
using MTL::Error;

namespace {

std::shared_ptr<mtl::Temporary> newTemporary(const std::shared_ptr<mtl::TemporaryHeap>& heap,
                                             const std::string& maker, const std::shared_ptr<ImageStorage>& storage) {
    auto temporary = std::make_shared<mtl::Temporary>(heap, "temporary image");
    temporary->maker = maker;
    if (storage) temporary->release = [storage] { storage->spent(); };
    return temporary;
}

}  // namespace

void ImageAccess::initialize(Image& image, const std::shared_ptr<MTL::Device>& device, const ImageDescriptor& d) {
    if (d.width == 0 || d.height == 0 || d.featureChannels == 0 || d.numberOfImages == 0)
        throw Error("Image", "imageDescriptor", "at least one pixel, channel and image",
                    fmt::format("{} x {} x {}, {} images", d.width, d.height, d.featureChannels, d.numberOfImages));
    image.format_ = d.channelFormat == MPS::ImageFeatureChannelFormat::None ? MPS::ImageFeatureChannelFormat::Float16
                                                                            : d.channelFormat;
    const std::size_t element = ops::sizeOf(typeOf(image.format_, "Image"));
    std::size_t bytes = element;
    for (const std::size_t extent : {d.width, d.height, d.featureChannels, d.numberOfImages})
        if (__builtin_mul_overflow(bytes, extent, &bytes) || bytes > device->maxBufferLength())
            throw Error("Image", "imageDescriptor", fmt::format("at most {} bytes", device->maxBufferLength()),
                        fmt::format("{} x {} x {}, {} images of {}", d.width, d.height, d.featureChannels,
                                    d.numberOfImages, nameOf(image.format_)));
    image.device_ = device;
    image.width_ = d.width;
    image.height_ = d.height;
    image.channels_ = d.featureChannels;
    image.images_ = d.numberOfImages;
    image.strideW_ = d.featureChannels;
    image.strideH_ = image.strideW_ * d.width;
    image.strideN_ = image.strideH_ * d.height;
    image.usage_ = d.usage;
}

ops::Tensor ImageAccess::shape(const Image& image, std::size_t, std::size_t count) {
    ops::Tensor t;
    t.type = typeOf(image.format_, "Image");
    t.n = static_cast<std::int64_t>(count);
    t.h = static_cast<std::int64_t>(image.height_);
    t.w = static_cast<std::int64_t>(image.width_);
    t.c = static_cast<std::int64_t>(image.channels_);
    t.strideN = static_cast<std::int64_t>(image.strideN_);
    t.strideH = static_cast<std::int64_t>(image.strideH_);
    t.strideW = static_cast<std::int64_t>(image.strideW_);
    t.layout = image.storage_->layout();
    return t;
}

TensorRef ImageAccess::tensor(const Image& image, std::size_t first, std::size_t count) {
    TensorRef ref;
    ref.shape = shape(image, first, count);
    ref.buffer = image.storage_->materialize();
    ref.byteOffset = offset(image, first) * ops::sizeOf(ref.shape.type);
    return ref;
}

ImageAccess::Interval ImageAccess::interval(const Image& i) {
    return {i.offset_, i.offset_ + (i.images_ - 1) * i.strideN_ + (i.height_ - 1) * i.strideH_ +
                           (i.width_ - 1) * i.strideW_ + i.channels_};
}

bool ImageAccess::overlap(const Image& a, const Image& b) {
    if (a.storage_->identity() != b.storage_->identity()) return false;
    if (interval(a).end <= b.offset_ || interval(b).end <= a.offset_) return false;
    // Interleaved views of disjoint channels of the same pixels.
    if (a.strideW_ == b.strideW_ && a.images_ == 1 && b.images_ == 1) {
        const std::size_t ca = a.offset_ % a.strideW_, cb = b.offset_ % b.strideW_;
        if (ca + a.channels_ <= cb || cb + b.channels_ <= ca) return false;
    }
    return true;
}

ImageBatch ImageAccess::makeBatch(const std::shared_ptr<MTL::Device>& device, const ImageDescriptor& descriptor,
                                  std::size_t count) {
    if (count == 0) return {};
    auto first = std::make_shared<Image>(device, descriptor);
    const std::size_t step = first->images_ * first->strideN_;
    const std::size_t bytes = step * ops::sizeOf(typeOf(first->format_, "Image"));
    first->storage_ = std::make_shared<ImageStorage>(
        device, bytes * count,
        static_cast<MTL::ResourceOptions>(descriptor.storageMode) << 4 |
            static_cast<MTL::ResourceOptions>(descriptor.cpuCacheMode));
    ImageBatch batch{first};
    for (std::size_t i = 1; i < count; ++i) {
        auto image = std::make_shared<Image>(device, descriptor);
        image->storage_ = first->storage_;
        image->offset_ = i * step;
        batch.push_back(std::move(image));
    }
    return batch;
}

ImageBatch ImageAccess::makeTemporaryBatch(MTL::CommandBuffer& commandBuffer, const ImageDescriptor& descriptor,
                                           std::size_t count, const std::string& maker) {
    auto& root = mtl::recordingBuffer(commandBuffer, "TemporaryImage");
    const auto device = root.device();
    const auto& heap = root.heap();
    ImageBatch batch;
    batch.reserve(count);
    std::shared_ptr<ImageStorage> storage;
    for (std::size_t i = 0; i < count; ++i) {
        std::shared_ptr<MPS::TemporaryImage> image(new MPS::TemporaryImage);
        initialize(*image, device, descriptor);
        const std::size_t step = image->images_ * image->strideN_;
        if (!storage)
            storage = std::make_shared<ImageStorage>(device,
                                                     step * count * ops::sizeOf(typeOf(image->format_, "Image")),
                                                     MTL::ResourceStorageModePrivate, heap, count);
        image->storage_ = storage;
        image->offset_ = i * step;
        image->temporary_ = newTemporary(heap, maker, storage);
        root.addTemporary(image->temporary_);
        batch.push_back(std::move(image));
    }
    return batch;
}

std::shared_ptr<Image> ImageAccess::standIn(const Image& image, std::shared_ptr<ImageStorage> storage) {
    std::shared_ptr<Image> other(new Image);
    other->device_ = image.device_;
    other->storage_ = std::move(storage);
    other->width_ = image.width_;
    other->height_ = image.height_;
    other->channels_ = image.channels_;
    other->images_ = image.images_;
    other->offset_ = image.offset_;
    other->strideN_ = image.strideN_;
    other->strideH_ = image.strideH_;
    other->strideW_ = image.strideW_;
    other->format_ = image.format_;
    other->usage_ = image.usage_;
    other->label_ = image.label_;
    return other;
}

ImageBatch ImageAccess::batchOn(const std::shared_ptr<MTL::Buffer>& buffer, const ImageDescriptor& descriptor,
                                std::size_t count) {
    const auto storage = std::make_shared<ImageStorage>(buffer);
    ImageBatch batch;
    for (std::size_t i = 0; i < count; ++i) {
        std::shared_ptr<Image> image(new Image);
        initialize(*image, buffer->device(), descriptor);
        image->storage_ = storage;
        image->offset_ = i * image->images_ * image->strideN_;
        batch.push_back(std::move(image));
    }
    return batch;
}

void ImageAccess::setMaker(const Image& image, const std::string& maker) {
    if (image.temporary_ && image.temporary_->maker.empty()) image.temporary_->maker = maker;
}

std::shared_ptr<Image> ImageAccess::view(Image& parent) {
    if (parent.temporary_ && parent.temporary_->readCount() == 0)
        throw Error(parent.description(), "readCount", "at least 1 for a view", "0");
    std::shared_ptr<Image> view(parent.temporary_ ? new MPS::TemporaryImage : new Image);
    view->device_ = parent.device_;
    view->storage_ = parent.storage_;
    view->parent_ = parent.shared_from_this();
    view->width_ = parent.width_;
    view->height_ = parent.height_;
    view->channels_ = parent.channels_;
    view->images_ = 1;
    view->offset_ = parent.offset_;
    view->strideN_ = parent.strideN_;
    view->strideH_ = parent.strideH_;
    view->strideW_ = parent.strideW_;
    view->format_ = parent.format_;
    view->usage_ = parent.usage_;
    view->label_ = parent.label_;
    return view;
}

void ImageAccess::share(Image& parent, const ImageBatch& views) {
    if (!parent.temporary_) return;
    // All views of one call together hold one read of the parent.
    const auto left = std::make_shared<std::size_t>(views.size());
    for (const auto& view : views) {
        view->temporary_ = newTemporary(parent.temporary_->heap(), "a view", nullptr);
        view->temporary_->label = view->label_;
        view->temporary_->viewOf = parent.temporary_;
        view->temporary_->release = [left, of = parent.temporary_] {
            if (--*left == 0) of->consume("its views");
        };
    }
}

ImageBatch ImageAccess::views(Image& image, std::size_t first, std::size_t count) {
    ImageBatch batch;
    for (std::size_t i = 0; i < count; ++i) {
        auto one = view(image);
        one->offset_ = offset(image, first + i);
        batch.push_back(std::move(one));
    }
    share(image, batch);
    return batch;
}

void ImageAccess::copyBytes(Image& image, bool write, std::byte* bytes, DataLayout layout, std::size_t bytesPerColumn,
                            std::size_t bytesPerRow, std::size_t bytesPerImage, const MTL::Region& region,
                            const MPS::ImageReadWriteParams& channels, std::size_t imageIndex) {
    const char* what = write ? "writeBytes" : "readBytes";
    const auto refuse = [&](const char* argument, const std::string& expected, const std::string& found) {
        throw Error(fmt::format("{} of {}", what, image.description()), argument, expected, found);
    };
    if (image.temporary_) refuse("image", "an image that is not temporary", "a temporary one");
    if (image.storage_->storageMode() == MTL::StorageMode::Private)
        refuse("image",
               "shared or managed storage; to move data of a private image, encode a kernel between it and an image "
               "with managed storage",
               "private storage");
    if (!bytes) refuse("bytes", "a pointer", "null");
    const std::size_t c0 = channels.featureChannelOffset, n = channels.numberOfFeatureChannelsToReadWrite;
    const std::size_t lanes = (image.channels_ + 3) / 4 * 4;
    if (c0 % 4 != 0 || n == 0 || (c0 != 0 && n % 4 != 0) || c0 > lanes || n > lanes - c0)
        refuse("featureChannelInfo",
               fmt::format("an offset that is a multiple of 4 and a window inside {} lanes, a multiple of 4 wide "
                           "unless it starts at 0",
                           lanes),
               fmt::format("{} channels from {}", n, c0));
    // Written so that no sum of origin and size can wrap around.
    if (region.size.width == 0 || region.size.width > image.width_ ||
        region.origin.x > image.width_ - region.size.width || region.size.height == 0 ||
        region.size.height > image.height_ || region.origin.y > image.height_ - region.size.height)
        refuse("region", fmt::format("inside {} x {}", image.width_, image.height_),
               fmt::format("{} x {} at ({}, {})", region.size.width, region.size.height, region.origin.x,
                           region.origin.y));
    const std::size_t first = imageIndex + region.origin.z;
    if (region.size.depth == 0 || region.size.depth > image.images_ || imageIndex > image.images_ ||
        region.origin.z > image.images_ || first > image.images_ - region.size.depth)
        refuse("imageIndex", fmt::format("inside {} images", image.images_),
               fmt::format("{} from {}", region.size.depth, first));

    const std::size_t e = ops::sizeOf(typeOf(image.format_, what));
    const bool hwc = layout == DataLayout::HeightxWidthxFeatureChannels;
    const std::size_t column = bytesPerColumn ? bytesPerColumn : (hwc ? n * e : e);
    const std::size_t channelStep = hwc ? e : region.size.height * bytesPerRow;
    const std::size_t present = c0 < image.channels_ ? std::min(n, image.channels_ - c0) : 0;
    const auto elementAt = [&](std::size_t d, std::size_t y, std::size_t x) {
        return offset(image, first + d) + (region.origin.y + y) * image.strideH_ +
               (region.origin.x + x) * image.strideW_ + c0;
    };
    const std::size_t begin = elementAt(0, 0, 0);
    const std::size_t elements =
        elementAt(region.size.depth - 1, region.size.height - 1, region.size.width - 1) + present - begin;
    // A copy of the bytes, if one is needed, must hold what lies between those written.
    const bool whole = elements == region.size.depth * region.size.height * region.size.width * present;
    const mtl::HostView view(*image.storage_->materialize(), begin * e, elements * e,
                             !write  ? mtl::HostAccess::Read
                             : whole ? mtl::HostAccess::Write
                                     : mtl::HostAccess::ReadWrite);
    for (std::size_t d = 0; d < region.size.depth; ++d)
        for (std::size_t y = 0; y < region.size.height; ++y) {
            std::byte* host = bytes + d * bytesPerImage + y * bytesPerRow;
            std::byte* pixel = view.data() + e * (elementAt(d, y, 0) - begin);
            for (std::size_t x = 0; x < region.size.width; ++x, host += column, pixel += e * image.strideW_)
                if (hwc) {
                    if (write)
                        std::memcpy(pixel, host, present * e);
                    else {
                        std::memcpy(host, pixel, present * e);
                        std::memset(host + present * e, 0, (n - present) * e);
                    }
                } else {
                    for (std::size_t c = 0; c < n; ++c) {
                        std::byte* at = host + c * channelStep;
                        if (c >= present) {
                            if (!write) std::memset(at, 0, e);
                        } else if (write)
                            std::memcpy(pixel + c * e, at, e);
                        else
                            std::memcpy(at, pixel + c * e, e);
                    }
                }
        }
}

}  // namespace pewter::mps
