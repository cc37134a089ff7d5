#include <algorithm>
#include <cmath>

#include "backends/reference/Elements.h"
#include "backends/reference/Reference.h"

namespace pewter::reference {

namespace {

/// The tap that wins a window of max pooling: its value and the source position it read, -1 for the zeros
/// outside.
struct Winner {
    double value = 0;
    std::int64_t v = -1, u = -1;
};

Winner winnerOf(const ops::Window& window, const Values& src, std::int64_t n, std::int64_t y, std::int64_t x,
                std::int64_t c) {
    Winner best;
    bool first = true, leaves = false;
    for (std::int64_t r = 0; r < window.height; ++r)
        for (std::int64_t q = 0; q < window.width; ++q) {
            const auto v =
                edgeIndex(y * window.strideY - window.padTop + r * window.dilationY, src.h, window.edge);
            const auto u =
                edgeIndex(x * window.strideX - window.padLeft + q * window.dilationX, src.w, window.edge);
            if (v < 0 || u < 0) {
                leaves = true;
                continue;
            }
            const double value = src.at(n, v, u, c);
            // The first NaN wins over everything and stays.
            if (first || value > best.value || (std::isnan(value) && !std::isnan(best.value)))
                best = {value, v, u};
            first = false;
        }
    // The zeros outside lose every tie.
    if (first || (leaves && best.value < 0)) return {};
    return best;
}

/// visit(v, u) for every tap that reads a pixel of the source, as often as it is read.
template <class Visit>
void forTaps(const ops::Window& window, const Values& src, std::int64_t y, std::int64_t x, Visit visit) {
    for (std::int64_t r = 0; r < window.height; ++r)
        for (std::int64_t q = 0; q < window.width; ++q) {
            const auto v =
                edgeIndex(y * window.strideY - window.padTop + r * window.dilationY, src.h, window.edge);
            const auto u =
                edgeIndex(x * window.strideX - window.padLeft + q * window.dilationX, src.w, window.edge);
            if (v >= 0 && u >= 0) visit(v, u);
        }
}

/// A window of average pooling: the pixels it covers inside the source, [top, bottom) by [left, right), and
/// its divisor.
struct Area {
    std::int64_t top, bottom, left, right;
    double divisor;
    bool isEmpty() const { return top >= bottom || left >= right; }
};

template <class Op>
Area areaOf(const Op& op, const Values& src, std::int64_t y, std::int64_t x) {
    const ops::Window& window = op.window;
    const std::int64_t top = y * window.strideY - window.padTop, bottom = top + window.height;
    const std::int64_t left = x * window.strideX - window.padLeft, right = left + window.width;
    auto overlap = [](std::int64_t from, std::int64_t to, std::int64_t extent, std::int64_t border) {
        return std::min(to, extent + border) - std::max(from, -border);
    };
    Area area{std::max<std::int64_t>(top, 0), std::min(bottom, src.h), std::max<std::int64_t>(left, 0),
              std::min(right, src.w), static_cast<double>(window.height * window.width)};
    if (window.edge == ops::Edge::Clamp)
        area.divisor = static_cast<double>(overlap(top, bottom, src.h, op.zeroPadY) *
                                           overlap(left, right, src.w, op.zeroPadX));
    return area;
}

double averageOf(const Area& area, const Values& src, std::int64_t n, std::int64_t c) {
    if (area.isEmpty()) return 0;
    double sum = 0;
    for (std::int64_t v = area.top; v < area.bottom; ++v)
        for (std::int64_t u = area.left; u < area.right; ++u) sum += src.at(n, v, u, c);
    return sum / area.divisor;
}

/// The root of the sum of squares of a window's taps.
double normOf(const ops::Window& window, const Values& src, std::int64_t n, std::int64_t y, std::int64_t x,
              std::int64_t c) {
    double sum = 0;
    forTaps(window, src, y, x, [&](std::int64_t v, std::int64_t u) {
        const double value = src.at(n, v, u, c);
        sum += value * value;
    });
    return std::sqrt(sum);
}

double resultOf(const ops::PoolingForward& op, const Values& src, std::int64_t n, std::int64_t y,
                std::int64_t x, std::int64_t c) {
    switch (op.type) {
        case ops::PoolingType::Max:
            return winnerOf(op.window, src, n, y, x, c).value;
        case ops::PoolingType::Average:
            return averageOf(areaOf(op, src, y, x), src, n, c);
        case ops::PoolingType::L2Norm:
            return normOf(op.window, src, n, y, x, c);
    }
    return 0;
}

void addMaxGradient(const ops::Window& window, const Values& src, const Values& diffDst, Values& diffSrc,
                    std::int64_t n, std::int64_t y, std::int64_t x) {
    for (std::int64_t c = 0; c < diffDst.c; ++c) {
        const Winner winner = winnerOf(window, src, n, y, x, c);
        if (winner.v >= 0) diffSrc.at(n, winner.v, winner.u, c) += diffDst.at(n, y, x, c);
    }
}

void addAverageGradient(const Area& area, const Values& diffDst, Values& diffSrc, std::int64_t n,
                        std::int64_t y, std::int64_t x) {
    for (std::int64_t v = area.top; v < area.bottom; ++v)
        for (std::int64_t u = area.left; u < area.right; ++u)
            for (std::int64_t c = 0; c < diffDst.c; ++c)
                diffSrc.at(n, v, u, c) += diffDst.at(n, y, x, c) / area.divisor;
}

void addNormGradient(const ops::Window& window, const Values& src, const Values& diffDst, Values& diffSrc,
                     std::int64_t n, std::int64_t y, std::int64_t x) {
    for (std::int64_t c = 0; c < diffDst.c; ++c) {
        const double norm = normOf(window, src, n, y, x, c);
        if (norm == 0) continue;
        forTaps(window, src, y, x, [&](std::int64_t v, std::int64_t u) {
            diffSrc.at(n, v, u, c) += diffDst.at(n, y, x, c) * src.at(n, v, u, c) / norm;
        });
    }
}

}  // namespace

void Reference::run(const ops::PoolingForward& op, ops::Stream&) {
    const Values src(op.src);
    Values dst = Values::zerosLike(op.dst);
    for (std::int64_t n = 0; n < dst.n; ++n)
        for (std::int64_t y = 0; y < dst.h; ++y)
            for (std::int64_t x = 0; x < dst.w; ++x)
                for (std::int64_t c = 0; c < dst.c; ++c) dst.at(n, y, x, c) = resultOf(op, src, n, y, x, c);
    dst.writeTo(op.dst);
}

void Reference::run(const ops::PoolingGradient& op, ops::Stream&) {
    const bool average = op.type == ops::PoolingType::Average;
    const Values diffDst(op.diffDst), src = average ? Values(0, 0, 0, 0) : Values(op.src);
    Values diffSrc = Values::zerosLike(op.diffSrc);
    for (std::int64_t n = 0; n < diffDst.n; ++n)
        for (std::int64_t y = 0; y < diffDst.h; ++y)
            for (std::int64_t x = 0; x < diffDst.w; ++x)
                if (average)
                    addAverageGradient(areaOf(op, diffSrc, y, x), diffDst, diffSrc, n, y, x);
                else if (op.type == ops::PoolingType::Max)
                    addMaxGradient(op.window, src, diffDst, diffSrc, n, y, x);
                else
                    addNormGradient(op.window, src, diffDst, diffSrc, n, y, x);
    diffSrc.writeTo(op.diffSrc);
}

}  // namespace pewter::reference
