#include "backends/cpu/vector/Dropout.h"

#include <cstddef>

#include "backends/cpu/vector/Math.h"
#include "backends/cpu/vector/Register.h"

namespace pewter::cpu::PEWTER_ISA {
namespace {

/// Blocks of four numbers drawn in one loop, and the elements they serve.
constexpr int kBlocks = 64;
constexpr std::int64_t kPiece = 4 * kBlocks;
/// Elements of a cache line; how far ahead of their use elements are asked for.
constexpr std::int64_t kLine = 16, kAhead = 2048;
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
using Counters = __m512i;
constexpr int kCounters = 8;
// Masks of all lanes, which cost nothing: GCC 12 takes the plain forms for uses of uninitialized values.
PEWTER_INLINE Counters everywhere(std::uint64_t x) { return _mm512_set1_epi64(static_cast<long long>(x)); }
PEWTER_INLINE Counters counting() { return _mm512_set_epi64(7, 6, 5, 4, 3, 2, 1, 0); }
PEWTER_INLINE Counters sum(Counters a, Counters b) { return _mm512_add_epi64(a, b); }
PEWTER_INLINE Counters product(Counters a, Counters b) { return _mm512_maskz_mul_epu32(0xff, a, b); }
PEWTER_INLINE Counters upper(Counters a) { return _mm512_maskz_srli_epi64(0xff, a, 32); }
PEWTER_INLINE Counters differ(Counters a, Counters b, Counters c) {
    return _mm512_ternarylogic_epi64(a, b, c, 0x96);
}
/// The lower half of every lane; none of them where nothing is kept.
PEWTER_INLINE __mmask16 comparedOf(std::uint64_t threshold) { return threshold == 0 ? 0 : 0x5555; }
/// What lower halves are compared with: the greatest number that is kept.
PEWTER_INLINE Counters limitOf(std::uint64_t threshold) { return everywhere(threshold - 1); }
/// `byte` where the lower half of bits is not greater than limit, added to word.
PEWTER_INLINE Counters mark(Counters word, Counters bits, Counters limit, __mmask16 compared,
                            std::uint64_t byte) {
    return _mm512_mask_or_epi32(word, _mm512_mask_cmple_epu32_mask(compared, bits, limit), word,
                                everywhere(byte));
}
/// The lower halves, back to back.
PEWTER_INLINE void store(Counters word, std::uint32_t* to) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), _mm512_maskz_cvtepi64_epi32(0xff, word));
}
/// scale where a byte of the mask is 1, else 0.
PEWTER_INLINE void factorsOf(const std::uint8_t* bytes, const Vector& scale, Vector& factors) {
    const __m128i mask = _mm_loadu_si128(reinterpret_cast<const __m128i*>(bytes));
    factors = reinterpret_cast<Vector>(
        _mm512_maskz_mov_ps(_mm_test_epi8_mask(mask, mask), reinterpret_cast<const __m512&>(scale)));
}
#else
using Counters = __m256i;
constexpr int kCounters = 4;
PEWTER_INLINE Counters everywhere(std::uint64_t x) { return _mm256_set1_epi64x(static_cast<long long>(x)); }
PEWTER_INLINE Counters counting() { return _mm256_set_epi64x(3, 2, 1, 0); }
PEWTER_INLINE Counters sum(Counters a, Counters b) { return _mm256_add_epi64(a, b); }
PEWTER_INLINE Counters product(Counters a, Counters b) { return _mm256_mul_epu32(a, b); }
PEWTER_INLINE Counters upper(Counters a) { return _mm256_srli_epi64(a, 32); }
PEWTER_INLINE Counters differ(Counters a, Counters b, Counters c) {
    return _mm256_xor_si256(_mm256_xor_si256(a, b), c);
}
PEWTER_INLINE int comparedOf(std::uint64_t) { return 0; }
PEWTER_INLINE Counters limitOf(std::uint64_t threshold) { return everywhere(threshold); }
/// `byte` where the lower half of bits is less than limit, added to word.
PEWTER_INLINE Counters mark(Counters word, Counters bits, Counters limit, int, std::uint64_t byte) {
    const Counters low = _mm256_and_si256(bits, everywhere(0xffffffffu));
    return _mm256_or_si256(word, _mm256_and_si256(_mm256_cmpgt_epi64(limit, low), everywhere(byte)));
}
PEWTER_INLINE void store(Counters word, std::uint32_t* to) {
    const Counters packed = _mm256_permutevar8x32_epi32(word, _mm256_set_epi32(7, 5, 3, 1, 6, 4, 2, 0));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(to), _mm256_castsi256_si128(packed));
}
PEWTER_INLINE void factorsOf(const std::uint8_t* bytes, const Vector& scale, Vector& factors) {
    const __m256i numbers = _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(bytes)));
    factors = reinterpret_cast<Vector>(_mm256_cvtepi32_ps(numbers)) * scale;
}
#endif

