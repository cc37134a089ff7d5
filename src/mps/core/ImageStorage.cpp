#include "mps/core/ImageStorage.h"

#include <fmt/format.h>

#include <MTL/Error.hpp>

#include "mtl/Buffer.h"

namespace pewter::mps {

ImageStorage::ImageStorage(std::shared_ptr<MTL::Device> device, std::size_t bytes, MTL::ResourceOptions options,
                           std::shared_ptr<mtl::TemporaryHeap> heap, std::size_t images)
    : device_(std::move(device)), bytes_(bytes), options_(options), heap_(std::move(heap)), live_(images) {}

ImageStorage::ImageStorage(std::shared_ptr<MTL::Buffer> buffer)
    : device_(buffer->device()),
      bytes_(buffer->length()),
      options_(static_cast<MTL::ResourceOptions>(buffer->storageMode()) << 4),
      callers_(true),
      buffer_(std::move(buffer)) {}

std::shared_ptr<MTL::Buffer> ImageStorage::materialize() {
    std::lock_guard lock(mutex_);
    if (live_ == 0) throw MTL::Error("temporary image", "storage", "storage that is not given back yet", "none");
    if (!buffer_) {
        if (heap_)
            buffer_ = std::make_shared<mtl::Buffer>(device_, heap_->take(bytes_), bytes_,
                                                    MTL::ResourceStorageModePrivate);
        else
            buffer_ = mtl::deviceOf(*device_).newUninitializedBuffer(bytes_, options_);
    }
    return buffer_;
}

bool ImageStorage::isAllocated() const {
    std::lock_guard lock(mutex_);
    return buffer_ != nullptr;
}

const void* ImageStorage::identity() const {
    std::lock_guard lock(mutex_);
    return buffer_ ? static_cast<const void*>(buffer_.get()) : this;
}

const void* ImageStorage::range() const {
    std::lock_guard lock(mutex_);
    if (!heap_ || !buffer_) return nullptr;
    return dynamic_cast<const mtl::TemporaryHeap::Range*>(&static_cast<const mtl::Buffer&>(*buffer_).memory());
}

void ImageStorage::spent() {
    std::lock_guard lock(mutex_);
    if (--live_ > 0) return;
    heap_.reset();
    if (!buffer_) return;
    static_cast<mtl::TemporaryHeap::Range&>(static_cast<mtl::Buffer&>(*buffer_).memory()).release();
    buffer_.reset();
}

ops::Type typeOf(MPS::ImageFeatureChannelFormat format, const std::string& who) {
    using F = MPS::ImageFeatureChannelFormat;
    switch (format) {
        case F::Unorm8: return ops::Type::Unorm8;
        case F::Unorm16: return ops::Type::Unorm16;
        case F::Float16: return ops::Type::Float16;
        case F::Float32: return ops::Type::Float32;
        case F::BFloat16: return ops::Type::BFloat16;
        case F::Float64: return ops::Type::Float64;
        default:
            throw MTL::Error(who, "channelFormat", "Unorm8, Unorm16, Float16, Float32, BFloat16 or Float64",
                             fmt::format("ImageFeatureChannelFormat {}", static_cast<std::uint64_t>(format)));
    }
}

const char* nameOf(MPS::ImageFeatureChannelFormat format) {
    return format == MPS::ImageFeatureChannelFormat::None ? "none" : ops::nameOf(typeOf(format, "image"));
}

}  // namespace pewter::mps
