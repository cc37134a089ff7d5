#pragma once

#include <cstdlib>
#include <string_view>

// Files of this folder are compiled once for every instruction set, with PEWTER_ISA naming the namespace of
// that copy. To keep one copy's code out of another, they define nothing outside namespace PEWTER_ISA and
// anonymous namespaces within it, and leave templates of the standard library alone.
//
// A header of this folder lists its functions in a macro and declares them through PEWTER_VECTOR_FUNCTIONS;
// callers write PEWTER_VECTOR(function)(arguments).

namespace pewter::cpu {

enum class Isa { Baseline, Avx2, Avx512 };

/// The best instruction set that this processor has and that the library was compiled for. The environment
/// variable PEWTER_MAX_CPU_ISA (baseline, avx2 or avx512; unset: no limit) lowers it, so that one machine can
/// try them all.
inline Isa isa() {
#if defined(__x86_64__)
    static const Isa best = [] {
        const char* const limit = std::getenv("PEWTER_MAX_CPU_ISA");
        const std::string_view most = limit ? limit : "";
        __builtin_cpu_init();
        const bool avx2 =
            __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c");
        const bool avx512 = avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                            __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
        if (most == "baseline" || !avx2) return Isa::Baseline;
        return most == "avx2" || !avx512 ? Isa::Avx2 : Isa::Avx512;
    }();
    return best;
#else
    return Isa::Baseline;
#endif
}

}  // namespace pewter::cpu

#if defined(__x86_64__)
#define PEWTER_VECTOR_FUNCTIONS(List) \
    namespace pewter::cpu::baseline { \
    List                              \
    }                                 \
    namespace pewter::cpu::avx2 {     \
    List                              \
    }                                 \
    namespace pewter::cpu::avx512 {   \
    List                              \
    }
#define PEWTER_VECTOR(function)                                                           \
    (::pewter::cpu::isa() == ::pewter::cpu::Isa::Avx512 ? ::pewter::cpu::avx512::function \
     : ::pewter::cpu::isa() == ::pewter::cpu::Isa::Avx2 ? ::pewter::cpu::avx2::function   \
                                                        : ::pewter::cpu::baseline::function)
#else
#define PEWTER_VECTOR_FUNCTIONS(List) \
    namespace pewter::cpu::baseline { \
    List                              \
    }
#define PEWTER_VECTOR(function) (::pewter::cpu::baseline::function)
#endif
