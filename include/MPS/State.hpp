#pragma once

#include <iosfwd>
#include <memory>
#include <string>
#include <vector>

#include <MPS/Types.hpp>
#include <MTL/Resource.hpp>

namespace MTL {
class CommandBuffer;
class Device;
}  // namespace MTL

namespace pewter::mtl {
class Temporary;
}
namespace pewter::mps {
struct StateAccess;
}

namespace MPS {

class Image;
class Kernel;
class State;
struct ImageDescriptor;

/// MPSStateBatch: one state a sample, or one state repeated when it serves the whole batch.
using StateBatch = std::vector<std::shared_ptr<State>>;

/// MPSStateResourceList: what a state will hold. Textures come before buffers, each in list order.
class PEWTER_API StateResourceList {
public:
    /// Objective-C: +resourceList, -init
    StateResourceList() = default;
    /// Objective-C: +resourceListWithBufferSizes:
    static StateResourceList bufferSizes(const std::vector<std::size_t>& sizes);
    /// Objective-C: +resourceListWithTextureDescriptors:
    static StateResourceList textureDescriptors(const std::vector<MTL::TextureDescriptor>& descriptors);

    /// Objective-C: -appendTexture:, -appendBuffer:
    void appendTexture(const MTL::TextureDescriptor& descriptor) { textures_.push_back(descriptor); }
    /// Throws MPS::Error for 0 bytes.
    void appendBuffer(std::size_t bytes);

    const std::vector<MTL::TextureDescriptor>& textures() const { return textures_; }
    const std::vector<std::size_t>& buffers() const { return buffers_; }

private:
    std::vector<MTL::TextureDescriptor> textures_;
    std::vector<std::size_t> buffers_;
};

/// Where a new state's memory comes from: a device, or the heap of a command buffer (temporary).
struct PEWTER_API StateOwner {
    std::shared_ptr<MTL::Device> device;
    /// Null: not temporary.
    std::shared_ptr<MTL::CommandBuffer> commandBuffer;

    static StateOwner of(const std::shared_ptr<MTL::Device>& device) { return {device, nullptr}; }
    static StateOwner of(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer);
};

/// MPSState: what a kernel keeps for another besides its image. Holds buffers and textures, allocated with first use.
///
/// A temporary state starts with read count 1, every encode that reads it lowers the count, and at 0 its memory returns
/// to the command buffer. A state without resources, or a plain one, has count 0 and is never recycled.
/// Source: MPSState.h.
class PEWTER_API State : public std::enable_shared_from_this<State> {
public:
    /// Objective-C: +temporaryStateWithCommandBuffer:bufferSize:, …textureDescriptor:, …resourceList:,
    /// +temporaryStateWithCommandBuffer:
    static std::shared_ptr<State> temporaryState(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
                                                 std::size_t bufferSize);
    static std::shared_ptr<State> temporaryState(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
                                                 const MTL::TextureDescriptor& descriptor);
    static std::shared_ptr<State> temporaryState(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
                                                 const StateResourceList& resourceList);
    static std::shared_ptr<State> temporaryState(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer);

    /// Objective-C: -initWithDevice:bufferSize:, …textureDescriptor:, …resourceList:
    State(const std::shared_ptr<MTL::Device>& device, std::size_t bufferSize);
    State(const std::shared_ptr<MTL::Device>& device, const MTL::TextureDescriptor& descriptor);
    State(const std::shared_ptr<MTL::Device>& device, const StateResourceList& resourceList);
    /// Around the caller's resources.   Objective-C: -initWithResource:, -initWithResources:
    explicit State(std::shared_ptr<MTL::Resource> resource);
    explicit State(std::vector<std::shared_ptr<MTL::Resource>> resources);
    virtual ~State();

    State(const State&) = delete;
    State& operator=(const State&) = delete;

    std::size_t resourceCount() const { return resources_.size(); }
    bool isTemporary() const { return temporary_ != nullptr; }
    /// Reads still to come; 0 for a plain state.
    std::size_t readCount() const;
    /// Throws MPS::Error on a temporary whose count is 0. Ignored on plain states.
    void setReadCount(std::size_t count);

    const std::string& label() const { return label_; }
    void setLabel(const std::string& label);

