#include <fmt/format.h>

#include <MPS/Image.hpp>
#include <MPS/State.hpp>
#include <MTL/CommandBuffer.hpp>
#include <MTL/Device.hpp>
#include <MTL/Error.hpp>
#include <algorithm>
#include <ostream>
#include <unordered_set>

#include "mps/core/StateAccess.h"
#include "mtl/CommandBuffer.h"
#include "mtl/TemporaryHeap.h"
#include "mtl/Texture.h"

namespace MPS {

namespace mtl = pewter::mtl;

namespace {

std::size_t slotBytes(StateResourceType type, std::size_t bytes, const MTL::TextureDescriptor& texture) {
    return type == StateResourceType::Texture ? mtl::textureBytes(texture) : bytes;
}

const std::shared_ptr<MTL::CommandBuffer>& required(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer) {
    if (!commandBuffer) throw Error("State", "commandBuffer", "a command buffer", "null");
    return commandBuffer;
}

StateResourceList one(const MTL::TextureDescriptor& descriptor) {
    return StateResourceList::textureDescriptors({descriptor});
}

/// Lets the factories reach the constructor for owners.
class OwnedState final : public State {
public:
    OwnedState(const StateOwner& owner, const StateResourceList& resources) : State(owner, resources) {}
};

}  // namespace

StateResourceList StateResourceList::bufferSizes(const std::vector<std::size_t>& sizes) {
    StateResourceList list;
    for (const std::size_t size : sizes) list.appendBuffer(size);
    return list;
}

StateResourceList StateResourceList::textureDescriptors(const std::vector<MTL::TextureDescriptor>& descriptors) {
    StateResourceList list;
    for (const auto& descriptor : descriptors) list.appendTexture(descriptor);
    return list;
}

void StateResourceList::appendBuffer(std::size_t bytes) {
    if (bytes == 0) throw Error("StateResourceList", "buffer size", "at least 1 byte", "0");
    buffers_.push_back(bytes);
}

StateOwner StateOwner::of(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer) {
    return {required(commandBuffer)->device(), commandBuffer};
}

std::shared_ptr<State> State::temporaryState(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
                                             std::size_t bufferSize) {
    return temporaryState(commandBuffer, StateResourceList::bufferSizes({bufferSize}));
}

std::shared_ptr<State> State::temporaryState(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
                                             const MTL::TextureDescriptor& descriptor) {
    return temporaryState(commandBuffer, one(descriptor));
}

std::shared_ptr<State> State::temporaryState(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
                                             const StateResourceList& resourceList) {
    return std::make_shared<OwnedState>(StateOwner::of(commandBuffer), resourceList);
}

std::shared_ptr<State> State::temporaryState(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer) {
    return temporaryState(commandBuffer, StateResourceList());
}

State::State(const std::shared_ptr<MTL::Device>& device, std::size_t bufferSize)
    : State(device, StateResourceList::bufferSizes({bufferSize})) {}

State::State(const std::shared_ptr<MTL::Device>& device, const MTL::TextureDescriptor& descriptor)
    : State(device, one(descriptor)) {}

State::State(const std::shared_ptr<MTL::Device>& device, const StateResourceList& resourceList)
    : State(StateOwner::of(device), resourceList) {}

State::State(std::shared_ptr<MTL::Resource> resource) {
    if (!resource) return;
    auto& slot = resources_.emplace_back();
    slot.callers = true;
    slot.resource = resource;
    device_ = resource->device();
    if (auto buffer = std::dynamic_pointer_cast<MTL::Buffer>(resource)) {
        slot.type = StateResourceType::Buffer;
        slot.bytes = buffer->length();
    } else if (auto texture = std::dynamic_pointer_cast<MTL::Texture>(resource)) {
        slot.type = StateResourceType::Texture;
        slot.texture = {texture->textureType(), texture->pixelFormat(), texture->width(), texture->height(), 1, 1, 1,
                        texture->arrayLength(), texture->storageMode(), texture->cpuCacheMode(), texture->usage()};
    }
}

State::State(std::vector<std::shared_ptr<MTL::Resource>> resources) {
    for (auto& resource : resources) {
        State one(std::move(resource));
        if (one.resources_.empty()) throw Error("State", "resources", "resources", "null among them");
        device_ = one.device_;
        resources_.push_back(one.resources_.front());
    }
}

State::State(const StateOwner& owner, const StateResourceList& list) : device_(owner.device) {
    if (!device_) throw Error("State", "device", "a device", "null");
    for (const auto& texture : list.textures()) {
        mtl::texelFormat(texture.pixelFormat);  // refuses formats that have no memory here
        resources_.push_back({StateResourceType::Texture, 0, texture, nullptr, false});
    }
    for (const std::size_t bytes : list.buffers())
        resources_.push_back({StateResourceType::Buffer, bytes, {}, nullptr, false});
    if (!owner.commandBuffer || resources_.empty()) return;
    auto& root = mtl::recordingBuffer(*owner.commandBuffer, "State");
    temporary_ = std::make_shared<mtl::Temporary>(root.heap(), "temporary state");
    root.addTemporary(temporary_);
}

State::~State() {
    // The slots die with this object; the count of a temporary goes on being watched by its command buffer.
    if (temporary_ && temporary_->release) temporary_->release();
    if (temporary_) temporary_->release = nullptr;
}

std::size_t State::readCount() const { return temporary_ ? temporary_->readCount() : 0; }

void State::setReadCount(std::size_t count) {
    if (temporary_) temporary_->setReadCount(count);
}

void State::setLabel(const std::string& label) {
    label_ = label;
    if (temporary_) temporary_->label = label;
}

void State::allocate(Slot& slot) {
    const std::size_t bytes = slotBytes(slot.type, slot.bytes, slot.texture);
    std::shared_ptr<MTL::Buffer> buffer;
    if (temporary_) {
        auto range = temporary_->heap()->take(bytes);
        buffer = std::make_shared<mtl::Buffer>(device_, range, bytes, MTL::ResourceStorageModePrivate);
        auto before = std::move(temporary_->release);
        temporary_->release = [range, before = std::move(before), this] {
            if (before) before();
            range->release();
            for (auto& s : resources_) s.resource.reset();
        };
    } else {
        buffer = device_->newBuffer(bytes, MTL::ResourceStorageModeManaged);
    }
    if (slot.type == StateResourceType::Buffer)
        slot.resource = std::move(buffer);
    else
        slot.resource = std::make_shared<mtl::Texture>(std::move(buffer), mtl::standaloneLayout(slot.texture),
                                                       slot.texture.pixelFormat, slot.texture.usage);
}

std::shared_ptr<MTL::Resource> State::resource(std::size_t index, bool allocateMemory) {
    if (index >= resources_.size()) return nullptr;
    auto& slot = resources_[index];
    if (!slot.resource && allocateMemory) {
        if (temporary_ && temporary_->isRetired())
            throw Error(description(), "commandBuffer", "one that is not committed yet", "a committed one");
        if (temporary_ && temporary_->readCount() == 0)
            throw Error(description(), "readCount", "at least 1 for a resource", "0");
        allocate(slot);
    }
    return slot.resource;
}

StateResourceType State::resourceType(std::size_t index) const {
    return index < resources_.size() ? resources_[index].type : StateResourceType::None;
}

std::size_t State::bufferSize(std::size_t index) const {
    return resourceType(index) == StateResourceType::Buffer ? resources_[index].bytes : 0;
}

StateTextureInfo State::textureInfo(std::size_t index) const {
    if (resourceType(index) != StateResourceType::Texture) {
        StateTextureInfo none;
        none.textureType = static_cast<MTL::TextureType>(0);
        return none;
    }
    const auto& t = resources_[index].texture;
    return {t.width, t.height, t.depth, t.arrayLength, t.pixelFormat, t.textureType, t.usage};
}

std::size_t State::resourceSize() const {
    std::size_t sum = 0;
    for (const auto& slot : resources_)
        if (!slot.callers) sum += mtl::roundUp(slotBytes(slot.type, slot.bytes, slot.texture));
    return sum;
}

void State::synchronize(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer) {
    auto& root = mtl::recordingBuffer(*required(commandBuffer), "synchronize");
    if (!temporary_ && !resources_.empty() && weak_from_this().lock()) root.retain(shared_from_this());
}

ImageDescriptor State::destinationImageDescriptor(const std::vector<std::shared_ptr<Image>>&, const StateBatch&,
                                                  Kernel&, const ImageDescriptor& suggested) {
    return suggested;
}

void State::describe(Facts&) const {}

std::string State::description() const {
    Facts facts;
    describe(facts);
    std::string text = fmt::format("{}{}: {} bytes in {} resource{}", className(),
                                   label_.empty() ? "" : fmt::format(" '{}'", label_), resourceSize(),
                                   resources_.size(), resources_.size() == 1 ? "" : "s");
    text += temporary_ ? fmt::format(", temporary, read count {}", readCount()) : ", not temporary";
    for (const auto& [name, value] : facts) text += fmt::format(", {} {}", name, value);
    return text;
}

std::string State::debugDescription() const {
    Facts facts;
    describe(facts);
    std::string text = fmt::format("{}{}\n  temporary: {}\n  readCount: {}\n", className(),
                                   label_.empty() ? "" : fmt::format(" '{}'", label_), temporary_ ? "yes" : "no",
                                   readCount());
    for (std::size_t i = 0; i < resources_.size(); ++i) {
        const auto& slot = resources_[i];
        text += slot.type == StateResourceType::Buffer
                    ? fmt::format("  resource {}: buffer, {} bytes", i, slot.bytes)
                    : fmt::format("  resource {}: texture, {} x {}, {} slices", i, slot.texture.width,
                                  slot.texture.height, slot.texture.arrayLength);
        text += slot.resource ? ", allocated\n" : ", not allocated\n";
    }
    for (const auto& [name, value] : facts) text += fmt::format("  {}: {}\n", name, value);
    return text;
}

bool State::isEqual(const State& other) const {
    if (this == &other) return true;
    if (std::string(className()) != other.className() || resources_.size() != other.resources_.size() ||
        isTemporary() != other.isTemporary())
        return false;
    for (std::size_t i = 0; i < resources_.size(); ++i) {
        const auto &a = resources_[i], &b = other.resources_[i];
        if (a.type != b.type || slotBytes(a.type, a.bytes, a.texture) != slotBytes(b.type, b.bytes, b.texture))
            return false;
    }
    Facts mine, theirs;
    describe(mine);
    other.describe(theirs);
    return mine == theirs;
}

std::size_t State::hash() const {
    Facts facts;
    describe(facts);
    // From what isEqual() compares, so that equal states have equal hashes.
    std::string text = fmt::format("{} {}", className(), isTemporary());
    for (const auto& slot : resources_)
        text += fmt::format(" {}:{}", static_cast<std::uint64_t>(slot.type),
                            slotBytes(slot.type, slot.bytes, slot.texture));
    for (const auto& [name, value] : facts) text += name + value;
    return std::hash<std::string>{}(text);
}

std::ostream& operator<<(std::ostream& out, const State& state) { return out << state.description(); }

ImageSizeEncodingState::~ImageSizeEncodingState() = default;

}  // namespace MPS

