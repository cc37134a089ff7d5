#pragma once

#include <cstdint>
#include <vector>

/// Weights of one bit, packed as data sources of binary convolutions have them.
namespace pewter::test {

/// bits: 0 or 1, `channels` of them for each of the rows; the words' unused bits are set, so that whoever
/// reads them is found out.
template <class List>
std::vector<std::uint32_t> packedBits(const List& bits, std::size_t channels) {
    const std::size_t words = (channels + 31) / 32, rows = bits.size() / channels;
    std::vector<std::uint32_t> packed(rows * words, 0);
    for (std::size_t row = 0; row < rows; ++row) {
        for (std::size_t c = 0; c < channels; ++c)
            if (bits[row * channels + c] != 0) packed[row * words + c / 32] |= 1u << (c % 32);
        for (std::size_t c = channels; c < words * 32; ++c) packed[row * words + c / 32] |= 1u << (c % 32);
    }
    return packed;
}

}  // namespace pewter::test
