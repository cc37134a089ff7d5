#pragma once

#include <MPS/Types.hpp>
#include <MTL/Device.hpp>
#include <Pewter/train/Network.hpp>
#include <memory>
#include <string>

/// What options of several commands mean.

/// By name; the best for "".
inline std::shared_ptr<MTL::Device> deviceNamed(const std::string& name) {
    return name.empty() ? MTL::createSystemDefaultDevice() : MTL::copyDevice(name);
}

/// --precision: of the images inside a graph.
inline MPS::ImageFeatureChannelFormat formatOf(const std::string& precision) {
    if (precision == "fp16") return MPS::ImageFeatureChannelFormat::Float16;
    if (precision == "bf16") return MPS::ImageFeatureChannelFormat::BFloat16;
    return MPS::ImageFeatureChannelFormat::Float32;
}

/// For the help of commands that take a network.
inline std::string networkNames() {
    std::string names;
    for (const auto& network : pewter::train::networks()) names += (names.empty() ? "" : ", ") + network.name;
    return names;
}