namespace pewter::mps {

std::shared_ptr<MTL::Buffer> StateAccess::buffer(MPS::State& state, std::size_t index) {
    return std::static_pointer_cast<MTL::Buffer>(state.resource(index, true));
}

ArrayRef StateAccess::array(MPS::State& state, std::size_t index, std::int64_t size, ops::Type type) {
    return {buffer(state, index), 0, type, size};
}

void StateAccess::renew(MPS::State& state, const Resources& resources, std::size_t readCount,
                        MTL::CommandBuffer& commandBuffer) {
    auto& root = mtl::rootOf(commandBuffer);
    state.resources_ = resources;
    auto temporary = std::make_shared<mtl::Temporary>(root.heap(), "temporary state");
    temporary->label = state.label_;
    if (state.temporary_) temporary->maker = state.temporary_->maker;
    state.temporary_ = std::move(temporary);
    if (readCount != 1) state.temporary_->setReadCount(readCount);
    root.addTemporary(state.temporary_);
}

namespace {

/// A piece of a buffer.
class PartMemory final : public mtl::Memory {
public:
    PartMemory(std::shared_ptr<MTL::Buffer> whole, std::size_t offset, std::size_t size)
        : whole_(std::move(whole)), offset_(offset), size_(size) {}
    std::byte* address() const override { return mtl::addressOf(*whole_) + offset_; }
    std::byte* hostAddress() const override {
        std::byte* base = static_cast<const mtl::Buffer&>(*whole_).hostAddress();
        return base ? base + offset_ : nullptr;
    }
    std::size_t size() const override { return size_; }
    const std::shared_ptr<MTL::Buffer>& whole() const { return whole_; }
    std::size_t offset() const { return offset_; }

private:
    std::shared_ptr<MTL::Buffer> whole_;
    std::size_t offset_, size_;
};

}  // namespace

std::vector<const void*> StateAccess::memory(const MPS::State& state) {
    std::vector<const void*> ranges;
    for (const auto& slot : state.resources_) {
        const auto* buffer = dynamic_cast<const mtl::Buffer*>(slot.resource.get());
        if (!buffer || slot.callers) continue;
        const mtl::Memory* memory = &buffer->memory();
        if (const auto* part = dynamic_cast<const PartMemory*>(memory))
            memory = &static_cast<const mtl::Buffer&>(*part->whole()).memory();
        ranges.push_back(dynamic_cast<const mtl::TemporaryHeap::Range*>(memory));
    }
    return ranges;
}

void StateAccess::allocateTogether(const MPS::StateBatch& states, std::size_t index) {
    if (states.size() < 2) return;
    const auto& first = *states[0];
    const std::size_t bytes = first.bufferSize(index);
    std::unordered_set<const MPS::State*> distinct;
    for (const auto& state : states)
        if (!distinct.insert(state.get()).second || state->resource(index, false) ||
            state->bufferSize(index) != bytes || state->device_ != first.device_ ||
            state->isTemporary() != first.isTemporary() ||
            (first.temporary_ && state->temporary_->heap() != first.temporary_->heap()))
            return;
    const std::size_t all = bytes * states.size();
    std::shared_ptr<MTL::Buffer> whole;
    std::shared_ptr<mtl::TemporaryHeap::Range> shared;
    if (first.temporary_) {
        auto range = first.temporary_->heap()->take(all);
        whole = std::make_shared<mtl::Buffer>(first.device_, range, all, MTL::ResourceStorageModePrivate);
        // The memory goes back when the last of the states gives up its part.
        shared = {range.get(), [range](mtl::TemporaryHeap::Range*) { range->release(); }};
    } else {
        whole = first.device_->newBuffer(all, MTL::ResourceStorageModeManaged);
    }
    for (std::size_t i = 0; i < states.size(); ++i) {
        auto& state = *states[i];
        state.resources_[index].resource = std::make_shared<mtl::Buffer>(
            state.device_, std::make_shared<PartMemory>(whole, i * bytes, bytes), bytes,
            first.temporary_ ? MTL::ResourceStorageModePrivate : MTL::ResourceStorageModeManaged);
        if (!shared) continue;
        state.temporary_->release = [before = std::move(state.temporary_->release), part = shared, &state]() mutable {
            if (before) before();
            part.reset();
            for (auto& slot : state.resources_) slot.resource.reset();
        };
    }
}

TensorRef StateAccess::together(const MPS::StateBatch& states, std::size_t index, ops::Type type, std::int64_t h,
                                std::int64_t w, std::int64_t c) {
    TensorRef ref;
    const auto bytes = static_cast<std::size_t>(h * w * c) * ops::sizeOf(type);
    ref.shape = ops::Tensor::dense(nullptr, type, static_cast<std::int64_t>(states.size()), h, w, c);
    if (states.size() == 1) {
        ref.buffer = buffer(*states[0], index);
        return ref;
    }
    std::shared_ptr<MTL::Buffer> whole;
    std::size_t start = 0;
    for (std::size_t i = 0; i < states.size(); ++i) {
        const auto one = std::dynamic_pointer_cast<mtl::Buffer>(states[i]->resource(index, false));
        const auto* part = one ? dynamic_cast<const PartMemory*>(&one->memory()) : nullptr;
        if (!part) return {};
        if (i == 0) {
            whole = part->whole();
            start = part->offset();
        }
        if (part->whole() != whole || part->offset() != start + i * bytes) return {};
    }
    ref.buffer = whole;
    ref.byteOffset = start;
    return ref;
}

void requireState(const MPS::State& state, const std::string& kernel, const std::string& argument,
                  MTL::CommandBuffer& commandBuffer, std::size_t reads) {
    auto& root = mtl::rootOf(commandBuffer);
    if (const auto& device = StateAccess::device(state); device && device != root.device())
        throw MTL::Error(kernel, argument, "a state of device " + root.device()->name(),
                         "one of device " + device->name());
    if (const auto& temporary = StateAccess::temporary(state))
        temporary->require(kernel, argument, *root.heap(), reads);
}

void consumeStates(const MPS::StateBatch& states, const std::string& kernel) {
    std::unordered_set<const MPS::State*> seen;
    for (const auto& state : states)
        if (state && seen.insert(state.get()).second)
            if (const auto& temporary = StateAccess::temporary(*state)) temporary->consume(kernel);
}

}  // namespace pewter::mps
