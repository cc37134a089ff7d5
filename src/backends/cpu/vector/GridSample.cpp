#include "backends/cpu/vector/GridSample.h"

#include "backends/cpu/vector/Math.h"

namespace pewter::cpu::PEWTER_ISA {
namespace {

/// Two taps of an axis; an index of -1 reads 0.
struct Taps {
    std::int64_t index[2];
    float weight[2];
};

/// position is a number.
PEWTER_INLINE Taps tapsOf(double position, std::int64_t extent, bool clamp) {
    // Beyond these bounds nothing changes any more, and the index stays a whole number.
    const double least = clamp ? 0 : -2, most = static_cast<double>(clamp ? extent - 1 : extent + 1);
    const double near = position < least ? least : position > most ? most : position;
    auto low = static_cast<std::int64_t>(near);
    if (static_cast<double>(low) > near) --low;
    const double fraction = near - static_cast<double>(low);
    std::int64_t high = low + 1;
    if (clamp)
        high = high < extent ? high : low;
    else {
        high = high >= 0 && high < extent ? high : -1;
        low = low >= 0 && low < extent ? low : -1;
    }
    return {{low, high}, {static_cast<float>(1 - fraction), static_cast<float>(fraction)}};
}

/// A pixel from its four neighbours; Channels is 0 for any number.
template <int Channels>
void sample(const float* const* pixels, const float* weights, float* dst, std::int64_t channels) {
    const std::int64_t count = Channels > 0 ? Channels : channels;
    const float *a = pixels[0], *b = pixels[1], *c = pixels[2], *d = pixels[3];
    PEWTER_VECTORIZE
    for (std::int64_t i = 0; i < count; ++i)
        dst[i] = (weights[0] * a[i] + weights[1] * b[i]) + (weights[2] * c[i] + weights[3] * d[i]);
}

/// The same where some of them lie outside.
void sampleEdge(const float* image, const GridSamplePlan& p, const Taps& x, const Taps& y, float* dst) {
    for (std::int64_t i = 0; i < p.c; ++i) dst[i] = 0;
    for (int r = 0; r < 2; ++r)
        for (int q = 0; q < 2; ++q) {
            if (y.index[r] < 0 || x.index[q] < 0) continue;
            const float* pixel = image + (y.index[r] * p.w + x.index[q]) * p.c;
            const float weight = y.weight[r] * x.weight[q];
            for (std::int64_t i = 0; i < p.c; ++i) dst[i] += weight * pixel[i];
        }
}

template <int Channels>
void rowsOf(const GridSamplePlan& p, std::int64_t from, std::int64_t to) {
    for (std::int64_t row = from; row < to; ++row) {
        const float* image = p.src + row / p.outH * p.h * p.w * p.c;
        const float* at = p.grid + row * p.outW * 2;
        float* dst = p.dst + row * p.outW * p.c;
        const double top = p.offsetY + (p.relative ? static_cast<double>(row % p.outH) : 0);
        for (std::int64_t x = 0; x < p.outW; ++x, at += 2, dst += p.c) {
            const double u = p.offsetX + (p.relative ? static_cast<double>(x) : 0) + at[0], v = top + at[1];
            if (u != u || v != v) {
                for (std::int64_t i = 0; i < p.c; ++i) dst[i] = kNaN;
                continue;
            }
            const Taps tx = tapsOf(u, p.w, p.clamp), ty = tapsOf(v, p.h, p.clamp);
            if ((tx.index[0] | tx.index[1] | ty.index[0] | ty.index[1]) < 0) {
                sampleEdge(image, p, tx, ty, dst);
                continue;
            }
            const float *first = image + ty.index[0] * p.w * p.c, *second = image + ty.index[1] * p.w * p.c;
            const float* const pixels[4] = {first + tx.index[0] * p.c, first + tx.index[1] * p.c,
                                            second + tx.index[0] * p.c, second + tx.index[1] * p.c};
            const float weights[4] = {ty.weight[0] * tx.weight[0], ty.weight[0] * tx.weight[1],
                                      ty.weight[1] * tx.weight[0], ty.weight[1] * tx.weight[1]};
            sample<Channels>(pixels, weights, dst, p.c);
        }
    }
}

}  // namespace

void gridSampleRows(const GridSamplePlan& p, std::int64_t from, std::int64_t to) {
    switch (p.c) {
        case 1:
            return rowsOf<1>(p, from, to);
        case 2:
            return rowsOf<2>(p, from, to);
        case 3:
            return rowsOf<3>(p, from, to);
        case 4:
            return rowsOf<4>(p, from, to);
        default:
            return rowsOf<0>(p, from, to);
    }
}

}  // namespace pewter::cpu::PEWTER_ISA
