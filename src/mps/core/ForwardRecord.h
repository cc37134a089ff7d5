#pragma once

#include <MPS/Types.hpp>
#include <string>
#include <utility>
#include <vector>

namespace pewter::mps {

/// What a gradient state keeps of one source of a forward kernel as it was when it was encoded. Immutable once made.
struct ForwardRecord {
    virtual ~ForwardRecord() = default;

    std::string kernel;     ///< name() of the forward kernel
    std::string className;  ///< its class
    MPS::Offset offset;
    MTL::Region clip;  ///< resolved against the destination
    std::size_t sourceFeatureChannelOffset = 0;
    std::size_t sourceFeatureChannelMaxCount = 0;
    std::size_t sourceFeatureChannels = 0;  ///< channels read
    std::size_t destinationFeatureChannelOffset = 0;
    std::size_t resultFeatureChannels = 0;  ///< channels written
    MPS::ImageEdgeMode edgeMode = MPS::ImageEdgeMode::Zero;
    std::size_t kernelWidth = 1, kernelHeight = 1;
    std::size_t strideX = 1, strideY = 1;
    std::size_t dilationX = 1, dilationY = 1;
    std::size_t sourceWidth = 0, sourceHeight = 0, sourceChannels = 0, sourceImages = 1;
    std::size_t destinationWidth = 0, destinationHeight = 0, destinationChannels = 0;
    MPS::ImageFeatureChannelFormat sourceFormat = MPS::ImageFeatureChannelFormat::None;
    MPS::ImageFeatureChannelFormat destinationFormat = MPS::ImageFeatureChannelFormat::None;

    /// Dilated window.
    std::int64_t windowWidth() const { return static_cast<std::int64_t>((kernelWidth - 1) * dilationX + 1); }
    std::int64_t windowHeight() const { return static_cast<std::int64_t>((kernelHeight - 1) * dilationY + 1); }

    /// Names and values for descriptions and comparison.
    virtual void describe(std::vector<std::pair<std::string, std::string>>& facts) const;
};

}  // namespace pewter::mps
