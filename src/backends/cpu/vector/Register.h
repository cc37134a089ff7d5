#pragma once

#include <cstdint>
#include <cstring>

#if defined(__SSE2__)
#include <immintrin.h>
#endif

// A register of floats in the compiler's own vector types, for loops that the compiler does not turn into
// vector code by itself. Registers go to functions and come back by reference: how they are passed by value
// depends on the instruction set that a caller is compiled for.

#ifndef PEWTER_ISA
#define PEWTER_ISA baseline
#endif

namespace pewter::cpu::PEWTER_ISA {
namespace {

#if defined(__AVX512F__)
constexpr int kRegister = 64;
#elif defined(__AVX2__)
constexpr int kRegister = 32;
#else
constexpr int kRegister = 16;
#endif
using Vector = float __attribute__((vector_size(kRegister)));
using Number = std::int32_t __attribute__((vector_size(kRegister)));
constexpr std::int64_t kLanes = kRegister / sizeof(float);

/// V is Vector, or float for the lanes that are left over.
template <class V>
constexpr std::int64_t kLanesOf = static_cast<std::int64_t>(sizeof(V) / sizeof(float));

template <class V>
void loadFrom(const float* from, V& value) {
    std::memcpy(&value, from, sizeof value);
}

template <class V>
void storeTo(float* to, const V& value) {
    std::memcpy(to, &value, sizeof value);
}

/// Stores past the caches: what is larger than they are would only push out what the next operation reads,
/// and need not be read before it is written. `to` is aligned to a register; streamEnd() comes before another
/// thread reads.
inline void streamTo(float* to, const Vector& value) {
#if defined(__AVX512F__)
    _mm512_stream_ps(to, reinterpret_cast<const __m512&>(value));
#elif defined(__AVX2__)
    _mm256_stream_ps(to, reinterpret_cast<const __m256&>(value));
#elif defined(__SSE2__)
    _mm_stream_ps(to, reinterpret_cast<const __m128&>(value));
#else
    storeTo(to, value);
#endif
}

inline void streamEnd() {
#if defined(__SSE2__)
    _mm_sfence();
#endif
}

/// Floats before the first that is aligned to a register.
inline std::int64_t unaligned(const float* from, std::int64_t count) {
    const auto over =
        static_cast<std::int64_t>(reinterpret_cast<std::uintptr_t>(from) / sizeof(float)) % kLanes;
    const std::int64_t head = over == 0 ? 0 : kLanes - over;
    return head < count ? head : count;
}

}  // namespace
}  // namespace pewter::cpu::PEWTER_ISA
