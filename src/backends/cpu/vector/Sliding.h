#pragma once

#include <cstdint>

#include "backends/cpu/vector/Math.h"

namespace pewter::cpu::PEWTER_ISA {
namespace {

template <int Taps, class T>
PEWTER_INLINE void slideFew(const T* values, std::int64_t step, std::int64_t count, T* sums) {
    PEWTER_VECTORIZE
    for (std::int64_t i = 0; i < count; ++i) {
        T sum = values[i];
        for (int t = 1; t < Taps; ++t) sum += values[i + t * step];
        sums[i] = sum;
    }
}

/// sums[i] = sum over t < taps of values[i + t * step], i < count; sums is other memory than values, which
/// holds count + (taps - 1) * step elements and is used up. Many taps are put together of sums over 1, 2, 4
/// ... of them, each made of two of the last: as many additions as taps has binary digits, and at most twice.
template <class T>
PEWTER_INLINE void slide(T* values, std::int64_t taps, std::int64_t step, std::int64_t count, T* sums) {
    switch (taps) {
        case 1:
            return slideFew<1>(values, step, count, sums);
        case 2:
            return slideFew<2>(values, step, count, sums);
        case 3:
            return slideFew<3>(values, step, count, sums);
        case 4:
            return slideFew<4>(values, step, count, sums);
        case 5:
            return slideFew<5>(values, step, count, sums);
        case 6:
            return slideFew<6>(values, step, count, sums);
        case 7:
            return slideFew<7>(values, step, count, sums);
        case 8:
            return slideFew<8>(values, step, count, sums);
        case 9:
            return slideFew<9>(values, step, count, sums);
        case 10:
            return slideFew<10>(values, step, count, sums);
        case 11:
            return slideFew<11>(values, step, count, sums);
        default:
            break;
    }
    std::int64_t filled = count + (taps - 1) * step, from = 0;
    bool first = true;
    for (std::int64_t length = 1; length <= taps; length *= 2) {
        if (taps & length) {
            const T* part = values + from * step;
            if (first) {
                PEWTER_VECTORIZE
                for (std::int64_t i = 0; i < count; ++i) sums[i] = part[i];
            } else {
                PEWTER_VECTORIZE
                for (std::int64_t i = 0; i < count; ++i) sums[i] += part[i];
            }
            first = false;
            from += length;
        }
        if (2 * length > taps) break;
        // Each sum over 2 length taps is written over the one of `length` that begins there: nobody reads it
        // later.
        filled -= length * step;
        const T* second = values + length * step;
        PEWTER_VECTORIZE
        for (std::int64_t i = 0; i < filled; ++i) values[i] += second[i];
    }
}

}  // namespace
}  // namespace pewter::cpu::PEWTER_ISA
