#include "backends/cpu/vector/GridSample.h"

#include "backends/cpu/vector/Math.h"
#include "backends/cpu/vector/Register.h"

namespace pewter::cpu::PEWTER_ISA {
namespace {

std::int64_t smaller(std::int64_t a, std::int64_t b) { return a < b ? a : b; }

/// Pixels whose positions are worked out together.
constexpr std::int64_t kChunk = 64;

/// One axis of a chunk: the first of two taps, and what both weigh. A tap may lie outside under Zero.
struct Axis {
    std::int32_t low[kChunk];
    float weight[kChunk], nextWeight[kChunk];
};

/// Positions offset + step * i + grid[2 i] of an axis. Beyond `least` and `most` nothing changes any more,
/// and the index stays a whole number; what is not a number weighs NaN.
PEWTER_INLINE void placeAxis(const float* grid, double offset, double step, double least, double most,
                             std::int64_t count, Axis& axis) {
    PEWTER_VECTORIZE
    for (std::int64_t i = 0; i < count; ++i) {
        const double position = offset + step * static_cast<double>(i) + static_cast<double>(grid[2 * i]);
        double near = position > least ? position : least;
        near = near < most ? near : most;
        auto low = static_cast<std::int32_t>(near);
        low -= static_cast<double>(low) > near ? 1 : 0;
        const double fraction = position == position ? near - static_cast<double>(low) : kNaN;
        axis.low[i] = low;
        axis.weight[i] = static_cast<float>(1 - fraction);
        axis.nextWeight[i] = static_cast<float>(fraction);
    }
}

/// Number of channels for kernels that know none.
constexpr int kAny = 0;
/// Whole registers of channels, whose results lie at whole registers and go past the caches.
constexpr int kStreamed = -1;

/// A pixel from its four neighbours; Channels is their number, kAny or kStreamed.
template <int Channels>
PEWTER_INLINE void sample(const float* a, const float* b, const float* c, const float* d, float wa, float wb,
                          float wc, float wd, float* dst, std::int64_t channels) {
    if constexpr (Channels > 0) {
        for (int i = 0; i < Channels; ++i) dst[i] = (wa * a[i] + wb * b[i]) + (wc * c[i] + wd * d[i]);
        return;
    }
    std::int64_t i = 0;
    for (; i + kLanes <= channels; i += kLanes) {
        Vector va, vb, vc, vd;
        loadFrom(a + i, va);
        loadFrom(b + i, vb);
        loadFrom(c + i, vc);
        loadFrom(d + i, vd);
        const Vector mean = (wa * va + wb * vb) + (wc * vc + wd * vd);
        if (Channels == kStreamed)
            streamTo(dst + i, mean);
        else
            storeTo(dst + i, mean);
    }
    for (; i < channels; ++i) dst[i] = (wa * a[i] + wb * b[i]) + (wc * c[i] + wd * d[i]);
}

using Four = float __attribute__((vector_size(16)));

/// Three channels as four: reads and writes one float more.
PEWTER_INLINE void sampleThree(const float* a, const float* b, const float* c, const float* d, float wa,
                               float wb, float wc, float wd, float* dst) {
    Four va, vb, vc, vd;
    loadFrom(a, va);
    loadFrom(b, vb);
    loadFrom(c, vc);
    loadFrom(d, vd);
    storeTo(dst, Four((wa * va + wb * vb) + (wc * vc + wd * vd)));
}

/// Pixel i of a chunk where taps may lie outside: those are left out under Zero.
[[gnu::noinline]] void sampleEdge(const GridSamplePlan& p, const float* image, const Axis& x, const Axis& y,
                                  std::int64_t i, float* dst) {
    const float wx[2] = {x.weight[i], x.nextWeight[i]}, wy[2] = {y.weight[i], y.nextWeight[i]};
    const bool isPosition = wx[0] == wx[0] && wy[0] == wy[0];
    for (std::int64_t k = 0; k < p.c; ++k) dst[k] = isPosition ? 0.0f : kNaN;
    if (!isPosition) return;
    for (std::int64_t r = 0; r < 2; ++r)
        for (std::int64_t q = 0; q < 2; ++q) {
            std::int64_t v = y.low[i] + r, u = x.low[i] + q;
            if (p.clamp) {
                v = smaller(v, p.h - 1);
                u = smaller(u, p.w - 1);
            }
            if (v < 0 || u < 0 || v >= p.h || u >= p.w) continue;
            const float* pixel = image + (v * p.w + u) * p.c;
            const float weight = wy[r] * wx[q];
            for (std::int64_t k = 0; k < p.c; ++k) dst[k] += weight * pixel[k];
        }
}

template <int Channels>
void chunkOf(const GridSamplePlan& p, const float* image, const Axis& x, const Axis& y, float* dst,
             std::int64_t count) {
    const std::int64_t c = Channels > 0 ? Channels : p.c, row = p.w * c;
    // Taps 0 and 1 lie inside where the first is less than this.
    const auto lastX = static_cast<std::uint32_t>(p.w - 1), lastY = static_cast<std::uint32_t>(p.h - 1);
    for (std::int64_t i = 0; i < count; ++i, dst += c) {
        const std::int64_t u = x.low[i], v = y.low[i];
        if (static_cast<std::uint32_t>(u) >= lastX || static_cast<std::uint32_t>(v) >= lastY) {
            sampleEdge(p, image, x, y, i, dst);
            continue;
        }
        const float* a = image + v * row + u * c;
        const float *b = a + c, *e = a + row, *f = e + c;
        const float wa = y.weight[i] * x.weight[i], wb = y.weight[i] * x.nextWeight[i];
        const float we = y.nextWeight[i] * x.weight[i], wf = y.nextWeight[i] * x.nextWeight[i];
        if constexpr (Channels == 3) {
            // The float behind is the next pixel's, which is there and is written later.
            if (i + 1 < count && (u + 2 < p.w || v + 2 < p.h)) {
                sampleThree(a, b, e, f, wa, wb, we, wf, dst);
                continue;
            }
        }
        sample<Channels>(a, b, e, f, wa, wb, we, wf, dst, c);
    }
}

template <int Channels>
void rowsOf(const GridSamplePlan& p, std::int64_t from, std::int64_t to) {
    const double step = p.relative ? 1 : 0, least = p.clamp ? 0 : -2;
    const double mostX = static_cast<double>(p.clamp ? p.w - 1 : p.w + 1);
    const double mostY = static_cast<double>(p.clamp ? p.h - 1 : p.h + 1);
    Axis x, y;
    for (std::int64_t row = from; row < to; ++row) {
        const float* image = p.src + row / p.outH * p.h * p.w * p.c;
        const float* grid = p.grid + row * p.outW * 2;
        float* dst = p.dst + row * p.outW * p.c;
        const double top = p.offsetY + step * static_cast<double>(row % p.outH);
        for (std::int64_t first = 0; first < p.outW; first += kChunk) {
            const std::int64_t count = p.outW - first < kChunk ? p.outW - first : kChunk;
            placeAxis(grid + 2 * first, p.offsetX + step * static_cast<double>(first), step, least, mostX,
                      count, x);
            placeAxis(grid + 2 * first + 1, top, 0, least, mostY, count, y);
            chunkOf<Channels>(p, image, x, y, dst + first * p.c, count);
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
            if (!p.streaming || p.c % kLanes != 0 || unaligned(p.dst, kLanes) != 0)
                return rowsOf<kAny>(p, from, to);
            rowsOf<kStreamed>(p, from, to);
            return streamEnd();
    }
}

}  // namespace pewter::cpu::PEWTER_ISA
