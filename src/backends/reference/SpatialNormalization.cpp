#include <cmath>

#include "backends/reference/Reference.h"
#include "backends/reference/WindowTap.h"

namespace pewter::reference {

namespace {

template <class Op>
double baseOf(const Op& op, const Values& src, std::int64_t n, std::int64_t y, std::int64_t x,
              std::int64_t c) {
    double sum = 0;
    forEachTap(op.window, src, y, x, [&](const WindowTap& tap) {
        const double value = tap.read(src, n, c);
        sum += value * value;
    });
    return op.delta + op.alpha / static_cast<double>(op.window.width * op.window.height) * sum;
}

}  // namespace

void Reference::run(const ops::SpatialNormalizationForward& op, ops::Stream&) {
    const Values src(op.src);
    Values dst = Values::zerosLike(op.dst);
    for (std::int64_t n = 0; n < dst.n; ++n)
        for (std::int64_t y = 0; y < dst.h; ++y)
            for (std::int64_t x = 0; x < dst.w; ++x)
                for (std::int64_t c = 0; c < dst.c; ++c)
                    dst.at(n, y, x, c) = WindowTap::centre(op.window, src, y, x).read(src, n, c) *
                                         std::pow(baseOf(op, src, n, y, x, c), -op.beta);
    dst.writeTo(op.dst);
}

void Reference::run(const ops::SpatialNormalizationGradient& op, ops::Stream&) {
    const Values src(op.src), diffDst(op.diffDst);
    Values diffSrc = Values::zerosLike(op.diffSrc);
    const double factor = -2 * op.alpha * op.beta / static_cast<double>(op.window.width * op.window.height);
    for (std::int64_t n = 0; n < diffDst.n; ++n)
        for (std::int64_t y = 0; y < diffDst.h; ++y)
            for (std::int64_t x = 0; x < diffDst.w; ++x)
                for (std::int64_t c = 0; c < diffDst.c; ++c) {
                    const auto centre = WindowTap::centre(op.window, src, y, x);
                    const double base = baseOf(op, src, n, y, x, c), g = diffDst.at(n, y, x, c);
                    if (centre.isInside())
                        diffSrc.at(n, centre.v, centre.u, c) += g * std::pow(base, -op.beta);
                    // By the base: dT / d(tap) is 2 alpha / N times what the tap reads.
                    const double share = factor * g * centre.read(src, n, c) * std::pow(base, -op.beta - 1);
                    forEachTap(op.window, src, y, x, [&](const WindowTap& tap) {
                        if (tap.isInside()) diffSrc.at(n, tap.v, tap.u, c) += share * tap.read(src, n, c);
                    });
                }
    diffSrc.writeTo(op.diffSrc);
}

}  // namespace pewter::reference
