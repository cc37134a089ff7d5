#include "backends/cpu/vector/GridSample.h"

#include "backends/cpu/vector/CopyOut.h"
#include "backends/cpu/vector/Math.h"

namespace pewter::cpu::PEWTER_ISA {
namespace {

std::int64_t smaller(std::int64_t a, std::int64_t b) { return a < b ? a : b; }

/// Pixels whose positions are worked out together.
constexpr std::int64_t kChunk = 64;

/// One axis of a chunk: the first of two taps, and what both weigh. A tap may lie outside under Zero.
struct Axis {
    alignas(64) std::int32_t low[kChunk];
    alignas(64) float weight[kChunk], nextWeight[kChunk];
};

/// Positions offset + step * i + grid[i] of an axis. Beyond `least` and `most` nothing changes any more,
/// and the index stays a whole number; what is not a number weighs NaN.
PEWTER_INLINE void placeAxis(const float* grid, double offset, double step, double least, double most,
                             std::int64_t count, Axis& axis) {
    PEWTER_VECTORIZE
    for (std::int64_t i = 0; i < count; ++i) {
        const double position = offset + step * static_cast<double>(i) + static_cast<double>(grid[i]);
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

/// The same where offset and step are whole numbers: the fraction and what it lacks of 1 are those of the grid's value, each
/// rounded once.
#if defined(__AVX512F__)
PEWTER_INLINE void placeWholeAxis(const float* grid, std::int32_t offset, std::int32_t step, std::int32_t least,
                                  std::int32_t most, std::int64_t count, Axis& axis) {
    const __m512 far = _mm512_set1_ps(0x1p23f), one = _mm512_set1_ps(1.0f), none = _mm512_set1_ps(kNaN);
    const __m512i lowest = _mm512_set1_epi32(least), highest = _mm512_set1_epi32(most),
                  extent = _mm512_set1_epi32(most - least), ahead = _mm512_set1_epi32(16 * step);
    __m512i base = _mm512_add_epi32(
        _mm512_set1_epi32(offset),
        _mm512_mullo_epi32(_mm512_set1_epi32(step),
                           _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0)));
    // Whole registers: what is behind the last pixel is nobody's.
    for (std::int64_t i = 0; i < count; i += 16) {
        const __m512 value = _mm512_load_ps(grid + i);
        // The second operand where the first is not a number.
        const __m512 bounded = _mm512_maskz_min_ps(0xffff, _mm512_maskz_max_ps(0xffff, value, -far), far);
        const __m512 below =
            _mm512_maskz_roundscale_ps(0xffff, bounded, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC);
        const __m512i low = _mm512_add_epi32(base, _mm512_maskz_cvtps_epi32(0xffff, below));
        const __mmask16 within = _mm512_cmplt_epu32_mask(_mm512_sub_epi32(low, lowest), extent);
        const __mmask16 unknown = _mm512_cmp_ps_mask(value, value, _CMP_UNORD_Q);
        const __m512 weight = _mm512_mask_sub_ps(one, within, _mm512_add_ps(below, one), bounded);
        const __m512 next = _mm512_maskz_sub_ps(within, bounded, below);
        _mm512_store_si512(axis.low + i, _mm512_maskz_min_epi32(0xffff, _mm512_maskz_max_epi32(0xffff, low, lowest),
                                                                highest));
        _mm512_store_ps(axis.weight + i, _mm512_mask_mov_ps(weight, unknown, none));
        _mm512_store_ps(axis.nextWeight + i, _mm512_mask_mov_ps(next, unknown, none));
        base = _mm512_add_epi32(base, ahead);
    }
}
#else
PEWTER_INLINE void placeWholeAxis(const float* grid, std::int32_t offset, std::int32_t step, std::int32_t least,
                                  std::int32_t most, std::int64_t count, Axis& axis) {
    PEWTER_VECTORIZE
    for (std::int64_t i = 0; i < count; ++i) {
        const float value = grid[i];
        float bounded = value > -0x1p23f ? value : -0x1p23f;
        bounded = bounded < 0x1p23f ? bounded : 0x1p23f;
        std::int32_t whole = static_cast<std::int32_t>(bounded);
        whole -= static_cast<float>(whole) > bounded ? 1 : 0;
        const float below = static_cast<float>(whole);
        const std::int32_t low = offset + step * static_cast<std::int32_t>(i) + whole;
        const bool beyond = low < least || low >= most;
        axis.low[i] = low < least ? least : (low > most ? most : low);
        axis.weight[i] = value == value ? (beyond ? 1.0f : (below + 1.0f) - bounded) : kNaN;
        axis.nextWeight[i] = value == value ? (beyond ? 0.0f : bounded - below) : kNaN;
    }
}
#endif

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

/// What the four taps of a chunk's pixels weigh, and where the first of them is: its number as a pixel. Pixels of which a
/// tap may lie outside are not `inside`; one whose last tap is the last of the image is not either for three channels:
/// there two floats behind it are read.
template <bool Three>
struct Taps {
    alignas(64) std::int32_t first[kChunk], inside[kChunk];
    float weights[Three ? 1 : 4][kChunk];
    std::int32_t outside;  ///< pixels that are not inside

    PEWTER_INLINE Taps(const GridSamplePlan& p, const Axis& x, const Axis& y, std::int64_t count) {
        const auto w = static_cast<std::int32_t>(p.w);
        const auto lastX = static_cast<std::uint32_t>(p.w - 1), lastY = static_cast<std::uint32_t>(p.h - 1);
        const std::int32_t end = Three ? static_cast<std::int32_t>((p.h - 1) * p.w - 2) : 0x7fffffff;
        std::int32_t all = 0;
        PEWTER_VECTORIZE
        for (std::int64_t i = 0; i < count; ++i) {
            const std::int32_t u = x.low[i], v = y.low[i], at = v * w + u;
            first[i] = at;
            const std::int32_t in = (static_cast<std::uint32_t>(u) < lastX ? 1 : 0) &
                                    (static_cast<std::uint32_t>(v) < lastY ? 1 : 0) & (at != end ? 1 : 0);
            inside[i] = in;
            all += in;
            if constexpr (Three) continue;
            weights[0][i] = y.weight[i] * x.weight[i];
            weights[1][i] = y.weight[i] * x.nextWeight[i];
            weights[2][i] = y.nextWeight[i] * x.weight[i];
            weights[3][i] = y.nextWeight[i] * x.nextWeight[i];
        }
        outside = static_cast<std::int32_t>(count) - all;
    }
};

using Eight = float __attribute__((vector_size(32)));
using EightPlaces = std::int32_t __attribute__((vector_size(32)));

/// Three channels of pixel i: both rows of a pair of pixels are mixed, then the pixels. Reads two floats more than it needs
/// of a row; writes one more where that is of the next pixel, which is written later.
PEWTER_INLINE void sampleThree(const float* a, std::int64_t row, const Axis& x, const Axis& y, std::int64_t i, bool hasNext,
                               float* dst) {
    Eight top, bottom;
    loadFrom(a, top);
    loadFrom(a + row, bottom);
    const Eight pair = y.weight[i] * top + y.nextWeight[i] * bottom;
    const Eight next = __builtin_shuffle(pair, EightPlaces{3, 4, 5, 6, 7, 7, 7, 7});
    const Eight mean = x.weight[i] * pair + x.nextWeight[i] * next;
    if (hasNext)
        __builtin_memcpy(dst, &mean, 4 * sizeof(float));
    else
        __builtin_memcpy(dst, &mean, 3 * sizeof(float));
}

/// Asks for the lines of four taps: where the next pixels lie is nothing that the processor could foresee.
PEWTER_INLINE void ask(const float* tap, std::int64_t row, std::int64_t c) {
    constexpr std::int64_t kLine = 16;
    for (std::int64_t i = 0; i < 2 * c; i += kLine) {
        __builtin_prefetch(tap + i);
        __builtin_prefetch(tap + row + i);
    }
}

/// Asks for what the next rows of the result will read, where they read as far from it as these pixels do: its first
/// readers come in no order that the processor would take for a stream.
void askBelow(const GridSamplePlan& p, const float* image, const Axis& x, const Axis& y, std::int64_t count) {
    constexpr std::int64_t kLine = 16, kRows = 2;
    std::int32_t most = y.low[0];
    PEWTER_VECTORIZE
    for (std::int64_t i = 1; i < count; ++i) most = most > y.low[i] ? most : y.low[i];
    const std::int64_t row = most + 1 + kRows, first = x.low[0];
    if (row < 0 || row >= p.h || first < 0 || first + count > p.w) return;
    const float* from = image + (row * p.w + first) * p.c;
    for (std::int64_t i = 0; i < count * p.c; i += kLine) __builtin_prefetch(from + i, 0, 2);
}

template <int Channels>
void chunkOf(const GridSamplePlan& p, const float* image, const Axis& x, const Axis& y, float* dst,
             std::int64_t count) {
    constexpr std::int64_t kAhead = 6;
    const std::int64_t c = Channels > 0 ? Channels : p.c, row = p.w * c;
    const Taps<Channels == 3> taps(p, x, y, count);
    if (Channels > 0) askBelow(p, image, x, y, count);
    const auto pixel = [&](std::int64_t i, float* to) PEWTER_LAMBDA {
        const float* a = image + taps.first[i] * c;
        if constexpr (Channels == 3) return sampleThree(a, row, x, y, i, i + 1 < count, to);
        if constexpr (Channels <= 0) {
            if (i + kAhead < count && taps.inside[i + kAhead]) ask(image + taps.first[i + kAhead] * c, row, c);
        }
        sample<Channels>(a, a + c, a + row, a + row + c, taps.weights[0][i], taps.weights[1][i], taps.weights[2][i],
                         taps.weights[3][i], to, c);
    };
    if (taps.outside == 0) {
        for (std::int64_t i = 0; i + 1 < count; ++i) pixel(i, dst + i * c);
        pixel(count - 1, dst + (count - 1) * c);
        return;
    }
    for (std::int64_t i = 0; i < count; ++i) {
        if (taps.inside[i])
            pixel(i, dst + i * c);
        else
            sampleEdge(p, image, x, y, i, dst + i * c);
    }
}

template <int Channels>
void rowsOf(const GridSamplePlan& p, std::int64_t from, std::int64_t to) {
    const double step = p.relative ? 1 : 0, least = p.clamp ? 0 : -2;
    const double mostX = static_cast<double>(p.clamp ? p.w - 1 : p.w + 1);
    const double mostY = static_cast<double>(p.clamp ? p.h - 1 : p.h + 1);
    // Far from what 32 bits hold, with any value of the grid.
    const auto isWhole = [](double offset) PEWTER_LAMBDA {
        return offset > -0x1p24 && offset < 0x1p24 && static_cast<double>(static_cast<std::int32_t>(offset)) == offset;
    };
    const bool whole = isWhole(p.offsetX) && isWhole(p.offsetY) && p.w < (1 << 24) && p.h < (1 << 24) &&
                       p.outW < (1 << 24) && p.outH < (1 << 24);
    // A chunk's results where they are to leave the caches.
    float buffer[kChunk * (Channels > 0 ? Channels : 1)];
    const bool buffered = Channels > 0 && p.streaming;
    Axis x, y;
    alignas(64) float gridX[kChunk], gridY[kChunk];
    for (std::int64_t row = from; row < to; ++row) {
        const float* image = p.src + row / p.outH * p.h * p.w * p.c;
        const float* grid = p.grid + row * p.outW * 2;
        float* dst = p.dst + row * p.outW * p.c;
        const double top = p.offsetY + step * static_cast<double>(row % p.outH);
        for (std::int64_t first = 0; first < p.outW; first += kChunk) {
            const std::int64_t count = p.outW - first < kChunk ? p.outW - first : kChunk;
            float* const place = dst + first * p.c;
            float* const to = buffered ? buffer : place;
            for (std::int64_t i = 0; i < count; ++i) {
                gridX[i] = grid[2 * (first + i)];
                gridY[i] = grid[2 * (first + i) + 1];
            }
            if (whole) {
                const auto low = static_cast<std::int32_t>(least), step32 = static_cast<std::int32_t>(step);
                placeWholeAxis(gridX,
                               static_cast<std::int32_t>(p.offsetX) + step32 * static_cast<std::int32_t>(first),
                               step32, low, static_cast<std::int32_t>(mostX), count, x);
                placeWholeAxis(gridY, static_cast<std::int32_t>(top), 0, low,
                               static_cast<std::int32_t>(mostY), count, y);
            } else {
                placeAxis(gridX, p.offsetX + step * static_cast<double>(first), step, least, mostX,
                          count, x);
                placeAxis(gridY, top, 0, least, mostY, count, y);
            }
            chunkOf<Channels>(p, image, x, y, to, count);
            if (buffered) copyOut(buffer, count * Channels, true, place);
        }
    }
}

}  // namespace

void gridSampleRows(const GridSamplePlan& p, std::int64_t from, std::int64_t to) {
    switch (p.c) {
        case 1:
            rowsOf<1>(p, from, to);
            break;
        case 2:
            rowsOf<2>(p, from, to);
            break;
        case 3:
            rowsOf<3>(p, from, to);
            break;
        case 4:
            rowsOf<4>(p, from, to);
            break;
        default:
            if (!p.streaming || p.c % kLanes != 0 || unaligned(p.dst, kLanes) != 0)
                rowsOf<kAny>(p, from, to);
            else
                rowsOf<kStreamed>(p, from, to);
    }
    if (p.streaming) streamEnd();
}

}  // namespace pewter::cpu::PEWTER_ISA
