#include <fmt/format.h>

#include <MPS/Kernel.hpp>
#include <MTL/CommandBuffer.hpp>
#include <MTL/Device.hpp>
#include <MTL/Error.hpp>
#include <cmath>
#include <cstdio>
#include <cstdlib>

#include "mtl/CommandBuffer.h"

namespace MPS {

Kernel::Kernel(std::shared_ptr<MTL::Device> device)
    : device_(std::move(device)),
      options_(std::getenv("MPS_LOG_INFO") ? KernelOptionsVerbose : KernelOptionsNone) {
    if (!device_) throw Error("Kernel", "device", "a device", "null");
}

Kernel::~Kernel() = default;

std::string Kernel::name() const { return label_.empty() ? className() : fmt::format("{} '{}'", className(), label_); }

std::shared_ptr<Kernel> Kernel::copy(const std::shared_ptr<MTL::Device>&) const {
    throw Error(name(), "copy", "a class that can be copied", className());
}

bool SupportsMTLDevice(const std::shared_ptr<MTL::Device>& device) { return device != nullptr; }

std::shared_ptr<MTL::Device> GetPreferredDevice(DeviceOptions) {
    const auto devices = MTL::copyAllDevices();
    const char* text = std::getenv("MPS_PREFERRED_DEVICE");
    if (!text) text = std::getenv("MPS_PREFERED_DEVICE");  // the header's other spelling
    if (!text) return devices.front();
    char* end = nullptr;
    const long index = std::strtol(text, &end, 10);
    if (end == text || *end != '\0' || index < -1 || index >= static_cast<long>(devices.size()))
        throw Error("GetPreferredDevice", "MPS_PREFERRED_DEVICE", fmt::format("-1 to {}", devices.size() - 1),
                    fmt::format("\"{}\"", text));
    if (index == -1) {
        for (std::size_t i = 0; i < devices.size(); ++i)
            std::fprintf(stderr, "%zu: %s, %s\n", i, devices[i]->name().c_str(), devices[i]->description().c_str());
        return devices.front();
    }
    return devices[static_cast<std::size_t>(index)];
}

DeviceCaps GetDeviceCaps(const std::shared_ptr<MTL::Device>& device) {
    if (!device) return DeviceCapsNull;
    return DeviceCapsSupportsReadableArrayOfTextures | DeviceCapsSupportsWritableArrayOfTextures |
           DeviceCapsSupportsReadWriteTextures | DeviceCapsSupportsFloat32Filtering |
           DeviceCapsSupportsBFloat16Arithmetic;
}

void HintTemporaryMemoryHighWaterMark(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer, std::size_t bytes) {
    if (!commandBuffer) throw Error("HintTemporaryMemoryHighWaterMark", "commandBuffer", "a command buffer", "null");
    pewter::mtl::recordingBuffer(*commandBuffer, "HintTemporaryMemoryHighWaterMark").heap()->hint(bytes);
}

void SetHeapCacheDuration(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer, double seconds) {
    if (!commandBuffer) throw Error("SetHeapCacheDuration", "commandBuffer", "a command buffer", "null");
    const double kept = std::isnan(seconds) || seconds < 0 ? 0 : seconds;
    pewter::mtl::recordingBuffer(*commandBuffer, "SetHeapCacheDuration").heap()->setCacheSeconds(kept);
}

}  // namespace MPS