/// Vectors whose rounds run side by side: a multiplication takes several cycles.
constexpr int kSide = 4;

/// words[i] has the four mask bytes of block + i.
PEWTER_INLINE void maskWords(const DropoutDraw& draw, std::uint32_t block, std::uint32_t (&words)[kBlocks]) {
    const Counters first = everywhere(0xD2511F53u), second = everywhere(0xCD9E8D57u);
    const std::uint64_t threshold = thresholdOf(draw.keepProbability);
    const Counters limit = limitOf(threshold);
    const auto compared = comparedOf(threshold);
    for (int at = 0; at < kBlocks; at += kSide * kCounters) {
        Counters c0[kSide], c1[kSide], c2[kSide], c3[kSide];
        for (int v = 0; v < kSide; ++v) {
            c0[v] = sum(everywhere(block + static_cast<std::uint32_t>(at + v * kCounters)), counting());
            c1[v] = everywhere(draw.image);
            c2[v] = everywhere(draw.sequence);
            c3[v] = everywhere(draw.sequence >> 32);
        }
        auto key0 = static_cast<std::uint32_t>(draw.seed), key1 = static_cast<std::uint32_t>(draw.seed >> 32);
#pragma GCC unroll 10
        for (int round = 0; round < 10; ++round) {
            const Counters k0 = everywhere(key0), k1 = everywhere(key1);
#pragma GCC unroll 4
            for (int v = 0; v < kSide; ++v) {
                const Counters p0 = product(first, c0[v]), p1 = product(second, c2[v]);
                c0[v] = differ(upper(p1), c1[v], k0);
                c2[v] = differ(upper(p0), c3[v], k1);
                c1[v] = p1;
                c3[v] = p0;
            }
            key0 += 0x9E3779B9u;
            key1 += 0xBB67AE85u;
        }
        for (int v = 0; v < kSide; ++v) {
            Counters word = mark(everywhere(0), c0[v], limit, compared, 1u);
            word = mark(word, c1[v], limit, compared, 1u << 8);
            word = mark(word, c2[v], limit, compared, 1u << 16);
            store(mark(word, c3[v], limit, compared, 1u << 24), words + at + v * kCounters);
        }
    }
}

#else

/// Where the first byte of a word in memory is, and the next.
constexpr int kFirstByte = __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? 0 : 24;
constexpr int kByteStep = __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? 8 : -8;

PEWTER_INLINE std::uint32_t high(std::uint64_t product) { return static_cast<std::uint32_t>(product >> 32); }

