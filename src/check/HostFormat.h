#pragma once

#include <MPS/Types.hpp>
#include <cstddef>
#include <vector>

namespace pewter::check {

/// Numbers as an image of that format has them on the host, rounded to nearest (ties to even), and back. Throws
/// MPS::Error for formats other than float64, float32, float16, bfloat16 and unorm8.
std::vector<std::byte> toHost(const std::vector<double>& values, MPS::ImageFeatureChannelFormat format);
std::vector<double> fromHost(const std::vector<std::byte>& bytes, MPS::ImageFeatureChannelFormat format);
/// Bytes of one number.
std::size_t hostSize(MPS::ImageFeatureChannelFormat format);

}  // namespace pewter::check
