#pragma once

#include "backends/cpu/vector/Pooling.h"

// What pooling and its gradient share: the sides of windows.

#ifndef PEWTER_ISA
#define PEWTER_ISA baseline
#endif

namespace pewter::cpu::PEWTER_ISA {
namespace {

inline std::int64_t smaller(std::int64_t a, std::int64_t b) { return a < b ? a : b; }
inline std::int64_t larger(std::int64_t a, std::int64_t b) { return a > b ? a : b; }

/// Taps of a window side; a side of 2 or 3 is known to the compiler.
template <int Side>
std::int64_t sideOf(std::int64_t side) {
    return Side > 0 ? Side : side;
}

/// Whether every one of `count` reads of an axis lands on a pixel.
inline bool allInside(const std::int64_t* reads, std::int64_t count) {
    std::int64_t any = 0;
    for (std::int64_t i = 0; i < count; ++i) any |= reads[i];
    return any >= 0;
}

/// The side that both sides of the window have, if it is one that the kernels are compiled for; else 0.
inline int squareSide(const PoolingPlan& p) {
    const std::int64_t side = p.window.width;
    return side == p.window.height && (side == 2 || side == 3) ? static_cast<int>(side) : 0;
}

/// A window of average pooling: what of it lies inside the source, and its divisor.
struct Area {
    std::int64_t top, bottom, left, right;
    float divisor;
    bool isEmpty() const { return top >= bottom || left >= right; }
};

inline Area areaOf(const PoolingPlan& p, std::int64_t y, std::int64_t x) {
    const ops::Window& k = p.window;
    const std::int64_t top = y * k.strideY - k.padTop, bottom = top + k.height;
    const std::int64_t left = x * k.strideX - k.padLeft, right = left + k.width;
    std::int64_t divisor = k.width * k.height;
    if (k.edge == ops::Edge::Clamp)
        divisor = (smaller(bottom, p.h + p.zeroPadY) - larger(top, -p.zeroPadY)) *
                  (smaller(right, p.w + p.zeroPadX) - larger(left, -p.zeroPadX));
    return {larger(top, 0), smaller(bottom, p.h), larger(left, 0), smaller(right, p.w),
            static_cast<float>(divisor)};
}

}  // namespace
}  // namespace pewter::cpu::PEWTER_ISA
