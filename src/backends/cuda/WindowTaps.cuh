#pragma once

#include "backends/cuda/Lanes.cuh"
#include "ops/Convolution.h"

// Windows of stride and dilation 1 around every pixel, and the windows that read a pixel.

namespace pewter::PEWTER_CUDA_NAMESPACE {

/// visit(values) for every tap of the window of result pixel (p.h, p.w), values being those of the channels from p.c on.
template <class L, class Visitor>
PEWTER_DEVICE void forTaps(const ops::Window& window, const View& src, const Position& p, Visitor visit) {
    const float zeros[L::kCount] = {};
    for (std::int64_t r = 0; r < window.height; ++r) {
        const int v = edgeIndex(p.h - window.padTop + r, src.h, window.edge);
        for (std::int64_t q = 0; q < window.width; ++q) {
            const int u = edgeIndex(p.w - window.padLeft + q, src.w, window.edge);
            float x[L::kCount];
            if (v >= 0 && u >= 0) {
                L::load(src, src.offset(p.n, v, u, p.c), x);
                visit(x);
            } else {
                visit(zeros);
            }
        }
    }
}

/// What the tap that is called the window's centre reads.
template <class L>
PEWTER_DEVICE void loadCentre(const ops::Window& window, const View& src, const Position& p, float (&x)[L::kCount]) {
    const int v = edgeIndex(p.h - window.padTop + window.height / 2, src.h, window.edge);
    const int u = edgeIndex(p.w - window.padLeft + window.width / 2, src.w, window.edge);
    if (v >= 0 && u >= 0) return L::load(src, src.offset(p.n, v, u, p.c), x);
    for (int l = 0; l < L::kCount; ++l) x[l] = 0;
}

/// One axis of the windows of `taps` taps that read a pixel: results [first, end), each through taps(i) of its taps.
struct WindowReaders {
    std::int64_t low, high, pad, size;
    int first, end;

    PEWTER_DEVICE WindowReaders(int pixel, int extent, ops::Edge edge, std::int64_t padding, std::int64_t length,
                                int outputs)
        : low(pixel), high(pixel), pad(padding), size(length) {
        constexpr auto kFar = std::int64_t{1} << 60;
        // The positions that land on the pixel.
        if (edge == ops::Edge::Clamp && pixel == 0) low = -kFar;
        if (edge == ops::Edge::Clamp && pixel == extent - 1) high = kFar;
        first = within(low + pad - size + 1, outputs);
        end = within(high + pad + 1, outputs);
    }
    PEWTER_DEVICE float taps(int i) const {
        const std::int64_t from = i - pad, to = from + size - 1;
        return static_cast<float>((to < high ? to : high) - (from > low ? from : low) + 1);
    }

private:
    static PEWTER_DEVICE int within(std::int64_t i, int outputs) {
        return i < 0 ? 0 : i < outputs ? static_cast<int>(i) : outputs;
    }
};

/// visit(index of the window among the pixels of its results, how many of its taps read pixel p of the source).
template <class Visitor>
PEWTER_DEVICE void forReaders(const ops::Window& window, const View& src, int outH, int outW, const Position& p,
                              Visitor visit) {
    const WindowReaders rows(p.h, src.h, window.edge, window.padTop, window.height, outH);
    const WindowReaders columns(p.w, src.w, window.edge, window.padLeft, window.width, outW);
    for (int y = rows.first; y < rows.end; ++y)
        for (int x = columns.first; x < columns.end; ++x)
            visit((std::int64_t{1} * p.n * outH + y) * outW + x, rows.taps(y) * columns.taps(x));
}

/// The window that is its centre alone: forReaders() with it visits the windows whose centre reads a pixel.
inline ops::Window centreOf(ops::Window window) {
    window.padTop -= window.height / 2, window.padLeft -= window.width / 2;
    window.height = window.width = 1;
    return window;
}

}  // namespace pewter::PEWTER_CUDA_NAMESPACE