    /// Resource 0, allocated.   Objective-C: -resource (deprecated)
    std::shared_ptr<MTL::Resource> resource() { return resource(0, true); }
    /// Null when it is not allocated and allocateMemory is false, and for an index out of range. Throws MPS::Error for a
    /// temporary whose count is 0.   Objective-C: -resourceAtIndex:allocateMemory:
    std::shared_ptr<MTL::Resource> resource(std::size_t index, bool allocateMemory);
    /// None out of range.   Objective-C: -resourceTypeAtIndex:
    StateResourceType resourceType(std::size_t index) const;
    /// Bytes; 0 when the resource is no buffer.   Objective-C: -bufferSizeAtIndex:
    std::size_t bufferSize(std::size_t index) const;
    /// All zero when the resource is no texture.   Objective-C: -textureInfoAtIndex:
    StateTextureInfo textureInfo(std::size_t index) const;
    /// Bytes of memory, without allocating any.   Objective-C: -resourceSize
    std::size_t resourceSize() const;

    /// Makes device results readable by the host once the command buffer completes. Nothing to do for temporaries.
    /// Objective-C: -synchronizeOnCommandBuffer:
    void synchronize(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer);

    /// The state's say on the result of a kernel that reads it: may change the kernel's properties and the descriptor.
    /// The base class changes nothing.
    /// Objective-C: -destinationImageDescriptorForSourceImages:sourceStates:forKernel:suggestedDescriptor:
    virtual ImageDescriptor destinationImageDescriptor(const std::vector<std::shared_ptr<Image>>& sourceImages,
                                                       const StateBatch& sourceStates, Kernel& kernel,
                                                       const ImageDescriptor& suggestedDescriptor);

    /// Class name without the framework prefix: "NNGradientState".
    virtual const char* className() const { return "State"; }
    /// One line: class, label, bytes, read count, what it records.
    std::string description() const;
    /// The same in full, one fact a line.
    std::string debugDescription() const;
    /// Same class, same recorded facts, same resources (kind and size). Contents are not compared.
    bool isEqual(const State& other) const;
    std::size_t hash() const;

    friend bool operator==(const State& a, const State& b) { return a.isEqual(b); }

protected:
    /// For subclasses: an owner and what to hold.
    State(const StateOwner& owner, const StateResourceList& resources);
    /// The device the state was made for; null for a state around caller resources.
    const std::shared_ptr<MTL::Device>& device() const { return device_; }

    /// Facts of a subclass for description, comparison and hash: name and value.
    using Facts = std::vector<std::pair<std::string, std::string>>;
    virtual void describe(Facts& facts) const;

private:
    struct Slot {
        StateResourceType type = StateResourceType::None;
        std::size_t bytes = 0;
        MTL::TextureDescriptor texture;
        std::shared_ptr<MTL::Resource> resource;
        bool callers = false;
    };

    void allocate(Slot& slot);

    std::shared_ptr<MTL::Device> device_;
    std::shared_ptr<pewter::mtl::Temporary> temporary_;
    std::vector<Slot> resources_;
    std::string label_;

    friend struct pewter::mps::StateAccess;
};

PEWTER_API std::ostream& operator<<(std::ostream& out, const State& state);

/// Adds `amount` to the count of every distinct live temporary state; returns the number of distinct states.
/// C: MPSStateBatchIncrementReadCount()
PEWTER_API std::size_t StateBatchIncrementReadCount(const StateBatch& batch, std::int64_t amount);
/// C: MPSStateBatchSynchronize()
PEWTER_API void StateBatchSynchronize(const StateBatch& batch,
                                      const std::shared_ptr<MTL::CommandBuffer>& commandBuffer);
/// Sum over distinct states.   C: MPSStateBatchResourceSize()
PEWTER_API std::size_t StateBatchResourceSize(const StateBatch& batch);

/// MPSImageSizeEncodingState: a state that knows the size of the image its forward kernel read.
class PEWTER_API ImageSizeEncodingState {
public:
    virtual ~ImageSizeEncodingState();
    virtual std::size_t sourceWidth() const = 0;
    virtual std::size_t sourceHeight() const = 0;
};

}  // namespace MPS
