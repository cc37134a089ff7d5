#include "backends/cpu/vector/Dropout.h"

#include <cstddef>

#include "backends/cpu/vector/Math.h"

#if defined(__AVX2__)
#include <immintrin.h>
#endif

namespace pewter::cpu::PEWTER_ISA {
namespace {

/// Blocks of four numbers drawn in one loop.
constexpr int kBlocks = 64;
/// A draw k 2^-24 of 24 bits is less than keepProbability where all 32 bits are less than this.
PEWTER_INLINE std::uint64_t thresholdOf(float keepProbability) {
    const double scaled = static_cast<double>(keepProbability) * 0x1p24;
    const auto below = static_cast<std::uint64_t>(scaled);
    return (below + (static_cast<double>(below) < scaled ? 1 : 0)) << 8;
}

#if defined(__AVX2__)

// Each 32-bit number in a lane of 64, whose upper half nobody looks at: the widening multiplication takes the
// lower halves, and leaves what the next round wants in one half or the other.
#if defined(__AVX512F__)
using Lanes = __m512i;
constexpr int kLanes = 8;
// Masks of all lanes, which cost nothing: GCC 12 takes the plain forms for uses of uninitialized values.
PEWTER_INLINE Lanes lanesOf(std::uint64_t x) { return _mm512_set1_epi64(static_cast<long long>(x)); }
PEWTER_INLINE Lanes counting() { return _mm512_set_epi64(7, 6, 5, 4, 3, 2, 1, 0); }
PEWTER_INLINE Lanes sum(Lanes a, Lanes b) { return _mm512_add_epi64(a, b); }
PEWTER_INLINE Lanes product(Lanes a, Lanes b) { return _mm512_maskz_mul_epu32(0xff, a, b); }
PEWTER_INLINE Lanes upper(Lanes a) { return _mm512_maskz_srli_epi64(0xff, a, 32); }
PEWTER_INLINE Lanes differ(Lanes a, Lanes b, Lanes c) { return _mm512_ternarylogic_epi64(a, b, c, 0x96); }
/// `byte` where the lower half of bits is less than threshold, added to word.
PEWTER_INLINE Lanes mark(Lanes word, Lanes bits, Lanes threshold, std::uint64_t byte) {
    const Lanes low = _mm512_and_si512(bits, lanesOf(0xffffffffu));
    return _mm512_mask_or_epi64(word, _mm512_cmplt_epu64_mask(low, threshold), word, lanesOf(byte));
}
/// The lower halves, back to back.
PEWTER_INLINE void store(Lanes word, std::uint32_t* to) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), _mm512_maskz_cvtepi64_epi32(0xff, word));
}
#else
using Lanes = __m256i;
constexpr int kLanes = 4;
PEWTER_INLINE Lanes lanesOf(std::uint64_t x) { return _mm256_set1_epi64x(static_cast<long long>(x)); }
PEWTER_INLINE Lanes counting() { return _mm256_set_epi64x(3, 2, 1, 0); }
PEWTER_INLINE Lanes sum(Lanes a, Lanes b) { return _mm256_add_epi64(a, b); }
PEWTER_INLINE Lanes product(Lanes a, Lanes b) { return _mm256_mul_epu32(a, b); }
PEWTER_INLINE Lanes upper(Lanes a) { return _mm256_srli_epi64(a, 32); }
PEWTER_INLINE Lanes differ(Lanes a, Lanes b, Lanes c) { return _mm256_xor_si256(_mm256_xor_si256(a, b), c); }
PEWTER_INLINE Lanes mark(Lanes word, Lanes bits, Lanes threshold, std::uint64_t byte) {
    const Lanes low = _mm256_and_si256(bits, lanesOf(0xffffffffu));
    return _mm256_or_si256(word, _mm256_and_si256(_mm256_cmpgt_epi64(threshold, low), lanesOf(byte)));
}
PEWTER_INLINE void store(Lanes word, std::uint32_t* to) {
    const Lanes packed = _mm256_permutevar8x32_epi32(word, _mm256_set_epi32(7, 5, 3, 1, 6, 4, 2, 0));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(to), _mm256_castsi256_si128(packed));
}
#endif

