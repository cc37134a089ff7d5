#include "backends/cpu/vector/Pooling.h"

#include "backends/cpu/vector/Math.h"
#include "backends/cpu/vector/PoolingWindow.h"
#include "backends/cpu/vector/Register.h"

// Channels lie back to back: a register of them is taken at a time, and the running maximum of a window stays
// there.

namespace pewter::cpu::PEWTER_ISA {
namespace {

/// The maximum of a window; `image` points at the first channel of the V in pixel (0,0). Inside: no tap reads
/// a zero outside.
template <class V, int Side, bool Inside>
void maximum(const PoolingPlan& p, const float* image, const std::int64_t* rows, const std::int64_t* columns,
             V& best) {
    const std::int64_t height = sideOf<Side>(p.window.height), width = sideOf<Side>(p.window.width);
    for (std::int64_t r = 0; r < height; ++r)
        for (std::int64_t q = 0; q < width; ++q) {
            V value = {};
            if (Inside || (rows[r] | columns[q]) >= 0) loadFrom(image + rows[r] + columns[q], value);
            if (r + q == 0)
                best = value;
            else
                best = ((value > best) | (value != value)) ? value : best;  // a NaN stays: nothing is larger
        }
}

template <class V, int Side, bool Inside>
void maximaOfPixel(const PoolingPlan& p, const float* image, const std::int64_t* rows,
                   const std::int64_t* columns, float* dst, std::int64_t from, std::int64_t to) {
    for (std::int64_t i = from; i + kLanesOf<V> <= to; i += kLanesOf<V>) {
        V best = {};
        maximum<V, Side, Inside>(p, image + i, rows, columns, best);
        storeTo(dst + i, best);
    }
}

template <int Side>
void maxForwardOf(const PoolingPlan& p, std::int64_t from, std::int64_t to) {
    const std::int64_t whole = p.c / kLanes * kLanes;
    for (std::int64_t row = from; row < to; ++row) {
        const std::int64_t* rows = p.rows + row % p.outH * p.window.height;
        const float* image = p.src + row / p.outH * p.h * p.w * p.c;
        float* dst = p.dst + row * p.outW * p.c;
        const bool rowsInside = allInside(rows, p.window.height);
        for (std::int64_t x = 0; x < p.outW; ++x, dst += p.c) {
            const std::int64_t* columns = p.columns + x * p.window.width;
            if (rowsInside && allInside(columns, p.window.width)) {
                maximaOfPixel<Vector, Side, true>(p, image, rows, columns, dst, 0, whole);
                maximaOfPixel<float, Side, true>(p, image, rows, columns, dst, whole, p.c);
            } else {
                maximaOfPixel<Vector, Side, false>(p, image, rows, columns, dst, 0, whole);
                maximaOfPixel<float, Side, false>(p, image, rows, columns, dst, whole, p.c);
            }
        }
    }
}

PEWTER_INLINE void add(const float* values, float* sums, std::int64_t count) {
    PEWTER_VECTORIZE
    for (std::int64_t i = 0; i < count; ++i) sums[i] += values[i];
}

PEWTER_INLINE void addSquares(const float* values, float* sums, std::int64_t count) {
    PEWTER_VECTORIZE
    for (std::int64_t i = 0; i < count; ++i) sums[i] += values[i] * values[i];
}

PEWTER_INLINE void takeRoots(float* values, std::int64_t count) {
    PEWTER_VECTORIZE
    for (std::int64_t i = 0; i < count; ++i) values[i] = __builtin_sqrtf(values[i]);
}

}  // namespace

void maxForward(const PoolingPlan& p, std::int64_t from, std::int64_t to) {
    switch (squareSide(p)) {
        case 2:
            return maxForwardOf<2>(p, from, to);
        case 3:
            return maxForwardOf<3>(p, from, to);
        default:
            return maxForwardOf<0>(p, from, to);
    }
}

void averageForward(const PoolingPlan& p, std::int64_t from, std::int64_t to) {
    for (std::int64_t row = from; row < to; ++row) {
        const std::int64_t y = row % p.outH;
        const float* image = p.src + row / p.outH * p.h * p.w * p.c;
        float* dst = p.dst + row * p.outW * p.c;
        for (std::int64_t x = 0; x < p.outW; ++x, dst += p.c) {
            const Area area = areaOf(p, y, x);
            std::memset(dst, 0, static_cast<std::size_t>(p.c) * sizeof(float));
            if (area.isEmpty()) continue;
            for (std::int64_t v = area.top; v < area.bottom; ++v)
                for (std::int64_t u = area.left; u < area.right; ++u)
                    add(image + (v * p.w + u) * p.c, dst, p.c);
            for (std::int64_t i = 0; i < p.c; ++i) dst[i] /= area.divisor;
        }
    }
}

void normForward(const PoolingPlan& p, std::int64_t from, std::int64_t to) {
    for (std::int64_t row = from; row < to; ++row) {
        const std::int64_t* rows = p.rows + row % p.outH * p.window.height;
        const float* image = p.src + row / p.outH * p.h * p.w * p.c;
        float* dst = p.dst + row * p.outW * p.c;
        std::memset(dst, 0, static_cast<std::size_t>(p.outW * p.c) * sizeof(float));
        for (std::int64_t x = 0; x < p.outW; ++x) {
            const std::int64_t* columns = p.columns + x * p.window.width;
            for (std::int64_t r = 0; r < p.window.height; ++r)
                for (std::int64_t q = 0; q < p.window.width; ++q)
                    if ((rows[r] | columns[q]) >= 0)
                        addSquares(image + rows[r] + columns[q], dst + x * p.c, p.c);
        }
        takeRoots(dst, p.outW * p.c);
    }
}

}  // namespace pewter::cpu::PEWTER_ISA
