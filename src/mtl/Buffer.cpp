#include "mtl/Buffer.h"

#include <fmt/format.h>

#include <MTL/Error.hpp>
#include <cstring>

#include "mtl/Device.h"
#include "mtl/Diagnostics.h"

namespace MTL {
Resource::~Resource() = default;
Heap::~Heap() = default;
Fence::~Fence() = default;
}  // namespace MTL

namespace pewter::mtl {

namespace {

ops::Backend& backendOf(MTL::Device& device) { return static_cast<Device&>(device).backend(); }

/// Bytes come and go only while the device works; afterwards the first cause says more than the call that fails next.
ops::Backend& workingBackendOf(MTL::Device& device) {
    if (const auto fault = static_cast<Device&>(device).fault())
        throw MTL::Error("device " + device.name(), "bytes of a resource", "a device that works", fault->localizedDescription);
    return backendOf(device);
}

}  // namespace

void Buffer::makeAliasable() {
    if (!heap_) throw MTL::Error("buffer " + label_, "makeAliasable", "a resource of a heap", "one without a heap");
    if (aliasable_) return;
    aliasable_ = true;
    onAliasable_();
}

MTL::PurgeableState Buffer::setPurgeableState(MTL::PurgeableState state) {
    const auto before = purgeable_;
    if (state != MTL::PurgeableState::KeepCurrent) purgeable_ = state;
    return before;
}

std::byte* Buffer::hostAddress() const {
    if (std::byte* own = memory_->hostAddress()) return own;
    return backendOf(*device_).hostVisible() ? memory_->address() : nullptr;
}

void* Buffer::contents() {
    if (storageMode() == MTL::StorageMode::Private) return nullptr;
    if (std::byte* own = hostAddress()) return own;
    return mirror_ ? mirror_->address() : updatedMirror();
}

std::byte* Buffer::updatedMirror() {
    if (!mirror_) mirror_ = static_cast<Device&>(*device_).newMirror(length_);
    backendOf(*device_).download(mirror_->address(), memory_->address(), length_);
    return mirror_->address();
}

void Buffer::updateMirror(ops::Stream& stream) {
    if (mirror_) backendOf(*device_).copyBytes(mirror_->address(), memory_->address(), length_, stream);
}

void Buffer::didModifyRange(std::size_t location, std::size_t length) {
    if (location > length_ || length > length_ - location)
        throw MTL::Error("buffer " + label_, "range", fmt::format("inside {} bytes", length_),
                         fmt::format("{} bytes at {}", length, location));
    if (mirror_) backendOf(*device_).upload(memory_->address() + location, mirror_->address() + location, length);
}

std::byte* addressOf(MTL::Buffer& buffer) { return static_cast<Buffer&>(buffer).memory().address(); }

void readBytes(MTL::Buffer& buffer, std::size_t offset, void* to, std::size_t bytes) {
    if (bytes == 0) return;
    auto& own = static_cast<Buffer&>(buffer);
    if (const std::byte* from = own.hostAddress())
        std::memcpy(to, from + offset, bytes);
    else
        workingBackendOf(*own.device()).download(to, own.memory().address() + offset, bytes);
}

void writeBytes(MTL::Buffer& buffer, std::size_t offset, const void* from, std::size_t bytes) {
    if (bytes == 0) return;
    auto& own = static_cast<Buffer&>(buffer);
    if (std::byte* to = own.hostAddress())
        std::memcpy(to + offset, from, bytes);
    else
        workingBackendOf(*own.device()).upload(own.memory().address() + offset, from, bytes);
}

void fillBytes(MTL::Buffer& buffer, std::uint8_t value) {
    auto& own = static_cast<Buffer&>(buffer);
    if (std::byte* to = own.hostAddress()) {
        std::memset(to, value, own.length());
        return;
    }
    auto& backend = workingBackendOf(*own.device());
    const auto stream = backend.newStream();
    backend.fillBytes(own.memory().address(), value, own.length(), *stream);
    stream->synchronize();
}

void* currentContents(MTL::Buffer& buffer) {
    auto& own = static_cast<Buffer&>(buffer);
    if (std::byte* address = own.hostAddress()) return address;
    return own.updatedMirror();
}

HostView::HostView(MTL::Buffer& buffer, std::size_t offset, std::size_t bytes, HostAccess access)
    : buffer_(static_cast<Buffer&>(buffer)), offset_(offset), access_(access), data_(buffer_.hostAddress()) {
    if (data_) {
        data_ += offset;
        return;
    }
    if (access == HostAccess::Write) workingBackendOf(*buffer_.device());  // afterwards nobody could be told
    copy_.resize(bytes);
    data_ = copy_.data();
    if (access != HostAccess::Write) readBytes(buffer_, offset_, data_, bytes);
}

HostView::~HostView() {
    if (copy_.empty() || access_ == HostAccess::Read) return;
    try {
        writeBytes(buffer_, offset_, data_, copy_.size());
    } catch (const std::exception& e) {
        // Of a device that stops meanwhile the next command buffer tells.
        diagnose(fmt::format("{} bytes of the host did not reach their buffer: {}", copy_.size(), e.what()));
    }
}

}  // namespace pewter::mtl
