#include "mtl/Buffer.h"

#include <fmt/format.h>

#include <MTL/Error.hpp>

namespace MTL {
Resource::~Resource() = default;
Heap::~Heap() = default;
Fence::~Fence() = default;
}  // namespace MTL

namespace pewter::mtl {

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

void* Buffer::contents() {
    return storageMode() == MTL::StorageMode::Private ? nullptr : memory_->address();
}

void Buffer::didModifyRange(std::size_t location, std::size_t length) {
    if (location > length_ || length > length_ - location)
        throw MTL::Error("buffer " + label_, "range", fmt::format("inside {} bytes", length_),
                         fmt::format("{} bytes at {}", length, location));
}

std::byte* addressOf(MTL::Buffer& buffer) { return static_cast<Buffer&>(buffer).memory().address(); }

}  // namespace pewter::mtl
