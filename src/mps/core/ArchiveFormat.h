#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <vector>

namespace pewter::mps {

/// The bytes of archives: "PEWTERAR", version, CRC-32 of the payload (both 32 bits), length of the payload
/// (64 bits), all little-endian; then CBOR.
std::vector<std::uint8_t> packArchive(const nlohmann::json& contents);

/// Throws MTL::Error about "archive" for anything that packArchive() cannot have written. Sizes are compared
/// with the bytes that are there before anything is allocated for them.
nlohmann::json unpackArchive(std::span<const std::uint8_t> data);

}  // namespace pewter::mps
