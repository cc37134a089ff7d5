#pragma once

#include <MPS/Archive.hpp>
#include <MPS/NNNeuronDescriptor.hpp>
#include <MTL/Types.hpp>

#include "mps/core/ArchiveClasses.h"

/// What several families write.
namespace pewter::mps {

using Device = std::shared_ptr<MTL::Device>;

inline void encodeNeuron(MPS::Coder& coder, const MPS::NNNeuronDescriptor& neuron, const std::string& key) {
    coder.encodeObject(std::make_shared<MPS::NNNeuronDescriptor>(neuron), key);
}
inline MPS::NNNeuronDescriptor decodeNeuron(MPS::Coder& coder, const std::string& key) {
    const auto neuron = coder.decodeObjectOfClass<MPS::NNNeuronDescriptor>(key);
    if (!neuron) coder.refuse(key, "a neuron descriptor", "null");
    return *neuron;
}

/// As a list of three integers; the largest unsigned number is -1.
inline void encodeSize(MPS::Coder& coder, const MTL::Size& size, const std::string& key) {
    const std::int64_t values[] = {static_cast<std::int64_t>(size.width),
                                   static_cast<std::int64_t>(size.height),
                                   static_cast<std::int64_t>(size.depth)};
    coder.encodeIntegers(values, key);
}
inline MTL::Size decodeSize(MPS::Coder& coder, const std::string& key) {
    const auto values = coder.decodeIntegers(key);
    if (values.size() != 3) coder.refuse(key, "3 integers", std::to_string(values.size()));
    return {static_cast<std::uint64_t>(values[0]), static_cast<std::uint64_t>(values[1]),
            static_cast<std::uint64_t>(values[2])};
}

inline void encodeRegion(MPS::Coder& coder, const MTL::Region& region, const std::string& key) {
    encodeSize(coder, {region.origin.x, region.origin.y, region.origin.z}, key + ".origin");
    encodeSize(coder, region.size, key + ".size");
}
inline MTL::Region decodeRegion(MPS::Coder& coder, const std::string& key) {
    const auto origin = decodeSize(coder, key + ".origin");
    return {{origin.width, origin.height, origin.depth}, decodeSize(coder, key + ".size")};
}

}  // namespace pewter::mps
