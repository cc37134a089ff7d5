#include "backends/cpu/vector/Dropout.h"

#include "backends/cpu/vector/Math.h"

namespace pewter::cpu::PEWTER_ISA {
namespace {

/// Blocks of four numbers drawn side by side.
constexpr int kBlocks = 16;

PEWTER_INLINE std::uint32_t high(std::uint64_t product) { return static_cast<std::uint32_t>(product >> 32); }

/// ops::philox for counters block .. block + kBlocks - 1: bits[j][i] is number j of block i.
PEWTER_INLINE void philoxBlocks(std::uint64_t seed, std::uint64_t sequence, std::uint32_t image,
                                std::uint32_t block, std::uint32_t (&bits)[4][kBlocks]) {
    for (int i = 0; i < kBlocks; ++i) {
        bits[0][i] = block + static_cast<std::uint32_t>(i);
        bits[1][i] = image;
        bits[2][i] = static_cast<std::uint32_t>(sequence);
        bits[3][i] = high(sequence);
    }
    auto key0 = static_cast<std::uint32_t>(seed), key1 = high(seed);
    for (int round = 0; round < 10; ++round) {
        for (int i = 0; i < kBlocks; ++i) {
            const std::uint64_t p0 = std::uint64_t{0xD2511F53u} * bits[0][i];
            const std::uint64_t p1 = std::uint64_t{0xCD9E8D57u} * bits[2][i];
            bits[0][i] = high(p1) ^ bits[1][i] ^ key0;
            bits[1][i] = static_cast<std::uint32_t>(p1);
            bits[2][i] = high(p0) ^ bits[3][i] ^ key1;
            bits[3][i] = static_cast<std::uint32_t>(p0);
        }
        key0 += 0x9E3779B9u;
        key1 += 0xBB67AE85u;
    }
}

}  // namespace

void dropoutMask(std::uint64_t seed, std::uint64_t sequence, std::uint32_t image, std::uint32_t block,
                 float keepProbability, std::uint8_t* mask, std::int64_t count) {
    std::uint32_t bits[4][kBlocks];
    std::uint8_t keep[4 * kBlocks];
    for (std::int64_t done = 0; done < count; done += 4 * kBlocks, block += kBlocks) {
        philoxBlocks(seed, sequence, image, block, bits);
        for (int i = 0; i < kBlocks; ++i)
            for (int j = 0; j < 4; ++j) {
                const float draw = static_cast<float>(static_cast<std::int32_t>(bits[j][i] >> 8)) * 0x1p-24f;
                keep[4 * i + j] = draw < keepProbability ? 1 : 0;
            }
        const std::int64_t some = count - done < 4 * kBlocks ? count - done : 4 * kBlocks;
        for (std::int64_t i = 0; i < some; ++i) mask[done + i] = keep[i];
    }
}

void dropoutApply(const float* src, const float* mask, float keepProbability, float* dst,
                  std::int64_t count) {
    PEWTER_VECTORIZE
    for (std::int64_t i = 0; i < count; ++i) dst[i] = src[i] * mask[i] / keepProbability;
}

}  // namespace pewter::cpu::PEWTER_ISA
