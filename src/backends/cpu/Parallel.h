#pragma once

#include <algorithm>
#include <cstdint>

#ifdef _OPENMP
#include <omp.h>
#endif

namespace pewter::cpu {

/// Threads that one operation may use. 1 in a build without OpenMP.
inline int maxThreads() {
#ifdef _OPENMP
    return omp_get_max_threads();
#else
    return 1;
#endif
}

/// Calls fn(from, to) on disjoint ranges that cover [begin, end), one range a thread, none shorter than
/// `grain` unless it is the only one. The cut depends on the number of threads alone, so that results repeat
/// bit for bit. fn must not throw.
template <typename Fn>
void parallelFor(std::int64_t begin, std::int64_t end, std::int64_t grain, Fn&& fn) {
    const std::int64_t count = end - begin;
    if (count <= 0) return;
#ifdef _OPENMP
    const std::int64_t parts = std::min<std::int64_t>(
        maxThreads(), std::max<std::int64_t>(1, count / std::max<std::int64_t>(1, grain)));
    if (parts > 1 && !omp_in_parallel()) {
#pragma omp parallel
        {
            // Always the whole team, as oneDNN does: changing its size makes the runtime end and start
            // threads. It may also be smaller than asked for, hence the walk over the parts.
            for (std::int64_t part = omp_get_thread_num(); part < parts; part += omp_get_num_threads())
                fn(begin + count * part / parts, begin + count * (part + 1) / parts);
        }
        return;
    }
#endif
    fn(begin, end);
}

/// Elements that one thread should at least have before a second one pays (a fork costs a few microseconds).
constexpr std::int64_t kElementGrain = 8192;

}  // namespace pewter::cpu
