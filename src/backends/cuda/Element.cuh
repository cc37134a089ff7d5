#pragma once

#include "backends/cuda/Platform.cuh"
#include "ops/Tensor.h"

namespace pewter::PEWTER_CUDA_NAMESPACE {

/// The address that kernels use of one that allocate() gave. On a GPU they are the same; the emulated device gives out
/// addresses that fault when the host follows them.
#if defined(__CUDACC__)
template <class T>
T* resolve(T* address) {
    return address;
}
#else
inline constexpr std::uintptr_t kDeviceTag = std::uintptr_t{1} << 62;
template <class T>
T* resolve(T* address) {
    return reinterpret_cast<T*>(reinterpret_cast<std::uintptr_t>(address) & ~kDeviceTag);
}
#endif

/// A tensor as kernels see it; index and extents as in ops::Tensor.
struct View {
    char* data;
    ops::Type type;
    int n, h, w, c;
    std::int64_t strideN, strideH, strideW, strideC;

    PEWTER_HD bool isNull() const { return data == nullptr; }
    PEWTER_HD std::int64_t count() const { return std::int64_t{1} * n * h * w * c; }
    PEWTER_HD std::int64_t offset(std::int64_t in, std::int64_t ih, std::int64_t iw, std::int64_t ic) const {
        return in * strideN + ih * strideH + iw * strideW + ic * strideC;
    }
};

/// A dense run as kernels see it.
struct Run {
    char* data;
    ops::Type type;
    std::int64_t size;

