#pragma once

#include <MPS/CNNNormalizationState.hpp>
#include <MPS/Kernel.hpp>
#include <MTL/CommandBuffer.hpp>
#include <MTL/Error.hpp>
#include <MTL/Resource.hpp>
#include <memory>
#include <string>
#include <utility>

namespace pewter::mps {

/// `count` floats in a new buffer of the kernel's device, `missing` for null.
std::shared_ptr<MTL::Buffer> parameterBuffer(const std::shared_ptr<MTL::Device>& device, const float* values,
                                             float missing, std::size_t count);
/// The same from another buffer.
std::shared_ptr<MTL::Buffer> parameterBuffer(const std::shared_ptr<MTL::Device>& device, MTL::Buffer& values,
                                             std::size_t count);

/// Reads a data source between its load() and its purge(), which come in pairs whatever happens.
template <class Source>
void whileLoaded(Source& source, const std::string& who, const auto& read) {
    if (!source.load()) throw MTL::Error(who, "dataSource", "one that loads", "load() returned false");
    try {
        read();
    } catch (...) {
        source.purge();
        throw;
    }
    source.purge();
}

/// Of data sources without an update of gamma and beta on the device: says so once (`reported` belongs to the
/// source).
void reportMissingUpdate(bool& reported, const char* protocol, const std::string& label);

/// Copies the first `channels` floats of both buffers of a parameter state into a kernel's, in command order;
/// a temporary state loses one read.
void encodeReload(const MPS::Kernel& kernel, std::size_t channels,
                  const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
                  const std::shared_ptr<MPS::State>& state, const char* argument,
                  const std::pair<std::shared_ptr<MTL::Buffer>, std::shared_ptr<MTL::Buffer>>& to);

}  // namespace pewter::mps
