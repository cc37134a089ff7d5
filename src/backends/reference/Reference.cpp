#include "backends/reference/Reference.h"

#include <new>

#include "ops/Backends.h"

namespace pewter::reference {

namespace {
constexpr std::align_val_t kAlignment{64};
}

void* Reference::allocate(std::size_t bytes) { return ::operator new(bytes, kAlignment); }

void Reference::deallocate(void* memory, std::size_t /*bytes*/) noexcept {
    ::operator delete(memory, kAlignment);
}

bool Reference::supports(ops::Type imageType) const {
    return imageType != ops::Type::UInt8 && imageType != ops::Type::UInt32;
}

}  // namespace pewter::reference

namespace pewter::ops {

BackendEntry referenceBackend() { return {"reference", std::make_shared<reference::Reference>(), {}}; }

}  // namespace pewter::ops
