#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include <MTL/Export.hpp>
#include <MTL/Types.hpp>

namespace MTL {

class Buffer;
class CommandBuffer;
class CommandQueue;
class Device;
class Resource;
class Texture;

/// Why a command buffer failed: the NSError of -[MTLCommandBuffer error].
struct CommandFailure {
    CommandBufferError code = CommandBufferError::None;
    /// One sentence that names the command.
    std::string localizedDescription;
    /// Label of the command that failed.
    std::string command;
};

using CommandBufferHandler = std::function<void(const std::shared_ptr<CommandBuffer>&)>;

/// MTLBlitCommandEncoder: copies and fills. One encoder of a command buffer may be open at a time.
class PEWTER_API BlitCommandEncoder {
public:
    virtual ~BlitCommandEncoder();
    /// Objective-C: -copyFromBuffer:sourceOffset:toBuffer:destinationOffset:size:
    virtual void copy(const std::shared_ptr<Buffer>& source, std::size_t sourceOffset,
                      const std::shared_ptr<Buffer>& destination, std::size_t destinationOffset,
                      std::size_t size) = 0;
    /// Objective-C: -fillBuffer:range:value:
    virtual void fill(const std::shared_ptr<Buffer>& buffer, std::size_t location, std::size_t length,
                      std::uint8_t value) = 0;
    /// Makes a managed resource's device contents readable by the host once the buffer completes.
    /// Objective-C: -synchronizeResource:
    virtual void synchronize(const std::shared_ptr<Resource>& resource) = 0;
    virtual void endEncoding() = 0;
};

/// MTLCommandBuffer: a single-use list of commands, executed in the order they were encoded.
///
/// One thread at a time encodes; any thread may wait and query. The buffer keeps what its commands use alive until they
/// have run. A command that fails ends the buffer with status Error and an error that names it; the queue goes on.
class PEWTER_API CommandBuffer : public std::enable_shared_from_this<CommandBuffer> {
public:
    virtual ~CommandBuffer();

    virtual std::shared_ptr<Device> device() const = 0;
    virtual std::shared_ptr<CommandQueue> commandQueue() const = 0;
    virtual std::string label() const = 0;
    virtual void setLabel(const std::string& label) = 0;

    virtual CommandBufferStatus status() const = 0;
    /// Set exactly when status() is Error.
    virtual std::optional<CommandFailure> error() const = 0;
    virtual bool retainedReferences() const = 0;

    /// Reserves the buffer's place in the queue. Enqueuing again does nothing.
    virtual void enqueue() = 0;
    /// Hands the buffer to its queue, enqueuing it first if need be. Throws MTL::Error when committed before, or while an
    /// encoder is open.
    virtual void commit() = 0;

    /// Returns once scheduled handlers have run. Throws MTL::Error on a buffer that was never committed.
    virtual void waitUntilScheduled() = 0;
    /// Returns once the commands have run and every completed handler has returned. Throws MTL::Error on a buffer that
    /// was never committed, and inside a handler of the same queue, where it could never return.
    virtual void waitUntilCompleted() = 0;

    /// Handlers run on the queue's worker, in the order they were added, exactly once, for success and failure alike.
    /// Throws MTL::Error after commit.   Objective-C: -addScheduledHandler:, -addCompletedHandler:
    virtual void addScheduledHandler(CommandBufferHandler handler) = 0;
    virtual void addCompletedHandler(CommandBufferHandler handler) = 0;

    /// Host seconds; 0 until known.   Objective-C: -GPUStartTime, -GPUEndTime
    virtual double gpuStartTime() const = 0;
    virtual double gpuEndTime() const = 0;

    /// A stack of names put before the labels of the commands encoded inside. Objective-C: -pushDebugGroup:, -popDebugGroup
    virtual void pushDebugGroup(const std::string& name) = 0;
    virtual void popDebugGroup() = 0;

    /// Throws MTL::Error while another encoder is open, and after commit.
    virtual std::shared_ptr<BlitCommandEncoder> blitCommandEncoder() = 0;

    /// Appends a function of the host to the buffer: it runs on the queue's worker between the commands before and after
    /// it. An exception ends the buffer with status Error. The way to put own work between kernels (extension).
    virtual void encodeHostFunction(const std::string& label, std::function<void()> function) = 0;

    /// Bytes of temporary memory that the work encoded so far needs at once: the extent of the command buffer's heap
    /// (extension).
    virtual std::size_t peakTemporaryMemory() const = 0;
    /// The largest sum of live temporary bytes at any moment so far: no placement can need less (extension).
    virtual std::size_t liveTemporaryMemoryPeak() const = 0;

    /// The real command buffer that commands go to: this one, or for an MPS::CommandBuffer the one it now wraps.
    virtual std::shared_ptr<CommandBuffer> rootCommandBuffer() = 0;

    /// Whether commands encoded through this object should run, asked when they would run; empty = always.
    /// MPS::CommandBuffer answers with its predicate.
    virtual std::function<bool()> executionCondition() const;
};

/// MTLCommandBufferDescriptor.
struct CommandBufferDescriptor {
    bool retainedReferences = true;
    std::uint64_t errorOptions = 0;
};

/// MTLCommandQueue: an ordered list of command buffers and the worker that runs them. Thread-safe.
class PEWTER_API CommandQueue {
public:
    virtual ~CommandQueue();
    virtual std::shared_ptr<Device> device() const = 0;
    virtual std::string label() const = 0;
    virtual void setLabel(const std::string& label) = 0;

    /// A new command buffer; blocks while the queue's capacity of uncompleted buffers is used up.
    /// Objective-C: -commandBuffer, -commandBufferWithDescriptor:
    virtual std::shared_ptr<CommandBuffer> commandBuffer() = 0;
    virtual std::shared_ptr<CommandBuffer> commandBuffer(const CommandBufferDescriptor& descriptor) = 0;
    /// References are kept all the same: the promise is the caller's, the library does not need it.
    virtual std::shared_ptr<CommandBuffer> commandBufferWithUnretainedReferences() = 0;
};

/// What the library has to say without failing: temporaries left over at commit, update methods that are missing.
/// The default writes one line to stderr. Called on whatever thread finds the matter. An empty handler restores the default.
PEWTER_API void setDiagnosticHandler(std::function<void(const std::string& message)> handler);

/// Strict mode: a commit with temporaries whose read count is not 0 throws MTL::Error naming them, instead of reclaiming
/// their memory at completion and reporting them. Off by default.
PEWTER_API void setStrictTemporaries(bool strict);
PEWTER_API bool strictTemporaries();

}  // namespace MTL
