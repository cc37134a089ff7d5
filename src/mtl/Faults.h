#pragma once

#include <MTL/CommandBuffer.hpp>
#include <MTL/Device.hpp>
#include <memory>
#include <optional>

namespace pewter::mtl {

/// From now on command buffers of the device fail at once. Only the first call for a device counts.
void noteFault(const std::shared_ptr<MTL::Device>& device, const MTL::CommandFailure& cause);

/// The failure of a command buffer of a device that has stopped: it names the cause. Nothing for one that works.
std::optional<MTL::CommandFailure> faultOf(const std::shared_ptr<MTL::Device>& device);

}  // namespace pewter::mtl
