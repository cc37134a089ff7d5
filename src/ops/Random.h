#pragma once

#include <array>
#include <cstdint>

namespace pewter::ops {

/// Philox4x32-10 (Salmon, Moraes, Dror, Shaw: "Parallel random numbers: as easy as 1, 2, 3", 2011). Counter based, so
/// that every device draws the same numbers in any order.
constexpr std::array<std::uint32_t, 4> philox(std::array<std::uint32_t, 4> counter, std::array<std::uint32_t, 2> key) {
    for (int round = 0; round < 10; ++round) {
        const std::uint64_t p0 = std::uint64_t{0xD2511F53u} * counter[0];
        const std::uint64_t p1 = std::uint64_t{0xCD9E8D57u} * counter[2];
        counter = {static_cast<std::uint32_t>(p1 >> 32) ^ counter[1] ^ key[0], static_cast<std::uint32_t>(p1),
                   static_cast<std::uint32_t>(p0 >> 32) ^ counter[3] ^ key[1], static_cast<std::uint32_t>(p0)};
        key[0] += 0x9E3779B9u;
        key[1] += 0xBB67AE85u;
    }
    return counter;
}

/// Four uniform values in [0,1) with 24 random bits each: elements 4*block .. 4*block+3 of the stream.
constexpr std::array<float, 4> uniformBlock(std::uint64_t seed, std::uint64_t sequence, std::uint32_t image,
                                         std::uint32_t block) {
    const auto bits = philox({block, image, static_cast<std::uint32_t>(sequence),
                              static_cast<std::uint32_t>(sequence >> 32)},
                             {static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32)});
    std::array<float, 4> out{};
    for (int i = 0; i < 4; ++i) out[i] = static_cast<float>(bits[i] >> 8) * 0x1p-24f;
    return out;
}

/// Element `element` of the stream of (seed, sequence, image).
constexpr float uniform(std::uint64_t seed, std::uint64_t sequence, std::uint32_t image, std::uint64_t element) {
    return uniformBlock(seed, sequence, image, static_cast<std::uint32_t>(element >> 2))[element & 3];
}

}  // namespace pewter::ops
