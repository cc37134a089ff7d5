#pragma once

#include <cstdint>
#include <cstring>

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

}  // namespace
}  // namespace pewter::cpu::PEWTER_ISA
