#pragma once

#include <MPS/State.hpp>
#include <memory>

#include "mps/core/TensorRef.h"
#include "mtl/Temporary.h"

namespace pewter::mps {

/// What kernels do with states beyond their public face.
struct StateAccess {
    static const std::shared_ptr<mtl::Temporary>& temporary(const MPS::State& state) { return state.temporary_; }
    static const std::shared_ptr<MTL::Device>& device(const MPS::State& state) { return state.device_; }
    /// Buffer `index`, allocated now.
    static std::shared_ptr<MTL::Buffer> buffer(MPS::State& state, std::size_t index);
    /// The same as a run of elements of `type`, from the start.
    static ArrayRef array(MPS::State& state, std::size_t index, std::int64_t size,
                          ops::Type type = ops::Type::Float32);
    /// One piece of memory behind buffer `index` of all states, each with its part, if none has memory yet and all are
    /// alike; else nothing happens.
    static void allocateTogether(const MPS::StateBatch& states, std::size_t index);
    /// Buffer `index` of all states as one dense tensor; null when they do not lie back to back.
    static TensorRef together(const MPS::StateBatch& states, std::size_t index, ops::Type type, std::int64_t h,
                              std::int64_t w, std::int64_t c);
    static void setMaker(const MPS::State& state, const std::string& maker) {
        if (state.temporary_ && state.temporary_->maker.empty()) state.temporary_->maker = maker;
    }
    /// The ranges of temporary memory that the state's buffers lie in, those that are taken.
    static std::vector<const void*> memory(const MPS::State& state);
    /// The memory of a temporary state, to be shown again when what the state is for is encoded once more.
    using Resources = std::vector<MPS::State::Slot>;
    static Resources resources(const MPS::State& state) { return state.resources_; }
    /// Gives a temporary state another life: these resources, a read count, on this command buffer.
    static void renew(MPS::State& state, const Resources& resources, std::size_t readCount,
                      MTL::CommandBuffer& commandBuffer);
    /// Shows existing memory as resource `index` of a state that owns none, until the state is spent.
    static void borrow(MPS::State& state, std::size_t index, std::shared_ptr<MTL::Resource> resource) {
        state.resources_[index].resource = std::move(resource);
        state.resources_[index].callers = true;
        if (state.temporary_)
            state.temporary_->release = [&state] {
                for (auto& slot : state.resources_) slot.resource.reset();
            };
    }
};

/// Throws unless the state can be read by `kernel` on this command buffer.
void requireState(const MPS::State& state, const std::string& kernel, const std::string& argument,
                  MTL::CommandBuffer& commandBuffer, std::size_t reads);
/// One read of each distinct temporary state.
void consumeStates(const MPS::StateBatch& states, const std::string& kernel);

}  // namespace pewter::mps
