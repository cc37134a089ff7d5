#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <memory>
#include <new>
#ifdef _OPENMP
#include <omp.h>
#endif

/// What the processor can do at most, measured by loops that depend on nothing of the library: fused
/// multiply-adds on registers, and copies between buffers larger than any cache.
namespace pewter::profile {

inline int threadCount() {
#ifdef _OPENMP
    return omp_get_max_threads();
#else
    return 1;
#endif
}

inline int threadNumber() {
#ifdef _OPENMP
    return omp_get_thread_num();
#else
    return 0;
#endif
}

namespace ceilings {

typedef float Vector16 __attribute__((vector_size(16)));
typedef float Vector32 __attribute__((vector_size(32)));
typedef float Vector64 __attribute__((vector_size(64)));

/// 12 independent chains of vectors: enough to hide the latency of a multiply-add. Returns one of the sums,
/// so that nothing is optimised away.
template <class Vector>
[[gnu::always_inline]] inline float multiplyAdd(std::size_t rounds, float start) {
    const Vector a = Vector{} + 0.999f, b = Vector{} + 1e-3f;
    Vector v0 = Vector{} + start, v1 = v0 + 1, v2 = v0 + 2, v3 = v0 + 3, v4 = v0 + 4, v5 = v0 + 5,
           v6 = v0 + 6, v7 = v0 + 7, v8 = v0 + 8, v9 = v0 + 9, v10 = v0 + 10, v11 = v0 + 11;
    for (std::size_t i = 0; i < rounds; ++i) {
        v0 = v0 * a + b, v1 = v1 * a + b, v2 = v2 * a + b, v3 = v3 * a + b;
        v4 = v4 * a + b, v5 = v5 * a + b, v6 = v6 * a + b, v7 = v7 * a + b;
        v8 = v8 * a + b, v9 = v9 * a + b, v10 = v10 * a + b, v11 = v11 * a + b;
    }
    const Vector sum = v0 + v1 + v2 + v3 + v4 + v5 + v6 + v7 + v8 + v9 + v10 + v11;
    return sum[0];
}

struct Loop {
    float (*run)(std::size_t rounds, float start);
    double flopsPerRound;
    const char* name;
};

inline float baselineLoop(std::size_t rounds, float start) { return multiplyAdd<Vector16>(rounds, start); }
#if defined(__x86_64__)
__attribute__((target("avx2,fma"))) inline float avx2Loop(std::size_t rounds, float start) {
    return multiplyAdd<Vector32>(rounds, start);
}
__attribute__((target("avx512f,fma"))) inline float avx512Loop(std::size_t rounds, float start) {
    return multiplyAdd<Vector64>(rounds, start);
}
#endif

/// The widest loop that this processor runs.
inline Loop widestLoop() {
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx512f")) return {avx512Loop, 2.0 * 12 * 16, "AVX-512"};
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        return {avx2Loop, 2.0 * 12 * 8, "AVX2"};
#endif
    return {baselineLoop, 2.0 * 12 * 4, "baseline"};
}

}  // namespace ceilings

/// Runs `rounds` of the loop on every thread; returns the operations done.
inline double runMultiplyAdds(const ceilings::Loop& loop, std::size_t rounds) {
    float total = 0;
#pragma omp parallel reduction(+ : total)
    total += loop.run(rounds, 1.0f);
    volatile float sink = total;
    static_cast<void>(sink);
    return loop.flopsPerRound * static_cast<double>(rounds) * threadCount();
}

/// Two buffers, each far larger than the last cache.
class CopyBuffers {
public:
    explicit CopyBuffers(std::size_t bytes = std::size_t{256} << 20) : bytes_(bytes) {
        for (auto* buffer : {&from_, &to_}) {
            buffer->reset(static_cast<char*>(std::aligned_alloc(4096, bytes)));
            if (!*buffer) throw std::bad_alloc();
            std::memset(buffer->get(), 1, bytes);  // the pages exist before the clock starts
        }
    }
    /// Copies a thread's part; returns the bytes read and written.
    double copyPart(int thread) {
        const auto t = static_cast<std::size_t>(thread), threads = static_cast<std::size_t>(threadCount());
        const std::size_t first = bytes_ / threads * t,
                          last = t + 1 == threads ? bytes_ : bytes_ / threads * (t + 1);
        std::memcpy(to_.get() + first, from_.get() + first, last - first);
        return 2.0 * static_cast<double>(last - first);
    }
    /// Copies once on every thread.
    double copy() {
        double bytes = 0;
#pragma omp parallel reduction(+ : bytes)
        bytes += copyPart(threadNumber());
        return bytes;
    }

private:
    struct Free {
        void operator()(char* memory) const { std::free(memory); }
    };
    std::size_t bytes_;
    std::unique_ptr<char, Free> from_, to_;
};

inline double secondsNow() {
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

/// Time that the calling thread has had a core: a busy machine takes cores away, and this clock stands
/// meanwhile.
inline double threadSeconds() {
    timespec now{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

/// The best of several short runs, in each thread's own time and summed over the threads: what is possible,
/// not what a busy machine gives.
struct Ceilings {
    double flopsPerSecond = 0, bytesPerSecond = 0;
};

inline Ceilings measureCeilings() {
    const auto loop = ceilings::widestLoop();
    runMultiplyAdds(loop, 1000);
    CopyBuffers buffers;
    Ceilings sum;
#pragma omp parallel
    {
        Ceilings best;
        for (int i = 0; i < 20; ++i) {
            const std::size_t rounds = 200'000;
            const double start = threadSeconds();
            volatile float sink = loop.run(rounds, 1.0f);
            static_cast<void>(sink);
            best.flopsPerSecond =
                std::max(best.flopsPerSecond,
                         loop.flopsPerRound * static_cast<double>(rounds) / (threadSeconds() - start));
        }
        for (int i = 0; i < 10; ++i) {
            const double start = threadSeconds(), bytes = buffers.copyPart(threadNumber());
            best.bytesPerSecond = std::max(best.bytesPerSecond, bytes / (threadSeconds() - start));
        }
#pragma omp critical
        {
            sum.flopsPerSecond += best.flopsPerSecond;
            sum.bytesPerSecond += best.bytesPerSecond;
        }
    }
    return sum;
}

}  // namespace pewter::profile