/// ops::philox for counters block .. block + kBlocks - 1: bits[j][i] is number j of block i.
PEWTER_INLINE void philoxBlocks(const DropoutDraw& draw, std::uint32_t block,
                                std::uint32_t (&bits)[4][kBlocks]) {
    for (int i = 0; i < kBlocks; ++i) {
        std::uint32_t c0 = block + static_cast<std::uint32_t>(i), c1 = draw.image;
        auto c2 = static_cast<std::uint32_t>(draw.sequence), c3 = high(draw.sequence);
        auto key0 = static_cast<std::uint32_t>(draw.seed), key1 = high(draw.seed);
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
PEWTER_INLINE void maskWords(const DropoutDraw& draw, std::uint32_t block, std::uint32_t (&words)[kBlocks]) {
    std::uint32_t bits[4][kBlocks];
    philoxBlocks(draw, block, bits);
    const std::uint64_t threshold = thresholdOf(draw.keepProbability);
    for (int i = 0; i < kBlocks; ++i) {
        std::uint32_t word = 0;
#pragma GCC unroll 4
        for (int j = 0; j < 4; ++j) word |= bits[j][i] < threshold ? 1u << (kFirstByte + j * kByteStep) : 0u;
        words[i] = word;
    }
}

PEWTER_INLINE void factorsOf(const std::uint8_t* bytes, const Vector& scale, Vector& factors) {
    Vector own = {};
    for (std::int64_t lane = 0; lane < kLanes; ++lane) own[lane] = bytes[lane] != 0 ? scale[lane] : 0.0f;
    factors = own;
}

#endif

}  // namespace

void dropoutMask(const DropoutDraw& draw, std::uint32_t block, std::uint8_t* mask, std::int64_t count) {
    std::uint32_t words[kBlocks];
    for (std::int64_t done = 0; done < count; done += kPiece, block += kBlocks) {
        maskWords(draw, block, words);
        const std::int64_t some = count - done < kPiece ? count - done : kPiece;
        __builtin_memcpy(mask + done, words, static_cast<std::size_t>(some));
    }
}

void dropoutRun(const DropoutDraw& draw, std::uint32_t block, std::uint8_t* mask, const float* src,
                float* dst, std::int64_t count, bool past) {
    const Vector scales = 1.0f / draw.keepProbability - Vector{};
    past = past && unaligned(dst, count) == 0 && reinterpret_cast<std::uintptr_t>(mask) % kRegister == 0;
    alignas(64) std::uint32_t words[kBlocks];
    const auto* const bytes = reinterpret_cast<const std::uint8_t*>(words);
    for (std::int64_t done = 0; done < count; done += kPiece, block += kBlocks) {
        const std::int64_t some = count - done < kPiece ? count - done : kPiece;
        const float* const x = src + done;
        float* const y = dst + done;
        // Memory is asked for while the draw keeps the processor busy.
        for (std::int64_t i = 0; i < kPiece; i += kLine) __builtin_prefetch(x + kAhead + i);
        maskWords(draw, block, words);
        const auto apply = [&](auto store) PEWTER_LAMBDA {
            const std::int64_t whole = some / kLanes * kLanes;
            Vector value = {}, factors;
            for (std::int64_t i = 0; i < whole; i += kLanes) {
                loadFrom(x + i, value);
                factorsOf(bytes + i, scales, factors);
                store(y + i, value * factors);
            }
            if (whole == some) return;
            const auto rest = static_cast<std::size_t>(some - whole) * sizeof(float);
            __builtin_memcpy(&value, x + whole, rest);
            factorsOf(bytes + whole, scales, factors);
            value *= factors;
            __builtin_memcpy(y + whole, &value, rest);
        };
        if (past && some == kPiece) {
            apply([](float* to, const Vector& value) PEWTER_LAMBDA { streamTo(to, value); });
            for (std::int64_t i = 0; i < kPiece; i += kRegister) {
                Vector line;
                __builtin_memcpy(&line, bytes + i, sizeof line);
                streamTo(reinterpret_cast<float*>(mask + done + i), line);
            }
        } else {
            apply([](float* to, const Vector& value) PEWTER_LAMBDA { storeTo(to, value); });
            __builtin_memcpy(mask + done, words, static_cast<std::size_t>(some));
        }
    }
    if (past) streamEnd();
}

void dropoutApply(const float* src, const float* mask, float keepProbability, float* dst,
                  std::int64_t count) {
    const float scale = 1.0f / keepProbability;
    PEWTER_VECTORIZE
    for (std::int64_t i = 0; i < count; ++i) dst[i] = src[i] * mask[i] * scale;
}

}  // namespace pewter::cpu::PEWTER_ISA
