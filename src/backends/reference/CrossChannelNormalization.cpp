#include <algorithm>
#include <cmath>

#include "backends/reference/Elements.h"
#include "backends/reference/Reference.h"

namespace pewter::reference {

namespace {

/// Channels [first, last] that the window of channel k covers.
struct Span {
    std::int64_t first, last;
};

Span windowOf(std::int64_t size, std::int64_t channels, std::int64_t k) {
    return {std::max<std::int64_t>(0, k - size / 2), std::min(channels - 1, k + (size - 1) / 2)};
}

template <class Op>
double baseOf(const Op& op, const double* x, std::int64_t channels, std::int64_t k) {
    const Span window = windowOf(op.kernelSize, channels, k);
    double sum = 0;
    for (std::int64_t q = window.first; q <= window.last; ++q) sum += x[q] * x[q];
    return op.delta + op.alpha / static_cast<double>(op.kernelSize) * sum;
}

}  // namespace

void Reference::run(const ops::CrossChannelNormalizationForward& op, ops::Stream&) {
    const Values src(op.src);
    Values dst = Values::zerosLike(op.dst);
    for (std::int64_t n = 0; n < dst.n; ++n)
        for (std::int64_t y = 0; y < dst.h; ++y)
            for (std::int64_t x = 0; x < dst.w; ++x) {
                const double* pixel = src.pixel(n, y, x);
                for (std::int64_t k = 0; k < dst.c; ++k)
                    dst.at(n, y, x, k) = pixel[k] * std::pow(baseOf(op, pixel, dst.c, k), -op.beta);
            }
    dst.writeTo(op.dst);
}

void Reference::run(const ops::CrossChannelNormalizationGradient& op, ops::Stream&) {
    const Values src(op.src), diffDst(op.diffDst);
    Values diffSrc = Values::zerosLike(op.diffSrc);
    const double factor = -2 * op.alpha * op.beta / static_cast<double>(op.kernelSize);
    for (std::int64_t n = 0; n < src.n; ++n)
        for (std::int64_t y = 0; y < src.h; ++y)
            for (std::int64_t x = 0; x < src.w; ++x) {
                const double* pixel = src.pixel(n, y, x);
                double* diff = diffSrc.pixel(n, y, x);
                for (std::int64_t k = 0; k < src.c; ++k) {
                    const double base = baseOf(op, pixel, src.c, k), g = diffDst.at(n, y, x, k);
                    diff[k] += g * std::pow(base, -op.beta);
                    const double share = factor * g * pixel[k] * std::pow(base, -op.beta - 1);
                    const Span window = windowOf(op.kernelSize, src.c, k);
                    for (std::int64_t q = window.first; q <= window.last; ++q) diff[q] += share * pixel[q];
                }
            }
    diffSrc.writeTo(op.diffSrc);
}

}  // namespace pewter::reference
