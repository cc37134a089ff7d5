#pragma once

#include "backends/reference/Elements.h"
#include "ops/Convolution.h"

namespace pewter::reference {

/// What a tap of a window of stride and dilation 1 reads: a source position, or -1 for a zero outside.
struct WindowTap {
    std::int64_t v, u;

    /// Tap (r, q) of the window that makes result pixel (y, x).
    WindowTap(const ops::Window& window, const Values& src, std::int64_t y, std::int64_t x, std::int64_t r,
              std::int64_t q)
        : v(edgeIndex(y - window.padTop + r, src.h, window.edge)),
          u(edgeIndex(x - window.padLeft + q, src.w, window.edge)) {}

    /// The tap that is called the window's centre.
    static WindowTap centre(const ops::Window& window, const Values& src, std::int64_t y, std::int64_t x) {
        return {window, src, y, x, window.height / 2, window.width / 2};
    }

    bool isInside() const { return v >= 0 && u >= 0; }
    double read(const Values& src, std::int64_t n, std::int64_t c) const {
        return isInside() ? src.at(n, v, u, c) : 0;
    }
};

/// visit(tap) for every tap of a window.
template <class Visitor>
void forEachTap(const ops::Window& window, const Values& src, std::int64_t y, std::int64_t x, Visitor visit) {
    for (std::int64_t r = 0; r < window.height; ++r)
        for (std::int64_t q = 0; q < window.width; ++q) visit(WindowTap(window, src, y, x, r, q));
}

}  // namespace pewter::reference
