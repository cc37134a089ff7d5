#pragma once

#include <MPS/Kernel.hpp>
#include <MTL/Error.hpp>
#include <initializer_list>
#include <utility>

#include "mps/core/Encoder.h"
#include "ops/Pooling.h"

namespace pewter::mps {

// What the pooling kernels and their gradients share.

inline void requirePositive(const MPS::Kernel& kernel,
                            std::initializer_list<std::pair<const char*, std::size_t>> values) {
    for (const auto& [argument, value] : values)
        if (value == 0) throw MTL::Error(kernel.name(), argument, "at least 1", "0");
}

/// Taps of a window before its centre.
inline std::int64_t half(std::size_t taps, std::size_t dilation) {
    return static_cast<std::int64_t>(((taps - 1) * dilation + 1) / 2);
}

/// The window whose pad places window 0 with its centre at the offset.
inline ops::Window windowOf(std::size_t width, std::size_t height, std::size_t strideX, std::size_t strideY,
                            std::size_t dilationX, std::size_t dilationY, const MPS::Offset& offset,
                            MPS::ImageEdgeMode edge) {
    ops::Window window;
    window.width = static_cast<std::int64_t>(width);
    window.height = static_cast<std::int64_t>(height);
    window.strideX = static_cast<std::int64_t>(strideX);
    window.strideY = static_cast<std::int64_t>(strideY);
    window.dilationX = static_cast<std::int64_t>(dilationX);
    window.dilationY = static_cast<std::int64_t>(dilationY);
    window.padLeft = half(width, dilationX) - offset.x;
    window.padTop = half(height, dilationY) - offset.y;
    window.edge = edgeOf(edge);
    return window;
}

}  // namespace pewter::mps
