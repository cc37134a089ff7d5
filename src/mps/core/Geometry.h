#pragma once

#include <MPS/NNPadding.hpp>
#include <MPS/Types.hpp>
#include <cstdint>
#include <string>

namespace pewter::mps {

/// Result extent and offset of one axis, by the published default computation (MPSNeuralNetworkTypes.h, sample code):
///   D = ceil((S + style (K - 1)) / s), missing E = (D - 1) s + K - S, left = trunc((E + q) / 2), offset = K/2 - left.
struct AxisPadding {
    std::int64_t extent = 0, offset = 0;
};

enum class Axis { X, Y };

/// window is the dilated window. Throws when nothing valid is left.
AxisPadding forwardPadding(std::int64_t source, std::int64_t window, std::int64_t stride,
                           MPS::NNPaddingMethod method, Axis axis, const std::string& who);
/// The same for filters whose stride enlarges: extent (S - 1) s + 1 + style (K - 1); offset on the zero-inserted image.
AxisPadding backwardPadding(std::int64_t source, std::int64_t window, std::int64_t stride,
                            MPS::NNPaddingMethod method, Axis axis, const std::string& who);

/// Offset of a source whose result extent is given: the placement part of the same computation.
std::int64_t paddingOffset(std::int64_t source, std::int64_t extent, std::int64_t window, std::int64_t stride,
                           MPS::NNPaddingMethod method, Axis axis);

/// The pixels of a clip rectangle that lie in a destination.
struct Clip {
    std::int64_t x = 0, y = 0, width = 0, height = 0;
    bool isEmpty() const { return width <= 0 || height <= 0; }
};
Clip resolveClip(const MTL::Region& clip, std::size_t width, std::size_t height);
MTL::Region toRegion(const Clip& clip, std::size_t firstImage, std::size_t images);

/// Number of images a single-image encode processes: the smaller of what is left on both sides and the clip's depth.
/// Throws for ranges outside.
std::size_t resolveImages(const MPS::Offset& offset, const MTL::Region& clip, std::size_t sourceImages,
                          std::size_t destinationImages, const std::string& who);

/// First channel and number of channels read; throws for an offset that is no multiple of `alignment` or outside.
struct ChannelWindow {
    std::size_t first = 0, count = 0;
};
ChannelWindow resolveChannels(std::size_t offset, std::size_t maxCount, std::size_t channels, const std::string& who,
                              const char* argument, std::size_t alignment = 4);

/// Channel format of a suggested result: that of a float source wide enough for gradients, never a normalised one.
MPS::ImageFeatureChannelFormat resultFormat(MPS::ImageFeatureChannelFormat source);

}  // namespace pewter::mps
