#pragma once

#include <memory>
#include <string>
#include <utility>

#include "ops/Backend.h"

namespace pewter::profile {

/// A device that does nothing itself: memory, streams and bytes are another one's. What becomes of operations is left to
/// whoever derives from it.
class ForwardingBackend : public ops::Backend {
public:
    explicit ForwardingBackend(std::shared_ptr<ops::Backend> inner) : inner_(std::move(inner)) {}

    std::string name() const override { return inner_->name(); }
    std::string description() const override { return inner_->description(); }
    int threads() const override { return inner_->threads(); }
    void* allocate(std::size_t bytes) override { return inner_->allocate(bytes); }
    void deallocate(void* memory, std::size_t bytes) noexcept override { inner_->deallocate(memory, bytes); }
    std::unique_ptr<ops::Stream> newStream() override { return inner_->newStream(); }
    bool hostVisible() const override { return inner_->hostVisible(); }
    std::uint64_t memoryBytes() const override { return inner_->memoryBytes(); }
    void* allocateShared(std::size_t bytes) override { return inner_->allocateShared(bytes); }
    void deallocateShared(void* memory, std::size_t bytes) noexcept override { inner_->deallocateShared(memory, bytes); }
    void* share(void* memory, std::size_t bytes) override { return inner_->share(memory, bytes); }
    void unshare(void* memory) noexcept override { inner_->unshare(memory); }
    void download(void* host, const void* device, std::size_t bytes) override { inner_->download(host, device, bytes); }
    void upload(void* device, const void* host, std::size_t bytes) override { inner_->upload(device, host, bytes); }
    void copyBytes(void* to, const void* from, std::size_t bytes, ops::Stream& stream) override {
        inner_->copyBytes(to, from, bytes, stream);
    }
    void fillBytes(void* to, std::uint8_t value, std::size_t bytes, ops::Stream& stream) override {
        inner_->fillBytes(to, value, bytes, stream);
    }
    bool supports(ops::Type type) const override { return inner_->supports(type); }
    bool joinsUpdates() const override { return inner_->joinsUpdates(); }
    bool hasLayouts() const override { return inner_->hasLayouts(); }
#define PEWTER_DECLARE(Op) \
    ops::LayoutCost layoutCost(const ops::Op& op) override { return inner_->layoutCost(op); }
    PEWTER_OPS(PEWTER_DECLARE)
#undef PEWTER_DECLARE

protected:
    ops::Backend& inner() const { return *inner_; }

private:
    std::shared_ptr<ops::Backend> inner_;
};

}  // namespace pewter::profile
