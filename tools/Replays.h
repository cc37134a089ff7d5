#pragma once

#include <MTL/Device.hpp>
#include <Pewter/train/Network.hpp>
#include <Pewter/train/TrainingNetwork.hpp>
#include <memory>
#include <string>
#include <vector>

/// How a device keeps a training step that it is given again and again, for `pewter inspect`: as one object, or why not; a
/// line each sequence of commands. Runs a few steps. Empty where the host runs the commands itself.
std::vector<std::string> replaysOf(const pewter::train::NetworkDescription& network, const std::shared_ptr<MTL::Device>& device,
                                   const pewter::train::TrainingSettings& settings);
