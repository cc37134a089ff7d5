#include "backends/cpu/vector/Dropout.h"

#include <cstddef>

#include "backends/cpu/vector/Math.h"

namespace pewter::cpu::PEWTER_ISA {
namespace {

/// Blocks of four numbers drawn in one loop.
constexpr int kBlocks = 64;
/// Where the first byte of a word in memory is, and the next.
constexpr int kFirstByte = __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? 0 : 24;
constexpr int kByteStep = __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? 8 : -8;

PEWTER_INLINE std::uint32_t high(std::uint64_t product) { return static_cast<std::uint32_t>(product >> 32); }

/// ops::philox for counters block .. block + kBlocks - 1: bits[j][i] is number j of block i.
void philoxBlocks(std::uint64_t seed, std::uint64_t sequence, std::uint32_t image, std::uint32_t block,
                  std::uint32_t (&bits)[4][kBlocks]) {
    for (int i = 0; i < kBlocks; ++i) {
        std::uint32_t c0 = block + static_cast<std::uint32_t>(i), c1 = image;
        std::uint32_t c2 = static_cast<std::uint32_t>(sequence), c3 = high(sequence);
        auto key0 = static_cast<std::uint32_t>(seed), key1 = high(seed);
        // Unrolled, the ten rounds stay in registers and the loop over the blocks becomes vector code.
#pragma GCC unroll 10
        for (int round = 0; round < 10; ++round) {
            const std::uint64_t p0 = std::uint64_t{0xD2511F53u} * c0;
            const std::uint64_t p1 = std::uint64_t{0xCD9E8D57u} * c2;
            c0 = high(p1) ^ c1 ^ key0;
            c1 = static_cast<std::uint32_t>(p1);
            c2 = high(p0) ^ c3 ^ key1;
            c3 = static_cast<std::uint32_t>(p0);
            key0 += 0x9E3779B9u;
            key1 += 0xBB67AE85u;
        }
        bits[0][i] = c0;
        bits[1][i] = c1;
        bits[2][i] = c2;
        bits[3][i] = c3;
    }
}

}  // namespace

void dropoutMask(std::uint64_t seed, std::uint64_t sequence, std::uint32_t image, std::uint32_t block,
                 float keepProbability, std::uint8_t* mask, std::int64_t count) {
    std::uint32_t bits[4][kBlocks];
    for (std::int64_t done = 0; done < count; done += 4 * kBlocks, block += kBlocks) {
        philoxBlocks(seed, sequence, image, block, bits);
        for (int i = 0; i < kBlocks; ++i) {
            // A byte each, the four of a block in one word.
            std::uint32_t word = 0;
#pragma GCC unroll 4
            for (int j = 0; j < 4; ++j) {
                const float draw = static_cast<float>(static_cast<std::int32_t>(bits[j][i] >> 8)) * 0x1p-24f;
                word |= draw < keepProbability ? 1u << (kFirstByte + j * kByteStep) : 0u;
            }
            bits[0][i] = word;
        }
        const std::int64_t some = count - done < 4 * kBlocks ? count - done : 4 * kBlocks;
        __builtin_memcpy(mask + done, bits[0], static_cast<std::size_t>(some));
    }
}

void dropoutApply(const float* src, const float* mask, float keepProbability, float* dst,
                  std::int64_t count) {
    PEWTER_VECTORIZE
    for (std::int64_t i = 0; i < count; ++i) dst[i] = src[i] * mask[i] / keepProbability;
}

}  // namespace pewter::cpu::PEWTER_ISA