/// Vectors whose rounds run side by side: a multiplication takes several cycles.
constexpr int kSide = 4;

/// words[i] has the four mask bytes of block + i.
void maskWords(std::uint64_t seed, std::uint64_t sequence, std::uint32_t image, std::uint32_t block,
               float keepProbability, std::uint32_t (&words)[kBlocks]) {
    const Lanes first = lanesOf(0xD2511F53u), second = lanesOf(0xCD9E8D57u);
    const Lanes threshold = lanesOf(thresholdOf(keepProbability));
    for (int at = 0; at < kBlocks; at += kSide * kLanes) {
        Lanes c0[kSide], c1[kSide], c2[kSide], c3[kSide];
        for (int v = 0; v < kSide; ++v) {
            c0[v] = sum(lanesOf(block + static_cast<std::uint32_t>(at + v * kLanes)), counting());
            c1[v] = lanesOf(image);
            c2[v] = lanesOf(sequence);
            c3[v] = lanesOf(sequence >> 32);
        }
        auto key0 = static_cast<std::uint32_t>(seed), key1 = static_cast<std::uint32_t>(seed >> 32);
#pragma GCC unroll 10
        for (int round = 0; round < 10; ++round) {
            const Lanes k0 = lanesOf(key0), k1 = lanesOf(key1);
#pragma GCC unroll 4
            for (int v = 0; v < kSide; ++v) {
                const Lanes p0 = product(first, c0[v]), p1 = product(second, c2[v]);
                c0[v] = differ(upper(p1), c1[v], k0);
                c2[v] = differ(upper(p0), c3[v], k1);
                c1[v] = p1;
                c3[v] = p0;
            }
            key0 += 0x9E3779B9u;
            key1 += 0xBB67AE85u;
        }
        for (int v = 0; v < kSide; ++v) {
            Lanes word = mark(lanesOf(0), c0[v], threshold, 1u);
            word = mark(word, c1[v], threshold, 1u << 8);
            word = mark(word, c2[v], threshold, 1u << 16);
            store(mark(word, c3[v], threshold, 1u << 24), words + at + v * kLanes);
        }
    }
}

#else

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

/// words[i] has the four mask bytes of block + i.
void maskWords(std::uint64_t seed, std::uint64_t sequence, std::uint32_t image, std::uint32_t block,
               float keepProbability, std::uint32_t (&words)[kBlocks]) {
    std::uint32_t bits[4][kBlocks];
    philoxBlocks(seed, sequence, image, block, bits);
    const std::uint64_t threshold = thresholdOf(keepProbability);
    for (int i = 0; i < kBlocks; ++i) {
        std::uint32_t word = 0;
#pragma GCC unroll 4
        for (int j = 0; j < 4; ++j) word |= bits[j][i] < threshold ? 1u << (kFirstByte + j * kByteStep) : 0u;
        words[i] = word;
    }
}

#endif

}  // namespace

void dropoutMask(std::uint64_t seed, std::uint64_t sequence, std::uint32_t image, std::uint32_t block,
                 float keepProbability, std::uint8_t* mask, std::int64_t count) {
    std::uint32_t words[kBlocks];
    for (std::int64_t done = 0; done < count; done += 4 * kBlocks, block += kBlocks) {
        maskWords(seed, sequence, image, block, keepProbability, words);
        const std::int64_t some = count - done < 4 * kBlocks ? count - done : 4 * kBlocks;
        __builtin_memcpy(mask + done, words, static_cast<std::size_t>(some));
    }
}

void dropoutApply(const float* src, const float* mask, float keepProbability, float* dst,
                  std::int64_t count) {
    const float scale = 1.0f / keepProbability;
    PEWTER_VECTORIZE
    for (std::int64_t i = 0; i < count; ++i) dst[i] = src[i] * mask[i] * scale;
}

void dropoutApplyBytes(const float* src, const std::uint8_t* mask, float keepProbability, float* dst,
                       std::int64_t count) {
    const float scale = 1.0f / keepProbability;
    PEWTER_VECTORIZE
    for (std::int64_t i = 0; i < count; ++i)
        dst[i] = src[i] * static_cast<float>(static_cast<std::int32_t>(mask[i])) * scale;
}

}  // namespace pewter::cpu::PEWTER_ISA
