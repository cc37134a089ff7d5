#include <cxxabi.h>
#include <fmt/format.h>

#include <MPS/Archive.hpp>
#include <MTL/Device.hpp>
#include <cmath>
#include <cstdlib>
#include <limits>

namespace MPS {

SecureCoding::~SecureCoding() = default;
DeviceProvider::~DeviceProvider() = default;
Coder::~Coder() = default;

namespace {

const char* nameOf(const Coder::Value& value) {
    static constexpr const char* kNames[] = {
        "a truth value", "an integer",       "an integer",        "a number",           "a text",
        "bytes",         "a list of floats", "a list of doubles", "a list of integers", "an object or null"};
    return kNames[value.index()];
}

template <class T, class From>
Coder::Value listOf(From values) {
    return Coder::Value(std::in_place_type<std::vector<T>>, values.begin(), values.end());
}

}  // namespace

void Coder::refuse(const std::string& key, const std::string& expected, const std::string& found) const {
    throw Error(name(), key, expected, found);
}

void Coder::refuseClass(const std::string& key, const SecureCoding& object,
                        const std::type_info& expected) const {
    std::string name = expected.name();
    if (const std::unique_ptr<char, void (*)(void*)> plain(
            abi::__cxa_demangle(expected.name(), nullptr, nullptr, nullptr), std::free);
        plain)
        name = plain.get();
    if (name.starts_with("MPS::")) name.erase(0, 5);
    refuse(key, fmt::format("an object of class {}", name), fmt::format("a {}", object.className()));
}

void Coder::refuseEnum(const std::string& key, std::uint64_t value, std::uint64_t last) const {
    refuse(key, fmt::format("0 to {}", last), fmt::format("{}", value));
}

std::shared_ptr<MTL::Device> Coder::device() const {
    const auto* provider = dynamic_cast<const DeviceProvider*>(this);
    auto device = provider ? provider->mpsMTLDevice() : nullptr;
    return device ? device : MTL::createSystemDefaultDevice();
}

void Coder::encodeBool(bool value, const std::string& key) {
    encode(Value(std::in_place_type<bool>, value), key);
}
void Coder::encodeInteger(std::int64_t value, const std::string& key) {
    encode(Value(std::in_place_type<std::int64_t>, value), key);
}
void Coder::encodeUnsigned(std::uint64_t value, const std::string& key) {
    encode(Value(std::in_place_type<std::uint64_t>, value), key);
}
void Coder::encodeDouble(double value, const std::string& key) {
    encode(Value(std::in_place_type<double>, value), key);
}
void Coder::encodeString(const std::string& value, const std::string& key) { encode(Value(value), key); }
void Coder::encodeBytes(std::span<const std::uint8_t> values, const std::string& key) {
    encode(listOf<std::uint8_t>(values), key);
}
void Coder::encodeFloats(std::span<const float> values, const std::string& key) {
    encode(listOf<float>(values), key);
}
void Coder::encodeDoubles(std::span<const double> values, const std::string& key) {
    encode(listOf<double>(values), key);
}
void Coder::encodeIntegers(std::span<const std::int64_t> values, const std::string& key) {
    encode(listOf<std::int64_t>(values), key);
}
void Coder::encodeObject(std::shared_ptr<const SecureCoding> object, const std::string& key) {
    // Encoding does not change it; the variant serves decoding as well.
    encode(Value(std::const_pointer_cast<SecureCoding>(std::move(object))), key);
}

namespace {

/// The value under a key, which must be a T.
template <class T>
T valueOf(const Coder& coder, const std::string& key, Coder::Value value) {
    if (auto* right = std::get_if<T>(&value)) return std::move(*right);
    coder.refuse(key, nameOf(Coder::Value(std::in_place_type<T>)), nameOf(value));
}

}  // namespace

bool Coder::decodeBool(const std::string& key) { return valueOf<bool>(*this, key, decode(key)); }

std::int64_t Coder::decodeInteger(const std::string& key) {
    auto value = decode(key);
    if (const auto* large = std::get_if<std::uint64_t>(&value)) {
        if (*large > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()))
            refuse(key, "a signed integer of 64 bits", fmt::format("{}", *large));
        return static_cast<std::int64_t>(*large);
    }
    return valueOf<std::int64_t>(*this, key, std::move(value));
}

std::uint64_t Coder::decodeUnsigned(const std::string& key) {
    auto value = decode(key);
    if (const auto* small = std::get_if<std::int64_t>(&value)) {
        if (*small < 0) refuse(key, "an integer of at least 0", fmt::format("{}", *small));
        return static_cast<std::uint64_t>(*small);
    }
    return valueOf<std::uint64_t>(*this, key, std::move(value));
}

double Coder::decodeDouble(const std::string& key) { return valueOf<double>(*this, key, decode(key)); }

float Coder::decodeFloat(const std::string& key) {
    const double value = decodeDouble(key);
    if (std::isfinite(value) && std::abs(value) > static_cast<double>(std::numeric_limits<float>::max()))
        refuse(key, "a number that float32 holds", fmt::format("{}", value));
    return static_cast<float>(value);
}

std::string Coder::decodeString(const std::string& key) {
    return valueOf<std::string>(*this, key, decode(key));
}
std::vector<std::uint8_t> Coder::decodeBytes(const std::string& key) {
    return valueOf<std::vector<std::uint8_t>>(*this, key, decode(key));
}
std::vector<float> Coder::decodeFloats(const std::string& key) {
    return valueOf<std::vector<float>>(*this, key, decode(key));
}
std::vector<double> Coder::decodeDoubles(const std::string& key) {
    return valueOf<std::vector<double>>(*this, key, decode(key));
}
std::vector<std::int64_t> Coder::decodeIntegers(const std::string& key) {
    return valueOf<std::vector<std::int64_t>>(*this, key, decode(key));
}
std::shared_ptr<SecureCoding> Coder::decodeObject(const std::string& key) {
    return valueOf<std::shared_ptr<SecureCoding>>(*this, key, decode(key));
}

}  // namespace MPS
