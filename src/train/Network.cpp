#include <fmt/format.h>

#include <MTL/Error.hpp>
#include <Pewter/train/Network.hpp>

#include "train/networks/Networks.h"

namespace pewter::train {

float Target::lossWeight(std::size_t batchSize) const {
    const std::size_t elements = isClasses() ? 1 : width * height * channels;
    return static_cast<float>(1.0 / static_cast<double>(batchSize * elements));
}

const std::vector<NetworkDescription>& networks() {
    static const std::vector<NetworkDescription> known = {digitsNetwork(), mnistNetwork(), resnet18Network(),
                                                          resnet50Network(), styleNetwork(), yoloNetwork()};
    return known;
}

const NetworkDescription& network(const std::string& name) {
    std::string names;
    for (const auto& description : networks()) {
        if (description.name == name) return description;
        names += (names.empty() ? "" : ", ") + description.name;
    }
    throw MPS::Error("network", "name", "one of " + names, fmt::format("\"{}\"", name));
}

}  // namespace pewter::train
