#pragma once

#include <cstdint>
#include <cstring>

#include "backends/cpu/vector/Math.h"

// The compiler's own vector types, for loops whose sums must stay in registers.

namespace pewter::cpu::PEWTER_ISA {
namespace {

#if defined(__AVX512F__)
constexpr int kVectorBytes = 64;
#elif defined(__AVX2__)
constexpr int kVectorBytes = 32;
#else
constexpr int kVectorBytes = 16;
#endif
using Floats = float __attribute__((vector_size(kVectorBytes)));
using Doubles = double __attribute__((vector_size(kVectorBytes)));
/// As many floats as Doubles has numbers.
using HalfFloats = float __attribute__((vector_size(kVectorBytes / 2)));

template <class V, class T>
PEWTER_INLINE V loadLanes(const T* from) {
    V value;
    std::memcpy(&value, from, sizeof value);
    return value;
}

template <class T, class V>
PEWTER_INLINE void storeLanes(T* to, V value) {
    std::memcpy(to, &value, sizeof value);
}

PEWTER_INLINE Doubles widened(HalfFloats x) { return __builtin_convertvector(x, Doubles); }
PEWTER_INLINE double widened(float x) { return static_cast<double>(x); }

}  // namespace
}  // namespace pewter::cpu::PEWTER_ISA
