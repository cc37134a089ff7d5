#pragma once

#include <CLI/CLI.hpp>
#include <MPS/NNGraph.hpp>
#include <MPS/Types.hpp>
#include <MTL/Device.hpp>
#include <Pewter/train/TrainingNetwork.hpp>
#include <memory>
#include <optional>
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

/// tf32: images are float32, and products may be rounded where the device has faster ones.
inline MPS::KernelOptions optionsOf(const std::string& precision) {
    return precision == "tf32" ? MPS::KernelOptionsAllowReducedPrecision : MPS::KernelOptionsNone;
}

/// --precision
inline void addPrecision(CLI::App& command, std::string& precision) {
    command
        .add_option("--precision", precision,
                    "Of the images inside the graph; tf32: float32, with products that may be rounded (GPUs)")
        ->check(CLI::IsMember({"fp32", "tf32", "fp16", "bf16"}))
        ->capture_default_str();
}

/// --loss-scale
inline void addLossScale(CLI::App& command, float& scale) {
    command
        .add_option("--loss-scale", scale,
                    "What gradients are multiplied by on their way to the weights, so that float16 does not lose small ones "
                    "(default: 1024 with fp16, else 1)")
        ->check(CLI::PositiveNumber);
}

/// --memory-budget
inline void addMemoryBudget(CLI::App& command, std::optional<std::size_t>& bytes) {
    command
        .add_option("--memory-budget", bytes,
                    "Bytes (or with kb, mb, gb) of temporary memory a step: images are computed again instead of kept")
        ->type_name("SIZE")
        ->transform(CLI::AsSizeValue(false));
}

/// For the help of commands that take a network.
inline std::string networkNames() {
    std::string names;
    for (const auto& network : pewter::train::networks()) names += (names.empty() ? "" : ", ") + network.name;
    return names;
}
