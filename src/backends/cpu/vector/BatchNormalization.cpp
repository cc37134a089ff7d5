#include "backends/cpu/vector/BatchNormalization.h"

#include "backends/cpu/vector/CopyOut.h"
#include "backends/cpu/vector/Math.h"
#include "backends/cpu/vector/Register.h"

namespace pewter::cpu::PEWTER_ISA {
namespace {

/// Elements of a row of pixels that are added side by side: whole pixels, enough to fill vectors when c is
/// small.
PEWTER_INLINE std::int64_t tileOf(std::int64_t c) { return c >= 256 ? c : 256 / c * c; }

/// Rows of a tile that a lane adds in float32 before it is emptied into a double.
constexpr std::int64_t kRows = 64;

/// Calls add(offset, lanes, length) for the rows of the block, four at a time where there are as many, and
/// empties the lanes into sums (one a channel; `step` lanes an element of sums).
template <class AddFour, class Add>
PEWTER_INLINE void tiled(std::int64_t count, std::int64_t c, float* lanes, AddFour addFour, Add add,
                         double* sums) {
    const std::int64_t tile = tileOf(c);
    for (std::int64_t at = 0; at < count;) {
        for (std::int64_t i = 0; i < tile; ++i) lanes[i] = 0.0f;
        std::int64_t row = 0;
        for (; row < kRows && count - at >= 4 * tile; row += 4, at += 4 * tile) addFour(at, tile);
        for (; row < kRows && at < count; ++row, at += tile) add(at, count - at < tile ? count - at : tile);
        for (std::int64_t i = 0; i < tile; i += c) {
            PEWTER_VECTORIZE
            for (std::int64_t k = 0; k < c; ++k) sums[k] += static_cast<double>(lanes[i + k]);
        }
    }
}

/// Calls fn(i, register or float) for all of a row, and asks for as much memory behind each `next` as four
/// rows take: little by little, for processors keep few requests at a time, and rows that are read side by
/// side are more streams than they foresee.
template <class Fn, class... Next>
PEWTER_INLINE void alongRow(std::int64_t length, Fn fn, const Next*... next) {
    constexpr std::int64_t kLine = 16, kDistance = 1024;
    // Four long rows and what is ahead of them are more than the first-level cache holds.
    const bool isShort = length <= 256;
    std::int64_t i = 0;
    for (; i + kLanes <= length; i += kLanes) {
        for (std::int64_t k = kDistance + 4 * i; k < kDistance + 4 * (i + kLanes); k += kLine)
            if (isShort)
                (__builtin_prefetch(next + k, 0, 3), ...);
            else
                (__builtin_prefetch(next + k, 0, 2), ...);
        fn(i, Vector{});
    }
    for (; i < length; ++i) fn(i, 0.0f);
}

/// Two sums at once: calls addFour(offset, length) for four rows of the run, add(offset, length) for what is
/// left over, and empties both rows of lanes into first and second.
template <class AddFour, class Add>
PEWTER_INLINE void tiledPair(std::int64_t count, std::int64_t c, float* lanes, float* others, AddFour addFour,
                             Add add, double* first, double* second) {
    const std::int64_t tile = tileOf(c);
    for (std::int64_t at = 0; at < count;) {
        for (std::int64_t i = 0; i < tile; ++i) lanes[i] = others[i] = 0.0f;
        std::int64_t row = 0;
        for (; row < kRows && count - at >= 4 * tile; row += 4, at += 4 * tile) addFour(at, tile);
        for (; row < kRows && at < count; ++row, at += tile) add(at, count - at < tile ? count - at : tile);
        for (std::int64_t i = 0; i < tile; i += c) {
            PEWTER_VECTORIZE
            for (std::int64_t k = 0; k < c; ++k) {
                first[k] += static_cast<double>(lanes[i + k]);
                second[k] += static_cast<double>(others[i + k]);
            }
        }
    }
}

/// rectifiedRun, with what there is to add to its result.
template <class... Addend>
PEWTER_INLINE void rectify(const float* src, const float* diffDst, const float* mean, const float* scale, const float* beta,
                           float slope, float* dz, std::int64_t count, const Addend*... addend) {
    constexpr std::int64_t kLine = 16;
    const auto one = [=](std::int64_t i, auto lane) PEWTER_LAMBDA {
        using V = decltype(lane);
        V x, m, s, b, g;
        loadFrom(src + i, x), loadFrom(mean + i, m), loadFrom(scale + i, s), loadFrom(beta + i, b);
        loadFrom(diffDst + i, g);
        V z = (x - m) * s + b;
        ((loadFrom(addend + i, x), z += x), ...);
        g *= z >= V{} ? V{} + 1.0f : V{} + slope;
        storeTo(dz + i, g);
    };
    std::int64_t i = 0;
    for (; i + kLine <= count; i += kLine) {
        __builtin_prefetch(src + count + i);
        __builtin_prefetch(diffDst + count + i);
        (__builtin_prefetch(addend + count + i), ...);
        for (std::int64_t k = i; k < i + kLine; k += kLanes) one(k, Vector{});
    }
    for (; i < count; ++i) one(i, 0.0f);
}

}  // namespace

void blockStatistics(const float* src, std::int64_t pixels, std::int64_t c, const float* start, double* mean,
                     double* squares, float* room) {
    const std::int64_t count = pixels * c, tile = tileOf(c);
    float* const lanes = room;
    float* const center = room + tile;
    for (std::int64_t k = 0; k < c; ++k) mean[k] = squares[k] = 0;
    tiled(
        count, c, lanes,
        [=](std::int64_t at, std::int64_t step) {
            const float *x0 = src + at, *x1 = x0 + step, *x2 = x1 + step, *x3 = x2 + step;
            PEWTER_VECTORIZE
            for (std::int64_t i = 0; i < step; ++i)
                lanes[i] +=
                    ((x0[i] - start[i]) + (x1[i] - start[i])) + ((x2[i] - start[i]) + (x3[i] - start[i]));
        },
        [=](std::int64_t at, std::int64_t length) {
            PEWTER_VECTORIZE
            for (std::int64_t i = 0; i < length; ++i) lanes[i] += src[at + i] - start[i];
        },
        mean);
    const double share = 1 / static_cast<double>(pixels);
    for (std::int64_t k = 0; k < c; ++k) {
        mean[k] = static_cast<double>(start[k]) + mean[k] * share;
        center[k] = static_cast<float>(mean[k]);
    }
    for (std::int64_t i = c; i < tile; ++i) center[i] = center[i - c];
    tiled(
        count, c, lanes,
        [=](std::int64_t at, std::int64_t step) {
            const float *x0 = src + at, *x1 = x0 + step, *x2 = x1 + step, *x3 = x2 + step;
            PEWTER_VECTORIZE
            for (std::int64_t i = 0; i < step; ++i) {
                const float m = center[i], d0 = x0[i] - m, d1 = x1[i] - m, d2 = x2[i] - m, d3 = x3[i] - m;
                lanes[i] += (d0 * d0 + d1 * d1) + (d2 * d2 + d3 * d3);
            }
        },
        [=](std::int64_t at, std::int64_t length) {
            PEWTER_VECTORIZE
            for (std::int64_t i = 0; i < length; ++i) {
                const float d = src[at + i] - center[i];
                lanes[i] += d * d;
            }
        },
        squares);
    // The deviations were taken from the mean rounded to float32.
    for (std::int64_t k = 0; k < c; ++k) {
        const double off = mean[k] - static_cast<double>(center[k]);
        const double rest = squares[k] - off * off * static_cast<double>(pixels);
        squares[k] = rest > 0 ? rest : (squares[k] != squares[k] ? squares[k] : 0);
    }
}

void shiftedStatistics(const float* src, std::int64_t pixels, std::int64_t c, const float* shift,
                       double* mean, double* squares, float* room) {
    float *const lanes = room, *const others = room + tileOf(c);
    for (std::int64_t k = 0; k < c; ++k) mean[k] = squares[k] = 0;
    tiledPair(
        pixels * c, c, lanes, others,
        [=](std::int64_t at, std::int64_t step) {
            const float *x0 = src + at, *x1 = x0 + step, *x2 = x1 + step, *x3 = x2 + step;
            alongRow(
                step,
                [=](std::int64_t i, auto lane) PEWTER_LAMBDA {
                    using V = decltype(lane);
                    V m, d0, d1, d2, d3, sum, squares;
                    loadFrom(shift + i, m);
                    loadFrom(x0 + i, d0), loadFrom(x1 + i, d1), loadFrom(x2 + i, d2), loadFrom(x3 + i, d3);
                    loadFrom(lanes + i, sum), loadFrom(others + i, squares);
                    d0 -= m, d1 -= m, d2 -= m, d3 -= m;
                    sum += (d0 + d1) + (d2 + d3);
                    squares += (d0 * d0 + d1 * d1) + (d2 * d2 + d3 * d3);
                    storeTo(lanes + i, sum), storeTo(others + i, squares);
                },
                x3 + step);
        },
        [=](std::int64_t at, std::int64_t length) {
            PEWTER_VECTORIZE
            for (std::int64_t i = 0; i < length; ++i) {
                const float d = src[at + i] - shift[i];
                lanes[i] += d;
                others[i] += d * d;
            }
        },
        mean, squares);
    const double share = 1 / static_cast<double>(pixels);
    PEWTER_VECTORIZE
    for (std::int64_t k = 0; k < c; ++k) {
        const double off = mean[k] * share, rest = squares[k] - off * mean[k];
        mean[k] = static_cast<double>(shift[k]) + off;
        // Never negative, and NaN stays.
        squares[k] = rest < 0 ? 0 : rest;
    }
}

void mergeStatistics(const double* mean, const double* squares, double pixels, double* meanBefore,
                     double* squaresBefore, double pixelsBefore, std::int64_t c) {
    const double share = pixels / (pixelsBefore + pixels), weight = pixelsBefore * share;
    PEWTER_VECTORIZE
    for (std::int64_t k = 0; k < c; ++k) {
        const double distance = mean[k] - meanBefore[k];
        meanBefore[k] += distance * share;
        squaresBefore[k] += squares[k] + distance * distance * weight;
    }
}

void normalizeRun(const float* src, const float* mean, const float* scale, const float* beta, float* dst,
                  std::int64_t count) {
    PEWTER_VECTORIZE
    for (std::int64_t i = 0; i < count; ++i) dst[i] = (src[i] - mean[i]) * scale[i] + beta[i];
}

void normalizeSumRun(const float* src, const float* addend, const float* mean, const float* scale, const float* beta,
                     float* dst, std::int64_t count) {
    PEWTER_VECTORIZE
    for (std::int64_t i = 0; i < count; ++i) dst[i] = (src[i] - mean[i]) * scale[i] + beta[i] + addend[i];
}

void normalizeRunPast(const float* src, const float* mean, const float* scale, const float* beta, float* dst,
                      std::int64_t count) {
    const std::int64_t head = unaligned(dst, count), whole = head + (count - head) / kLanes * kLanes;
    normalizeRun(src, mean, scale, beta, dst, head);
    for (std::int64_t i = head; i < whole; i += kLanes) {
        Vector x, m, s, b;
        loadFrom(src + i, x), loadFrom(mean + i, m), loadFrom(scale + i, s), loadFrom(beta + i, b);
        streamTo(dst + i, (x - m) * s + b);
    }
    normalizeRun(src + whole, mean + whole, scale + whole, beta + whole, dst + whole, count - whole);
}

void gradientSums(const float* src, const float* dz, std::int64_t pixels, std::int64_t c, const float* center,
                  double* diffBeta, double* diffGamma, float* room) {
    float *const lanes = room, *const others = room + tileOf(c);
    tiledPair(
        pixels * c, c, lanes, others,
        [=](std::int64_t at, std::int64_t step) {
            const float *g0 = dz + at, *g1 = g0 + step, *g2 = g1 + step, *g3 = g2 + step;
            const float *x0 = src + at, *x1 = x0 + step, *x2 = x1 + step, *x3 = x2 + step;
            alongRow(
                step,
                [=](std::int64_t i, auto lane) PEWTER_LAMBDA {
                    using V = decltype(lane);
                    V m, a0, a1, a2, a3, b0, b1, b2, b3, sum, products;
                    loadFrom(center + i, m);
                    loadFrom(g0 + i, a0), loadFrom(g1 + i, a1), loadFrom(g2 + i, a2), loadFrom(g3 + i, a3);
                    loadFrom(x0 + i, b0), loadFrom(x1 + i, b1), loadFrom(x2 + i, b2), loadFrom(x3 + i, b3);
                    loadFrom(lanes + i, sum), loadFrom(others + i, products);
                    sum += (a0 + a1) + (a2 + a3);
                    products += (a0 * (b0 - m) + a1 * (b1 - m)) + (a2 * (b2 - m) + a3 * (b3 - m));
                    storeTo(lanes + i, sum), storeTo(others + i, products);
                },
                g3 + step, x3 + step);
        },
        [=](std::int64_t at, std::int64_t length) {
            PEWTER_VECTORIZE
            for (std::int64_t i = 0; i < length; ++i) {
                lanes[i] += dz[at + i];
                others[i] += dz[at + i] * (src[at + i] - center[i]);
            }
        },
        diffBeta, diffGamma);
}

void normalizeGradientRun(const float* src, const float* dz, const float* mean, const float* scale,
                          const float* a, const float* b, float* diffSrc, std::int64_t count) {
    PEWTER_VECTORIZE
    for (std::int64_t i = 0; i < count; ++i)
        diffSrc[i] = scale[i] * ((dz[i] - a[i]) - (src[i] - mean[i]) * b[i]);
}

void rectifiedRun(const float* src, const float* diffDst, const float* mean, const float* scale, const float* beta,
                  float slope, float* dz, std::int64_t count) {
    rectify(src, diffDst, mean, scale, beta, slope, dz, count);
}

void rectifiedSumRun(const float* src, const float* addend, const float* diffDst, const float* mean, const float* scale,
                     const float* beta, float slope, float* dz, std::int64_t count) {
    rectify(src, diffDst, mean, scale, beta, slope, dz, count, addend);
}

void copyRunPast(const float* src, float* dst, std::int64_t count) { copyOut(src, count, true, dst); }

}  // namespace pewter::cpu::PEWTER_ISA