    PEWTER_HD bool isNull() const { return data == nullptr; }
};

inline View viewOf(const ops::Tensor& t) {
    return {static_cast<char*>(resolve(t.data)), t.type, static_cast<int>(t.n), static_cast<int>(t.h), static_cast<int>(t.w),
            static_cast<int>(t.c), t.strideN, t.strideH, t.strideW, t.strideC};
}
inline Run runOf(const ops::Array& a) { return {static_cast<char*>(resolve(a.data)), a.type, a.size}; }

// --- element types ---

/// Nearest integer, ties to even, saturated; NaN is 0.
template <class Integer>
PEWTER_HD Integer saturate(float value, float maximum) {
    if (!(value > 0)) return 0;
    return value >= maximum ? static_cast<Integer>(maximum) : static_cast<Integer>(rintf(value));
}

#if defined(__CUDACC__)

PEWTER_DEVICE float halfToFloat(std::uint16_t bits) { return __half2float(__ushort_as_half(bits)); }
PEWTER_DEVICE std::uint16_t floatToHalf(float value) { return __half_as_ushort(__float2half_rn(value)); }
PEWTER_DEVICE std::uint16_t floatToBrain(float value) { return __bfloat16_as_ushort(__float2bfloat16_rn(value)); }
PEWTER_DEVICE float bitsToFloat(std::uint32_t bits) { return __uint_as_float(bits); }

#else

inline float bitsToFloat(std::uint32_t bits) { return __builtin_bit_cast(float, bits); }
inline float halfToFloat(std::uint16_t bits) {
    const int exponent = bits >> 10 & 31, mantissa = bits & 1023;
    float magnitude = exponent == 0    ? std::ldexp(static_cast<float>(mantissa), -24)
                      : exponent == 31 ? (mantissa ? NAN : INFINITY)
                                       : std::ldexp(static_cast<float>(mantissa + 1024), exponent - 25);
    return std::copysign(magnitude, bits & 0x8000 ? -1.0f : 1.0f);
}
inline std::uint16_t floatToHalf(float value) {
    const auto sign = static_cast<std::uint16_t>(std::signbit(value) ? 0x8000 : 0);
    const float m = std::fabs(value);
    if (std::isnan(value)) return 0x7fff;
    if (m >= 65520.0f) return static_cast<std::uint16_t>(sign | 0x7c00);
    if (m == 0) return sign;
    const int exponent = std::max(std::ilogb(m), -14);
    const auto steps = static_cast<int>(std::nearbyint(std::ldexp(m, 10 - exponent)));
    const int bits = steps < 1024 ? steps : (exponent + 15) * 1024 + steps - 1024;
    return static_cast<std::uint16_t>(sign | bits);
}
inline std::uint16_t floatToBrain(float value) {
    const auto bits = __builtin_bit_cast(std::uint32_t, value);
    if (std::isnan(value)) return static_cast<std::uint16_t>((bits >> 16) | 0x40);
    return static_cast<std::uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

#endif

PEWTER_DEVICE float brainToFloat(std::uint16_t bits) { return bitsToFloat(static_cast<std::uint32_t>(bits) << 16); }

// Storage of float16 and bfloat16, so that templates tell them apart.
struct Half {
    std::uint16_t bits;
};
struct Brain {
    std::uint16_t bits;
};

PEWTER_DEVICE float toFloat(float v) { return v; }
PEWTER_DEVICE float toFloat(Half v) { return halfToFloat(v.bits); }
PEWTER_DEVICE float toFloat(Brain v) { return brainToFloat(v.bits); }
PEWTER_DEVICE void fromFloat(float& to, float v) { to = v; }
PEWTER_DEVICE void fromFloat(Half& to, float v) { to.bits = floatToHalf(v); }
PEWTER_DEVICE void fromFloat(Brain& to, float v) { to.bits = floatToBrain(v); }

/// Element i of memory of a type that is known only at run time. All threads take the same branch.
PEWTER_DEVICE float loadAs(ops::Type type, const char* data, std::int64_t i) {
    switch (type) {
        case ops::Type::Float32: return reinterpret_cast<const float*>(data)[i];
        case ops::Type::Float16: return halfToFloat(reinterpret_cast<const std::uint16_t*>(data)[i]);
        case ops::Type::BFloat16: return brainToFloat(reinterpret_cast<const std::uint16_t*>(data)[i]);
        case ops::Type::Unorm8: return reinterpret_cast<const std::uint8_t*>(data)[i] / 255.0f;
        case ops::Type::Unorm16: return reinterpret_cast<const std::uint16_t*>(data)[i] / 65535.0f;
        case ops::Type::UInt8: return reinterpret_cast<const std::uint8_t*>(data)[i];
        case ops::Type::UInt32: return static_cast<float>(reinterpret_cast<const std::uint32_t*>(data)[i]);
        case ops::Type::Float64: return static_cast<float>(reinterpret_cast<const double*>(data)[i]);
    }
    return 0;
}

PEWTER_DEVICE void storeAs(ops::Type type, char* data, std::int64_t i, float value) {
    switch (type) {
        case ops::Type::Float32: reinterpret_cast<float*>(data)[i] = value; return;
        case ops::Type::Float16: reinterpret_cast<std::uint16_t*>(data)[i] = floatToHalf(value); return;
        case ops::Type::BFloat16: reinterpret_cast<std::uint16_t*>(data)[i] = floatToBrain(value); return;
        case ops::Type::Unorm8: reinterpret_cast<std::uint8_t*>(data)[i] = saturate<std::uint8_t>(value * 255.0f, 255); return;
        case ops::Type::Unorm16:
            reinterpret_cast<std::uint16_t*>(data)[i] = saturate<std::uint16_t>(value * 65535.0f, 65535);
            return;
        case ops::Type::UInt8: reinterpret_cast<std::uint8_t*>(data)[i] = saturate<std::uint8_t>(value, 255); return;
        case ops::Type::UInt32:
            reinterpret_cast<std::uint32_t*>(data)[i] =
                !(value > 0) ? 0 : value >= 4294967295.0f ? 4294967295u : static_cast<std::uint32_t>(rintf(value));
            return;
        case ops::Type::Float64: reinterpret_cast<double*>(data)[i] = value; return;
    }
}

PEWTER_DEVICE float load(const View& t, int n, int h, int w, int c) { return loadAs(t.type, t.data, t.offset(n, h, w, c)); }
PEWTER_DEVICE void store(const View& t, int n, int h, int w, int c, float value) {
    storeAs(t.type, t.data, t.offset(n, h, w, c), value);
}
PEWTER_DEVICE float load(const Run& a, std::int64_t i) { return loadAs(a.type, a.data, i); }
PEWTER_DEVICE void store(const Run& a, std::int64_t i, float value) { storeAs(a.type, a.data, i, value); }
/// Statistics are kept in float64 by some states.
PEWTER_DEVICE double loadDouble(const Run& a, std::int64_t i) {
    return a.type == ops::Type::Float64 ? reinterpret_cast<const double*>(a.data)[i] : loadAs(a.type, a.data, i);
}
PEWTER_DEVICE void storeDouble(const Run& a, std::int64_t i, double value) {
    if (a.type == ops::Type::Float64)
        reinterpret_cast<double*>(a.data)[i] = value;
    else
        storeAs(a.type, a.data, i, static_cast<float>(value));
}

// --- positions ---

struct Position {
    int n, h, w, c;
};

/// Where element i of a tensor lies, counted in N,H,W,C order.
PEWTER_DEVICE Position positionOf(const View& t, std::int64_t i) {
    Position p;
    if (i < (std::int64_t{1} << 31)) {  // 64-bit division is slow
        auto rest = static_cast<std::uint32_t>(i);
        p.c = static_cast<int>(rest % static_cast<std::uint32_t>(t.c));
        rest /= static_cast<std::uint32_t>(t.c);
        p.w = static_cast<int>(rest % static_cast<std::uint32_t>(t.w));
        rest /= static_cast<std::uint32_t>(t.w);
        p.h = static_cast<int>(rest % static_cast<std::uint32_t>(t.h));
        p.n = static_cast<int>(rest / static_cast<std::uint32_t>(t.h));
        return p;
    }
    p.c = static_cast<int>(i % t.c);
    i /= t.c;
    p.w = static_cast<int>(i % t.w);
    i /= t.w;
    p.h = static_cast<int>(i % t.h);
    p.n = static_cast<int>(i / t.h);
    return p;
}
PEWTER_DEVICE float load(const View& t, const Position& p) { return load(t, p.n, p.h, p.w, p.c); }
PEWTER_DEVICE void store(const View& t, const Position& p, float value) { store(t, p.n, p.h, p.w, p.c, value); }

/// Where a read at `position` of an axis lands: an index, or -1 when it gives 0.
PEWTER_DEVICE int edgeIndex(std::int64_t position, int extent, ops::Edge edge) {
    if (position >= 0 && position < extent) return static_cast<int>(position);
    if (edge == ops::Edge::Zero || extent == 0) return -1;
    return position < 0 ? 0 : extent - 1;
}

}  // namespace pewter::PEWTER_CUDA_NAMESPACE
