#include "backends/cpu/vector/Depthwise.h"

#include "backends/cpu/vector/Math.h"
#include "backends/cpu/vector/Register.h"

// A register of channels at a time. Where windows of 3 x 3 move by one pixel, four neighbours are computed together: they
// share taps and what they read.

namespace pewter::cpu::PEWTER_ISA {
namespace {

/// Taps of an axis whose pixels lie inside, from the first tap's position on.
struct Range {
    std::int64_t from, to;
    Range(std::int64_t position, std::int64_t taps, std::int64_t dilation, std::int64_t extent) : from(0), to(taps) {
        while (from < to && position + from * dilation < 0) ++from;
        while (to > from && position + (to - 1) * dilation >= extent) --to;
    }
};

/// One pixel; `at` is where its tap (0,0) reads, which may lie outside.
template <class V>
void pixelOf(const DepthwisePlan& p, const float* at, Range rows, Range columns, std::int64_t first, std::int64_t end,
             float* dst) {
    const std::int64_t stepY = p.window.dilationY * p.w * p.c, stepX = p.window.dilationX * p.c;
    for (std::int64_t i = first; i + kLanesOf<V> <= end; i += kLanesOf<V>) {
        V sum = {};
        if (p.bias) loadFrom(p.bias + i, sum);
        for (std::int64_t r = rows.from; r < rows.to; ++r)
            for (std::int64_t q = columns.from; q < columns.to; ++q) {
                V x, tap;
                loadFrom(at + r * stepY + q * stepX + i, x);
                loadFrom(p.taps + (r * p.window.width + q) * p.c + i, tap);
                sum += x * tap;
            }
        storeTo(dst + i, sum);
    }
}

/// Four neighbouring pixels whose three columns of taps lie inside. Past: past the caches; whole registers are aligned.
template <bool Past>
void fourOf(const DepthwisePlan& p, const float* at, Range rows, float* dst) {
    const std::int64_t c = p.c, whole = c / kLanes * kLanes;
    for (std::int64_t i = 0; i < whole; i += kLanes) {
        Vector s0 = {};
        if (p.bias) loadFrom(p.bias + i, s0);
        Vector s1 = s0, s2 = s0, s3 = s0;
        // The row that the next results need too: so many short reads side by side are not foreseen.
        for (std::int64_t k = 1; k <= 4; ++k) __builtin_prefetch(at + (3 * p.w + k) * c + i, 0, 2);
        for (std::int64_t r = rows.from; r < rows.to; ++r) {
            const float *x = at + r * p.w * c + i, *taps = p.taps + r * 3 * c + i;
            Vector x0, x1, x2, x3, x4, x5, a, b, d;
            loadFrom(x, x0);
            loadFrom(x + c, x1);
            loadFrom(x + 2 * c, x2);
            loadFrom(x + 3 * c, x3);
            loadFrom(x + 4 * c, x4);
            loadFrom(x + 5 * c, x5);
            loadFrom(taps, a);
            loadFrom(taps + c, b);
            loadFrom(taps + 2 * c, d);
            s0 += x0 * a, s1 += x1 * a, s2 += x2 * a, s3 += x3 * a;
            s0 += x1 * b, s1 += x2 * b, s2 += x3 * b, s3 += x4 * b;
            s0 += x2 * d, s1 += x3 * d, s2 += x4 * d, s3 += x5 * d;
        }
        const auto leave = [&](std::int64_t k, const Vector& sum) {
            if constexpr (Past)
                streamTo(dst + k * c + i, sum);
            else
                storeTo(dst + k * c + i, sum);
        };
        leave(0, s0), leave(1, s1), leave(2, s2), leave(3, s3);
    }
    const Range columns(0, 3, 1, 3);
    for (std::int64_t k = 0; k < 4 && whole < c; ++k) pixelOf<float>(p, at + k * c, rows, columns, whole, c, dst + k * c);
}

/// sums += the products of a row of the gradient and what `kRows` rows of taps read, for a register of channels. `at`
/// is where the first pixel's first tap in the first of these rows reads.
template <int kRows, class V>
void sumRow(const DepthwisePlan& p, const float* gradient, const float* at, float* sums) {
    const std::int64_t c = p.c, row = p.w * c;
    V all[kRows][3] = {};
    // The first and the last pixels, some of whose taps read zeros.
    const std::int64_t first = std::min(p.window.padLeft, p.outW);
    const std::int64_t last = std::max(first, std::min(p.outW, p.w + p.window.padLeft - 2));
    const auto checked = [&](std::int64_t from, std::int64_t to) {
        for (std::int64_t x = from; x < to; ++x) {
            V g;
            loadFrom(gradient + x * c, g);
            for (std::int64_t q = 0; q < 3; ++q) {
                const std::int64_t u = x - p.window.padLeft + q;
                if (u < 0 || u >= p.w) continue;
                for (int r = 0; r < kRows; ++r) {
                    V value;
                    loadFrom(at + r * row + (x + q) * c, value);
                    all[r][q] += g * value;
                }
            }
        }
    };
    checked(0, first);
    for (std::int64_t x = first; x < last; ++x) {
        V g;
        loadFrom(gradient + x * c, g);
        // What the next row of the gradient needs: reads so far apart are not foreseen.
        __builtin_prefetch(gradient + (p.outW + x) * c, 0, 2);
        __builtin_prefetch(at + kRows * row + (x + 1) * c, 0, 2);
#pragma GCC unroll 3
        for (int r = 0; r < kRows; ++r)
#pragma GCC unroll 3
            for (int q = 0; q < 3; ++q) {
                V value;
                loadFrom(at + r * row + (x + q) * c, value);
                all[r][q] += g * value;
            }
    }
    checked(last, p.outW);
    for (int r = 0; r < kRows; ++r)
        for (int q = 0; q < 3; ++q) {
            V sum;
            loadFrom(sums + (r * 3 + q) * c, sum);
            storeTo(sums + (r * 3 + q) * c, sum + all[r][q]);
        }
}

template <class V>
void sumRows(const DepthwisePlan& p, const float* gradient, const float* at, std::int64_t rows, std::int64_t first,
             std::int64_t end, float* sums) {
    for (std::int64_t i = first; i + kLanesOf<V> <= end; i += kLanesOf<V>) {
        if (rows == 3) sumRow<3, V>(p, gradient + i, at + i, sums + i);
        if (rows == 2) sumRow<2, V>(p, gradient + i, at + i, sums + i);
        if (rows == 1) sumRow<1, V>(p, gradient + i, at + i, sums + i);
    }
}

}  // namespace

void depthwiseSums(const DepthwisePlan& p, std::int64_t from, std::int64_t to, float* sums) {
    const std::int64_t whole = p.c / kLanes * kLanes;
    for (std::int64_t row = from; row < to; ++row) {
        const std::int64_t top = row % p.outH - p.window.padTop;
        const Range rows(top, 3, 1, p.h);
        const float* const at =
            p.src + ((row / p.outH * p.h + top + rows.from) * p.w - p.window.padLeft) * p.c;
        const float* const gradient = p.dst + row * p.outW * p.c;
        float* const own = sums + rows.from * 3 * p.c;
        sumRows<Vector>(p, gradient, at, rows.to - rows.from, 0, whole, own);
        sumRows<float>(p, gradient, at, rows.to - rows.from, whole, p.c, own);
    }
}

void depthwiseRows(const DepthwisePlan& p, std::int64_t from, std::int64_t to) {
    const ops::Window& k = p.window;
    const bool three = k.width == 3 && k.height == 3 && k.strideX == 1 && k.dilationX == 1 && k.dilationY == 1;
    const std::int64_t whole = p.c / kLanes * kLanes;
    const bool past = p.past && p.c % kLanes == 0 && unaligned(p.dst, kLanes) == 0;
    const auto four = past ? fourOf<true> : fourOf<false>;
    for (std::int64_t row = from; row < to; ++row) {
        const std::int64_t top = row % p.outH * k.strideY - k.padTop;
        const float* line = p.src + (row / p.outH * p.h + top) * p.w * p.c;
        float* dst = p.dst + row * p.outW * p.c;
        const Range rows(top, k.height, k.dilationY, p.h);
        for (std::int64_t x = 0; x < p.outW;) {
            const std::int64_t left = x * k.strideX - k.padLeft;
            const float* at = line + left * p.c;
            if (three && left >= 0 && left + 6 <= p.w && x + 4 <= p.outW) {
                four(p, at, rows, dst + x * p.c);
                x += 4;
                continue;
            }
            const Range columns(left, k.width, k.dilationX, p.w);
            pixelOf<Vector>(p, at, rows, columns, 0, whole, dst + x * p.c);
            pixelOf<float>(p, at, rows, columns, whole, p.c, dst + x * p.c);
            ++x;
        }
    }
    if (past) streamEnd();
}

}  // namespace pewter::cpu::PEWTER_ISA
