#include <fmt/format.h>

#include <MTL/Device.hpp>
#include <MTL/Error.hpp>

#include "mtl/Device.h"

namespace {

const std::vector<std::shared_ptr<MTL::Device>>& devices() {
    // Never destroyed: queues and buffers with static storage may outlive any order of destruction.
    static const auto& list = *[] {
        auto* made = new std::vector<std::shared_ptr<MTL::Device>>;
        for (const auto& entry : pewter::ops::backends())
            if (entry.backend) made->push_back(std::make_shared<pewter::mtl::Device>(entry.backend, made->size() + 1));
        return made;
    }();
    return list;
}

}  // namespace

namespace MTL {

std::vector<std::shared_ptr<Device>> copyAllDevices() { return devices(); }

std::shared_ptr<Device> createSystemDefaultDevice() { return devices().front(); }

std::shared_ptr<Device> copyDevice(const std::string& name) {
    std::string names;
    for (const auto& device : devices()) {
        if (device->name() == name) return device;
        names += (names.empty() ? "" : ", ") + device->name();
    }
    for (const auto& entry : pewter::ops::backends())
        if (entry.name == name)
            throw Error("device registry", "name", fmt::format("one of {}", names),
                        fmt::format("\"{}\", which is not available: {}", name, entry.reason));
    throw Error("device registry", "name", fmt::format("one of {}", names), fmt::format("\"{}\"", name));
}

}  // namespace MTL
