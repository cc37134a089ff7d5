#pragma once

#include <zlib.h>

#include <MPS/Archive.hpp>
#include <nlohmann/json.hpp>

/// Archives taken apart and sealed again, for what no archiver writes.
namespace pewter::test {

inline constexpr std::size_t kArchiveHeader = 24;

/// A header that fits the payload.
inline MPS::ArchiveData sealed(const std::vector<std::uint8_t>& payload) {
    MPS::ArchiveData data{'P', 'E', 'W', 'T', 'E', 'R', 'A', 'R', 1, 0, 0, 0};
    const auto sum = crc32(crc32(0, nullptr, 0), payload.data(), static_cast<uInt>(payload.size()));
    for (int i = 0; i < 4; ++i) data.push_back(static_cast<std::uint8_t>(sum >> (8 * i)));
    for (int i = 0; i < 8; ++i) data.push_back(static_cast<std::uint8_t>(payload.size() >> (8 * i)));
    data.insert(data.end(), payload.begin(), payload.end());
    return data;
}
inline MPS::ArchiveData archiveOf(const nlohmann::json& contents) {
    return sealed(nlohmann::json::to_cbor(contents));
}

inline std::vector<std::uint8_t> payloadOf(const MPS::ArchiveData& data) {
    return {data.begin() + kArchiveHeader, data.end()};
}
inline nlohmann::json contentsOf(const MPS::ArchiveData& data) {
    return nlohmann::json::from_cbor(payloadOf(data));
}

}  // namespace pewter::test
