#pragma once

#include <MPS/Image.hpp>
#include <memory>
#include <mutex>

#include "mtl/Device.h"
#include "mtl/Temporary.h"
#include "mtl/TemporaryHeap.h"
#include "ops/Tensor.h"

namespace pewter::mps {

/// The bytes that one image, its views, or a whole batch made by the library lie in. Taken with first use; for
/// temporaries returned to the heap when the last image on them is spent.
class ImageStorage {
public:
    /// `images` temporaries share the range; each calls spent() once.
    ImageStorage(std::shared_ptr<MTL::Device> device, std::size_t bytes, MTL::ResourceOptions options,
                 std::shared_ptr<mtl::TemporaryHeap> heap = nullptr, std::size_t images = 1);
    /// Around memory that exists.
    explicit ImageStorage(std::shared_ptr<MTL::Buffer> buffer);

    std::shared_ptr<MTL::Buffer> materialize();
    bool isAllocated() const;
    /// What tells memory apart: the buffer once there is one, for two images around one texture share it.
    const void* identity() const;
    /// The range of temporary memory it lies in, once taken; null for other memory.
    const void* range() const;
    void spent();
    std::size_t bytes() const { return bytes_; }
    MTL::StorageMode storageMode() const { return MTL::storageModeOf(options_); }
    bool isCallers() const { return callers_; }
    /// Of all images that lie here; set before the first of them is used.
    void setLayout(ops::ImageLayout layout) { layout_ = layout; }
    ops::ImageLayout layout() const { return layout_; }

private:
    std::shared_ptr<MTL::Device> device_;
    std::size_t bytes_;
    MTL::ResourceOptions options_ = 0;
    std::shared_ptr<mtl::TemporaryHeap> heap_;
    std::size_t live_ = 1;
    bool callers_ = false;
    ops::ImageLayout layout_ = ops::ImageLayout::ChannelsLast;
    mutable std::mutex mutex_;  // first touch may come from two threads
    std::shared_ptr<MTL::Buffer> buffer_;
};

/// The element type of a channel format; throws for None and reserved values, naming `who`.
ops::Type typeOf(MPS::ImageFeatureChannelFormat format, const std::string& who);
const char* nameOf(MPS::ImageFeatureChannelFormat format);

}  // namespace pewter::mps
