#include "check/HostFormat.h"

#include <MTL/Error.hpp>
#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <string>

namespace pewter::check {

namespace {

using Format = MPS::ImageFeatureChannelFormat;

/// Binary16: 10 bits of fraction, exponents -14 to 15, below them steps of 2^-24.
std::uint16_t halfOf(double value) {
    const std::uint16_t sign = std::signbit(value) ? 0x8000 : 0;
    const double size = std::fabs(value);
    if (std::isnan(value)) return sign | 0x7e00;
    if (size >= 65520) return sign | 0x7c00;  // half way to 2^16
    if (size < 0x1p-14) return sign | static_cast<std::uint16_t>(std::nearbyint(size * 0x1p24));
    const int exponent = std::ilogb(size);
    // A fraction that rounds up to 2 carries into the exponent.
    const auto fraction = static_cast<int>(std::nearbyint(std::ldexp(size, 10 - exponent))) - 1024;
    return sign | static_cast<std::uint16_t>(((exponent + 15) << 10) + fraction);
}

double ofHalf(std::uint16_t bits) {
    const int exponent = bits >> 10 & 31, fraction = bits & 1023;
    double size = exponent == 0 ? fraction * 0x1p-24 : std::ldexp(1024 + fraction, exponent - 25);
    if (exponent == 31)
        size = fraction ? std::numeric_limits<double>::quiet_NaN() : std::numeric_limits<double>::infinity();
    return bits & 0x8000 ? -size : size;
}

/// The upper half of a float32.
std::uint16_t bfloatOf(double value) {
    const auto narrow = static_cast<float>(value);
    if (std::isnan(narrow)) return 0x7fc0;
    const auto bits = std::bit_cast<std::uint32_t>(narrow);
    return static_cast<std::uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

double ofBfloat(std::uint16_t bits) { return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16); }

std::uint8_t unormOf(double value) {
    return static_cast<std::uint8_t>(std::nearbyint(std::clamp(value, 0.0, 1.0) * 255));
}

template <class Element, class Convert>
std::vector<std::byte> packed(const std::vector<double>& values, Convert convert) {
    std::vector<std::byte> bytes(values.size() * sizeof(Element));
    for (std::size_t i = 0; i < values.size(); ++i) {
        const Element element = convert(values[i]);
        std::memcpy(&bytes[i * sizeof(Element)], &element, sizeof(Element));
    }
    return bytes;
}

template <class Element, class Convert>
std::vector<double> unpacked(const std::vector<std::byte>& bytes, Convert convert) {
    std::vector<double> values(bytes.size() / sizeof(Element));
    for (std::size_t i = 0; i < values.size(); ++i) {
        Element element;
        std::memcpy(&element, &bytes[i * sizeof(Element)], sizeof(Element));
        values[i] = convert(element);
    }
    return values;
}

[[noreturn]] void refuse(Format format) {
    throw MTL::Error("imagesOf", "format", "Float64, Float32, Float16, BFloat16 or Unorm8",
                     std::to_string(static_cast<std::uint64_t>(format)));
}

}  // namespace

std::vector<std::byte> toHost(const std::vector<double>& values, Format format) {
    switch (format) {
        case Format::Float64: return packed<double>(values, [](double v) { return v; });
        case Format::Float32: return packed<float>(values, [](double v) { return static_cast<float>(v); });
        case Format::Float16: return packed<std::uint16_t>(values, halfOf);
        case Format::BFloat16: return packed<std::uint16_t>(values, bfloatOf);
        case Format::Unorm8: return packed<std::uint8_t>(values, unormOf);
        default: refuse(format);
    }
}

std::vector<double> fromHost(const std::vector<std::byte>& bytes, Format format) {
    switch (format) {
        case Format::Float64: return unpacked<double>(bytes, [](double v) { return v; });
        case Format::Float32: return unpacked<float>(bytes, [](float v) { return static_cast<double>(v); });
        case Format::Float16: return unpacked<std::uint16_t>(bytes, ofHalf);
        case Format::BFloat16: return unpacked<std::uint16_t>(bytes, ofBfloat);
        case Format::Unorm8: return unpacked<std::uint8_t>(bytes, [](std::uint8_t v) { return v / 255.0; });
        default: refuse(format);
    }
}

std::size_t hostSize(Format format) { return toHost({0.0}, format).size(); }

}  // namespace pewter::check
