#include "backends/cpu/vector/Convert.h"

#if defined(__F16C__)
#include <immintrin.h>
#endif

#include "backends/cpu/vector/Math.h"

namespace pewter::cpu::PEWTER_ISA {
namespace {

struct Float32 {
    using Storage = float;
    PEWTER_INLINE static float load(float v) { return v; }
    PEWTER_INLINE static float store(float v) { return v; }
};

struct Float64 {
    using Storage = double;
    PEWTER_INLINE static float load(double v) { return static_cast<float>(v); }
    PEWTER_INLINE static double store(float v) { return v; }
};

struct Float16 {
    using Storage = std::uint16_t;
    PEWTER_INLINE static float load(std::uint16_t v) {
        const std::uint32_t rest = static_cast<std::uint32_t>(v & 0x7fff) << 13;
        // The multiplication moves the exponent from bias 15 to bias 127 and normalises subnormal numbers.
        const std::uint32_t bits = bitsOf(fromBits(rest) * 0x1p112f);
        const std::uint32_t special = rest >= 0x0f800000u ? 0x7f800000u : 0u;
        return fromBits(bits | special | static_cast<std::uint32_t>(v & 0x8000) << 16);
    }
    PEWTER_INLINE static std::uint16_t store(float v) {
        const std::uint32_t bits = bitsOf(v), rest = bits & 0x7fffffffu;
        const std::uint32_t normal = (rest - (112u << 23) + 0xfffu + ((rest >> 13) & 1u)) >> 13;
        // Below 2^-14 the addition of 0.5 rounds to steps of 2^-24 and leaves their number in the low bits.
        const std::uint32_t subnormal = bitsOf(fromBits(rest) + 0.5f) - 0x3f000000u;
        const std::uint32_t large = rest > 0x7f800000u ? 0x7e00u : 0x7c00u;
        const std::uint32_t finite = rest < 0x38800000u ? subnormal : normal;
        return static_cast<std::uint16_t>((rest >= 0x47800000u ? large : finite) | (bits >> 16 & 0x8000u));
    }
};

struct BFloat16 {
    using Storage = std::uint16_t;
    PEWTER_INLINE static float load(std::uint16_t v) { return fromBits(static_cast<std::uint32_t>(v) << 16); }
    PEWTER_INLINE static std::uint16_t store(float v) {
        const std::uint32_t bits = bitsOf(v);
        const std::uint32_t rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
        const std::uint32_t quiet = (bits >> 16) | 0x40u;
        return static_cast<std::uint16_t>((bits & 0x7fffffffu) > 0x7f800000u ? quiet : rounded);
    }
};

/// v * scale rounded once to an integer; v is in [0, 1].
PEWTER_INLINE std::uint32_t scaled(float v, float scale) {
#if defined(__FP_FAST_FMAF)
    return bitsOf(__builtin_fmaf(v, scale, kRounder)) - bitsOf(kRounder);
#else
    // Exact in double, which then rounds to an integer by the same trick: 1.5 * 2^52.
    const double rounded = static_cast<double>(v) * static_cast<double>(scale) + 0x1.8p52;
    return static_cast<std::uint32_t>(__builtin_bit_cast(std::uint64_t, rounded));
#endif
}

template <class Integer, int kMaximum>
struct Unorm {
    using Storage = Integer;
    PEWTER_INLINE static float load(Integer v) {
        return static_cast<float>(static_cast<std::int32_t>(v)) / static_cast<float>(kMaximum);
    }
    PEWTER_INLINE static Integer store(float v) {
        const float positive = v > 0.0f ? v : 0.0f;
        return static_cast<Integer>(scaled(positive < 1.0f ? positive : 1.0f, static_cast<float>(kMaximum)));
    }
};

struct UInt8 {
    using Storage = std::uint8_t;
    PEWTER_INLINE static float load(std::uint8_t v) {
        return static_cast<float>(static_cast<std::int32_t>(v));
    }
    PEWTER_INLINE static std::uint8_t store(float v) {
        const float positive = v > 0.0f ? v : 0.0f;
        return static_cast<std::uint8_t>(bitsOf((positive < 255.0f ? positive : 255.0f) + kRounder) -
                                         bitsOf(kRounder));
    }
};

struct UInt32 {
    using Storage = std::uint32_t;
    PEWTER_INLINE static float load(std::uint32_t v) { return static_cast<float>(v); }
    PEWTER_INLINE static std::uint32_t store(float v) {
        const float positive = v > 0.0f ? v : 0.0f;
        if (positive >= 0x1p32f) return 0xffffffffu;
        // From 2^23 on every float is an integer.
        return static_cast<std::uint32_t>(positive < 0x1p23f ? (positive + 0x1p23f) - 0x1p23f : positive);
    }
};

template <class Element>
void loadAs(const void* src, std::int64_t stride, std::int64_t count, float* dst) {
    const auto* from = static_cast<const typename Element::Storage*>(src);
    if (stride == 1) {
        PEWTER_VECTORIZE
        for (std::int64_t i = 0; i < count; ++i) dst[i] = Element::load(from[i]);
    } else {
        for (std::int64_t i = 0; i < count; ++i) dst[i] = Element::load(from[i * stride]);
    }
}

template <class Element>
void storeAs(const float* src, void* dst, std::int64_t stride, std::int64_t count) {
    auto* to = static_cast<typename Element::Storage*>(dst);
    if (stride == 1) {
        PEWTER_VECTORIZE
        for (std::int64_t i = 0; i < count; ++i) to[i] = Element::store(src[i]);
    } else {
        for (std::int64_t i = 0; i < count; ++i) to[i * stride] = Element::store(src[i]);
    }
}

#if defined(__F16C__)
/// The dense part in steps of 8 by the processor's own conversion; returns how many were done.
std::int64_t loadHalves(const std::uint16_t* src, std::int64_t count, float* dst) {
    std::int64_t i = 0;
    for (; i + 8 <= count; i += 8)
        _mm256_storeu_ps(dst + i,
                         _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(src + i))));
    return i;
}

