#include "mtl/Faults.h"

#include <fmt/format.h>

#include <atomic>
#include <map>
#include <mutex>

namespace pewter::mtl {

namespace {

std::mutex mutex;
std::atomic<bool> any = false;  // what every command buffer asks costs one load
/// By owner: a device made later may have the address of one that is gone.
std::map<std::weak_ptr<MTL::Device>, MTL::CommandFailure, std::owner_less<>> faults;

}  // namespace

void noteFault(const std::shared_ptr<MTL::Device>& device, const MTL::CommandFailure& cause) {
    std::lock_guard lock(mutex);
    faults.try_emplace(device, MTL::CommandFailure{
                                   MTL::CommandBufferError::DeviceRemoved,
                                   fmt::format("not run: device {} has stopped since {}", device->name(), cause.localizedDescription),
                                   cause.command});
    any = true;
}

std::optional<MTL::CommandFailure> faultOf(const std::shared_ptr<MTL::Device>& device) {
    if (!any) return std::nullopt;
    std::lock_guard lock(mutex);
    const auto found = faults.find(device);
    if (found == faults.end()) return std::nullopt;
    return found->second;
}

}  // namespace pewter::mtl
