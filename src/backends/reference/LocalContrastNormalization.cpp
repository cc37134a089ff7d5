#include <cmath>

#include "backends/reference/Reference.h"
#include "backends/reference/WindowTap.h"

namespace pewter::reference {

namespace {

/// One window: its mean, its base T, and the distance of what its centre reads from p0 times the mean.
struct Contrast {
    double mean = 0, base = 0, distance = 0;
    WindowTap centre;

    template <class Op>
    Contrast(const Op& op, const Values& src, std::int64_t n, std::int64_t y, std::int64_t x, std::int64_t c)
        : centre(WindowTap::centre(op.window, src, y, x)) {
        const double area = static_cast<double>(op.window.width * op.window.height);
        forEachTap(op.window, src, y, x, [&](const WindowTap& tap) { mean += tap.read(src, n, c) / area; });
        double variance = 0;
        forEachTap(op.window, src, y, x, [&](const WindowTap& tap) {
            const double deviation = tap.read(src, n, c) - mean;
            variance += deviation * deviation / area;
        });
        base = op.delta + op.alpha * variance;
        distance = centre.read(src, n, c) - op.p0 * mean;
    }
};

}  // namespace

void Reference::run(const ops::LocalContrastNormalizationForward& op, ops::Stream&) {
    const Values src(op.src);
    Values dst = Values::zerosLike(op.dst);
    for (std::int64_t n = 0; n < dst.n; ++n)
        for (std::int64_t y = 0; y < dst.h; ++y)
            for (std::int64_t x = 0; x < dst.w; ++x)
                for (std::int64_t c = 0; c < dst.c; ++c) {
                    const Contrast window(op, src, n, y, x, c);
                    dst.at(n, y, x, c) = op.pm + op.ps * window.distance * std::pow(window.base, -op.beta);
                }
    dst.writeTo(op.dst);
}

void Reference::run(const ops::LocalContrastNormalizationGradient& op, ops::Stream&) {
    const Values src(op.src), diffDst(op.diffDst);
    Values diffSrc = Values::zerosLike(op.diffSrc);
    const double area = static_cast<double>(op.window.width * op.window.height);
    for (std::int64_t n = 0; n < diffDst.n; ++n)
        for (std::int64_t y = 0; y < diffDst.h; ++y)
            for (std::int64_t x = 0; x < diffDst.w; ++x)
                for (std::int64_t c = 0; c < diffDst.c; ++c) {
                    const Contrast window(op, src, n, y, x, c);
                    const double g = op.ps * diffDst.at(n, y, x, c);
                    const double byCentre = g * std::pow(window.base, -op.beta);
                    const double byMean = -op.p0 / area * byCentre;
                    // dV / d(tap) = 2 (tap - M) / N: what M itself changes adds up to 0.
                    const double byBase = -2 * op.alpha * op.beta / area * g * window.distance *
                                          std::pow(window.base, -op.beta - 1);
                    if (window.centre.isInside())
                        diffSrc.at(n, window.centre.v, window.centre.u, c) += byCentre;
                    forEachTap(op.window, src, y, x, [&](const WindowTap& tap) {
                        if (tap.isInside())
                            diffSrc.at(n, tap.v, tap.u, c) +=
                                byMean + byBase * (tap.read(src, n, c) - window.mean);
                    });
                }
    diffSrc.writeTo(op.diffSrc);
}

}  // namespace pewter::reference
