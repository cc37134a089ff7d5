#include "mps/core/Geometry.h"

#include <fmt/format.h>

#include <MTL/Error.hpp>
#include <algorithm>

namespace pewter::mps {

namespace {

std::int64_t styleOf(MPS::NNPaddingMethod method, const std::string& who) {
    if ((method & MPS::NNPaddingMethodAlignMask) == MPS::NNPaddingMethodAlign_reserved)
        throw MTL::Error(who, "padding", "an alignment that is not reserved", fmt::format("{:#x}", method));
    switch (method & MPS::NNPaddingMethodSizeMask) {
        case MPS::NNPaddingMethodSizeValidOnly: return -1;
        case MPS::NNPaddingMethodSizeSame: return 0;
        case MPS::NNPaddingMethodSizeFull: return 1;
        default: throw MTL::Error(who, "padding", "a size that is not reserved", fmt::format("{:#x}", method));
    }
}

/// Missing pixels on the low side.
std::int64_t leftOf(std::int64_t extra, MPS::NNPaddingMethod method, Axis axis) {
    const auto remainder = method & MPS::NNPaddingMethodAddRemainderToMask;
    const bool low = axis == Axis::X ? (remainder & 4) == 0 : (remainder & 8) == 0;
    switch (method & MPS::NNPaddingMethodAlignMask) {
        case MPS::NNPaddingMethodAlignTopLeft: return extra;
        case MPS::NNPaddingMethodAlignBottomRight: return 0;
        default: return (extra + (low ? 1 : 0)) / 2;  // truncates, also for a negative extra
    }
}

}  // namespace

std::int64_t paddingOffset(std::int64_t source, std::int64_t extent, std::int64_t window, std::int64_t stride,
                           MPS::NNPaddingMethod method, Axis axis) {
    const std::int64_t extra = (extent - 1) * stride + window - source;
    return window / 2 - leftOf(extra, method, axis);
}

AxisPadding forwardPadding(std::int64_t source, std::int64_t window, std::int64_t stride,
                           MPS::NNPaddingMethod method, Axis axis, const std::string& who) {
    const std::int64_t covered = source + styleOf(method, who) * (window - 1);
    if (covered <= 0)
        throw MTL::Error(who, axis == Axis::X ? "source width" : "source height",
                         fmt::format("at least the window of {} pixels", window), fmt::format("{}", source));
    const std::int64_t extent = (covered + stride - 1) / stride;
    return {extent, paddingOffset(source, extent, window, stride, method, axis)};
}

AxisPadding backwardPadding(std::int64_t source, std::int64_t window, std::int64_t stride,
                            MPS::NNPaddingMethod method, Axis axis, const std::string& who) {
    const std::int64_t inserted = (source - 1) * stride + 1;
    const std::int64_t extent = inserted + styleOf(method, who) * (window - 1);
    if (extent <= 0)
        throw MTL::Error(who, axis == Axis::X ? "source width" : "source height",
                         fmt::format("a result of at least one pixel for a window of {}", window),
                         fmt::format("{}", source));
    return {extent, paddingOffset(inserted, extent, window, 1, method, axis)};
}

Clip resolveClip(const MTL::Region& clip, std::size_t width, std::size_t height) {
    const auto axis = [](std::uint64_t origin, std::uint64_t size, std::size_t bound, std::int64_t& from,
                         std::int64_t& extent) {
        const std::uint64_t start = std::min<std::uint64_t>(origin, bound);
        from = static_cast<std::int64_t>(start);
        extent = static_cast<std::int64_t>(std::min<std::uint64_t>(size, bound - start));
    };
    Clip result;
    axis(clip.origin.x, clip.size.width, width, result.x, result.width);
    axis(clip.origin.y, clip.size.height, height, result.y, result.height);
    return result;
}

MTL::Region toRegion(const Clip& clip, std::size_t firstImage, std::size_t images) {
    return {{static_cast<std::uint64_t>(clip.x), static_cast<std::uint64_t>(clip.y), firstImage},
            {static_cast<std::uint64_t>(clip.width), static_cast<std::uint64_t>(clip.height), images}};
}

std::size_t resolveImages(const MPS::Offset& offset, const MTL::Region& clip, std::size_t sourceImages,
                          std::size_t destinationImages, const std::string& who) {
    if (offset.z < 0 || static_cast<std::size_t>(offset.z) >= sourceImages)
        throw MTL::Error(who, "offset.z", fmt::format("0 to {}, the last source image", sourceImages - 1),
                         fmt::format("{}", offset.z));
    if (clip.origin.z >= destinationImages)
        throw MTL::Error(who, "clipRect.origin.z", fmt::format("0 to {}, the last destination image",
                                                               destinationImages - 1),
                         fmt::format("{}", clip.origin.z));
    const std::size_t left = std::min(sourceImages - static_cast<std::size_t>(offset.z),
                                      destinationImages - static_cast<std::size_t>(clip.origin.z));
    if (clip.size.depth == MPS::RectNoClip.size.depth) return left;
    if (clip.size.depth > left)
        throw MTL::Error(who, "clipRect.size.depth", fmt::format("at most {} images on both sides", left),
                         fmt::format("{}", clip.size.depth));
    return clip.size.depth;
}

ChannelWindow resolveChannels(std::size_t offset, std::size_t maxCount, std::size_t channels, const std::string& who,
                              const char* argument, std::size_t alignment) {
    if (offset % alignment != 0)
        throw MTL::Error(who, argument, fmt::format("a multiple of {}", alignment), fmt::format("{}", offset));
    if (offset >= channels)
        throw MTL::Error(who, argument, fmt::format("less than the image's {} channels", channels),
                         fmt::format("{}", offset));
    const std::size_t count = std::min(maxCount, channels - offset);
    if (count == 0) throw MTL::Error(who, argument, "at least one channel to read", "0");
    return {offset, count};
}

MPS::ImageFeatureChannelFormat resultFormat(MPS::ImageFeatureChannelFormat source) {
    using F = MPS::ImageFeatureChannelFormat;
    return source == F::Float32 || source == F::BFloat16 || source == F::Float64 ? source : F::Float16;
}

}  // namespace pewter::mps
