#include "backends/cpu/vector/GroupNormalization.h"

#include "backends/cpu/vector/Math.h"

namespace pewter::cpu::PEWTER_ISA {
namespace {

/// Elements of a row of pixels that are added side by side: whole pixels, enough to fill vectors when c is
/// small.
PEWTER_INLINE std::int64_t tileOf(std::int64_t c) { return c >= 256 ? c : 256 / c * c; }

/// Rows of a tile that a lane adds in float32 before it is emptied into a double.
constexpr std::int64_t kRows = 64;

/// Asks for the next `length` elements: rows that are read side by side are more streams than processors
/// foresee.
PEWTER_INLINE void ahead(const float* next, std::int64_t length) {
    constexpr std::int64_t kLine = 16;
    for (std::int64_t i = 0; i < length; i += kLine) __builtin_prefetch(next + i, 0, 2);
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

}  // namespace

void shiftedSums(const float* src, std::int64_t pixels, std::int64_t c, const float* shift, double* sum,
                 double* squares, float* room) {
    float *const lanes = room, *const others = room + tileOf(c);
    for (std::int64_t k = 0; k < c; ++k) sum[k] = squares[k] = 0;
    tiledPair(
        pixels * c, c, lanes, others,
        [=](std::int64_t at, std::int64_t step) {
            const float *x0 = src + at, *x1 = x0 + step, *x2 = x1 + step, *x3 = x2 + step;
            ahead(x3 + step, 4 * step);
            PEWTER_VECTORIZE
            for (std::int64_t i = 0; i < step; ++i) {
                const float m = shift[i], d0 = x0[i] - m, d1 = x1[i] - m, d2 = x2[i] - m, d3 = x3[i] - m;
                lanes[i] += (d0 + d1) + (d2 + d3);
                others[i] += (d0 * d0 + d1 * d1) + (d2 * d2 + d3 * d3);
            }
        },
        [=](std::int64_t at, std::int64_t length) {
            PEWTER_VECTORIZE
            for (std::int64_t i = 0; i < length; ++i) {
                const float d = src[at + i] - shift[i];
                lanes[i] += d;
                others[i] += d * d;
            }
        },
        sum, squares);
}

void shiftedStatistics(const float* shift, double pixels, double* sum, double* squares, std::int64_t c) {
    const double share = 1 / pixels;
    PEWTER_VECTORIZE
    for (std::int64_t k = 0; k < c; ++k) {
        const double off = sum[k] * share, rest = squares[k] - off * sum[k];
        sum[k] = static_cast<double>(shift[k]) + off;
        // Never negative, and NaN stays.
        squares[k] = rest < 0 ? 0 : rest;
    }
}

void productSums(const float* src, const float* diffDst, std::int64_t pixels, std::int64_t c,
                 const float* center, double* diffBeta, double* diffGamma, float* room) {
    float *const lanes = room, *const others = room + tileOf(c);
    tiledPair(
        pixels * c, c, lanes, others,
        [=](std::int64_t at, std::int64_t step) {
            const float *g0 = diffDst + at, *g1 = g0 + step, *g2 = g1 + step, *g3 = g2 + step;
            const float *x0 = src + at, *x1 = x0 + step, *x2 = x1 + step, *x3 = x2 + step;
            ahead(g3 + step, 4 * step);
            ahead(x3 + step, 4 * step);
            PEWTER_VECTORIZE
            for (std::int64_t i = 0; i < step; ++i) {
                const float m = center[i];
                lanes[i] += (g0[i] + g1[i]) + (g2[i] + g3[i]);
                others[i] +=
                    (g0[i] * (x0[i] - m) + g1[i] * (x1[i] - m)) + (g2[i] * (x2[i] - m) + g3[i] * (x3[i] - m));
            }
        },
        [=](std::int64_t at, std::int64_t length) {
            PEWTER_VECTORIZE
            for (std::int64_t i = 0; i < length; ++i) {
                lanes[i] += diffDst[at + i];
                others[i] += diffDst[at + i] * (src[at + i] - center[i]);
            }
        },
        diffBeta, diffGamma);
}

void inverseDeviations(const double* squares, double share, double epsilon, double* out, std::int64_t count) {
    PEWTER_VECTORIZE
    for (std::int64_t k = 0; k < count; ++k) out[k] = 1 / __builtin_sqrt(squares[k] * share + epsilon);
}

void forwardFactors(const double* mean, const double* deviation, const float* gamma, const float* beta,
                    float* center, float* scale, float* shift, std::int64_t c) {
    PEWTER_VECTORIZE
    for (std::int64_t k = 0; k < c; ++k) {
        center[k] = static_cast<float>(mean[k]);
        const double factor = gamma ? static_cast<double>(gamma[k]) * deviation[k] : deviation[k];
        scale[k] = static_cast<float>(factor);
        const double rest = (static_cast<double>(center[k]) - mean[k]) * factor;
        shift[k] = static_cast<float>(beta ? static_cast<double>(beta[k]) + rest : rest);
    }
}

void groupGradientRun(const float* src, const float* diffDst, const float* center, const float* scale,
                      const float* deviation, const float* a, const float* b, float* diffSrc,
                      std::int64_t count) {
    PEWTER_VECTORIZE
    for (std::int64_t i = 0; i < count; ++i)
        diffSrc[i] = (scale[i] * diffDst[i] - a[i]) - ((src[i] - center[i]) * deviation[i]) * b[i];
}

}  // namespace pewter::cpu::PEWTER_ISA