std::int64_t storeHalves(const float* src, std::int64_t count, std::uint16_t* dst) {
    std::int64_t i = 0;
    for (; i + 8 <= count; i += 8)
        _mm_storeu_si128(reinterpret_cast<__m128i*>(dst + i),
                         _mm256_cvtps_ph(_mm256_loadu_ps(src + i), _MM_FROUND_TO_NEAREST_INT));
    return i;
}
#endif

}  // namespace

void loadRun(const void* src, ops::Type type, std::int64_t stride, std::int64_t count, float* dst) {
    switch (type) {
        case ops::Type::Float32:
            return loadAs<Float32>(src, stride, count, dst);
        case ops::Type::Float64:
            return loadAs<Float64>(src, stride, count, dst);
        case ops::Type::BFloat16:
            return loadAs<BFloat16>(src, stride, count, dst);
        case ops::Type::Unorm8:
            return loadAs<Unorm<std::uint8_t, 255>>(src, stride, count, dst);
        case ops::Type::Unorm16:
            return loadAs<Unorm<std::uint16_t, 65535>>(src, stride, count, dst);
        case ops::Type::UInt8:
            return loadAs<UInt8>(src, stride, count, dst);
        case ops::Type::UInt32:
            return loadAs<UInt32>(src, stride, count, dst);
        case ops::Type::Float16:
            break;
    }
    const auto* halves = static_cast<const std::uint16_t*>(src);
    std::int64_t done = 0;
#if defined(__F16C__)
    if (stride == 1) done = loadHalves(halves, count, dst);
#endif
    loadAs<Float16>(halves + done * stride, stride, count - done, dst + done);
}

void storeRun(const float* src, void* dst, ops::Type type, std::int64_t stride, std::int64_t count) {
    switch (type) {
        case ops::Type::Float32:
            return storeAs<Float32>(src, dst, stride, count);
        case ops::Type::Float64:
            return storeAs<Float64>(src, dst, stride, count);
        case ops::Type::BFloat16:
            return storeAs<BFloat16>(src, dst, stride, count);
        case ops::Type::Unorm8:
            return storeAs<Unorm<std::uint8_t, 255>>(src, dst, stride, count);
        case ops::Type::Unorm16:
            return storeAs<Unorm<std::uint16_t, 65535>>(src, dst, stride, count);
        case ops::Type::UInt8:
            return storeAs<UInt8>(src, dst, stride, count);
        case ops::Type::UInt32:
            return storeAs<UInt32>(src, dst, stride, count);
        case ops::Type::Float16:
            break;
    }
    auto* halves = static_cast<std::uint16_t*>(dst);
    std::int64_t done = 0;
#if defined(__F16C__)
    if (stride == 1) done = storeHalves(src, count, halves);
#endif
    storeAs<Float16>(src + done, halves + done * stride, stride, count - done);
}

}  // namespace pewter::cpu::PEWTER_ISA
