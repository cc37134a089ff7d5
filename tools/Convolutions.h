#pragma once

#include <MTL/Device.hpp>
#include <Pewter/train/Network.hpp>
#include <Pewter/train/TrainingNetwork.hpp>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "profile/ConvolutionListing.h"

/// How a device computes the convolutions of a training step, for `pewter inspect`.
struct Convolutions {
    std::vector<pewter::profile::ListedConvolution> list;
    std::string file;  ///< where choices are kept; empty: nowhere
    int threads = 0;

    std::string text() const;
    nlohmann::json json() const;
};

/// Nothing where the device does not choose. `measure`: a step is computed first, so that nothing is left unmeasured.
std::optional<Convolutions> convolutionsOf(const pewter::train::NetworkDescription& network,
                                           const std::shared_ptr<MTL::Device>& device,
                                           const pewter::train::TrainingSettings& settings, bool measure);
