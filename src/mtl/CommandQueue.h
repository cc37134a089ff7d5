#pragma once

#include <MTL/CommandBuffer.hpp>
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "ops/Backend.h"

namespace pewter::mtl {

class CommandBuffer;
class Device;

class CommandQueue final : public MTL::CommandQueue, public std::enable_shared_from_this<CommandQueue> {
public:
    CommandQueue(std::shared_ptr<MTL::Device> device, std::size_t capacity);
    ~CommandQueue() override;

    std::shared_ptr<MTL::Device> device() const override { return device_; }
    std::string label() const override;
    void setLabel(const std::string& label) override;
    std::shared_ptr<MTL::CommandBuffer> commandBuffer() override;
    std::shared_ptr<MTL::CommandBuffer> commandBuffer(const MTL::CommandBufferDescriptor& descriptor) override;
    std::shared_ptr<MTL::CommandBuffer> commandBufferWithUnretainedReferences() override;

    // --- for command buffers ---

    /// Reserves a place in the order of execution; the returned ticket is redeemed by submit() or cancel().
    void reserve(const CommandBuffer* buffer);
    void submit(std::shared_ptr<CommandBuffer> buffer);
    /// A buffer that was made but will never run has died.
    void forget(const CommandBuffer* buffer, bool reserved);
    bool onWorker() const;

private:
    struct Place {
        const CommandBuffer* key;
        std::shared_ptr<CommandBuffer> buffer;  // set once committed
    };

    struct Worker;
    static void work(std::shared_ptr<Worker> state);

    std::shared_ptr<MTL::Device> device_;
    std::shared_ptr<Worker> worker_;
};

}  // namespace pewter::mtl
