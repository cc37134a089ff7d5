#include "backends/cpu/vector/Pooling.h"

#include <cstring>

// Channels lie back to back: a register of them is taken at a time, and the running maximum of a window stays
// there. The compiler's own vector types are used because it does not see through the comparisons that keep
// NaN.

namespace pewter::cpu::PEWTER_ISA {
namespace {

#if defined(__AVX512F__)
constexpr int kRegister = 64;
#elif defined(__AVX2__)
constexpr int kRegister = 32;
#else
constexpr int kRegister = 16;
#endif
using Vector = float __attribute__((vector_size(kRegister)));
using Number = std::int32_t __attribute__((vector_size(kRegister)));
constexpr std::int64_t kLanes = kRegister / sizeof(float);

std::int64_t smaller(std::int64_t a, std::int64_t b) { return a < b ? a : b; }
std::int64_t larger(std::int64_t a, std::int64_t b) { return a > b ? a : b; }

template <class V>
V loadFrom(const float* from) {
    V value;
    std::memcpy(&value, from, sizeof value);
    return value;
}

template <class V>
void storeTo(float* to, V value) {
    std::memcpy(to, &value, sizeof value);
}

/// Taps of a window side; a side of 2 or 3 is known to the compiler.
template <int Side>
std::int64_t sideOf(std::int64_t side) {
    return Side > 0 ? Side : side;
}

/// The maximum of a window; `image` points at the first channel of the V in pixel (0,0).
template <class V, int Side>
V maximum(const PoolingPlan& p, const float* image, const std::int64_t* rows, const std::int64_t* columns) {
    const std::int64_t height = sideOf<Side>(p.window.height), width = sideOf<Side>(p.window.width);
    V best = {};
    for (std::int64_t r = 0; r < height; ++r)
        for (std::int64_t q = 0; q < width; ++q) {
            V value = {};
            if ((rows[r] | columns[q]) >= 0) value = loadFrom<V>(image + rows[r] + columns[q]);
            if (r + q == 0)
                best = value;
            else
                best = ((value > best) | (value != value)) ? value : best;  // a NaN stays: nothing is larger
        }
    return best;
}

template <class V, int Side>
void maximaOfPixel(const PoolingPlan& p, const float* image, const std::int64_t* rows,
                   const std::int64_t* columns, float* dst, std::int64_t from, std::int64_t to) {
    constexpr auto lanes = static_cast<std::int64_t>(sizeof(V) / sizeof(float));
    for (std::int64_t i = from; i + lanes <= to; i += lanes)
        storeTo(dst + i, maximum<V, Side>(p, image + i, rows, columns));
}

template <int Side>
void maxForwardOf(const PoolingPlan& p, std::int64_t from, std::int64_t to) {
    const std::int64_t whole = p.c / kLanes * kLanes;
    for (std::int64_t row = from; row < to; ++row) {
        const std::int64_t* rows = p.rows + row % p.outH * p.window.height;
        const float* image = p.src + row / p.outH * p.h * p.w * p.c;
        float* dst = p.dst + row * p.outW * p.c;
        for (std::int64_t x = 0; x < p.outW; ++x, dst += p.c) {
            const std::int64_t* columns = p.columns + x * p.window.width;
            maximaOfPixel<Vector, Side>(p, image, rows, columns, dst, 0, whole);
            maximaOfPixel<float, Side>(p, image, rows, columns, dst, whole, p.c);
        }
    }
}

/// Gives the gradient of a window to the tap that wins it: the first largest, or the first NaN. The zeros outside win
/// only where they are larger than all taps inside, and then nobody gets it.
template <class V, class N, int Side>
void gradientOfPixel(const PoolingPlan& p, const float* image, const std::int64_t* rows,
                     const std::int64_t* columns, const float* gradient, float* diff, std::int64_t from,
                     std::int64_t to) {
    constexpr auto lanes = static_cast<std::int64_t>(sizeof(V) / sizeof(float));
    const std::int64_t height = sideOf<Side>(p.window.height), width = sideOf<Side>(p.window.width);
    for (std::int64_t i = from; i + lanes <= to; i += lanes) {
        V best = {};
        N winner = {};
        std::int32_t tap = 0;
        bool first = true, leaves = false;
        for (std::int64_t r = 0; r < height; ++r)
            for (std::int64_t q = 0; q < width; ++q, ++tap) {
                if ((rows[r] | columns[q]) < 0) {
                    leaves = true;
                    continue;
                }
                const V value = loadFrom<V>(image + rows[r] + columns[q] + i);
                if (first) {
                    best = value;
                    winner = N{} + tap;
                    first = false;
                } else {
                    const auto take = ((value > best) | (value != value)) & (best == best);
                    best = take ? value : best;
                    winner = take ? N{} + tap : winner;
                }
            }
        if (leaves) winner = best < V{} ? N{} - 1 : winner;
        const V g = loadFrom<V>(gradient + i);
        tap = 0;
        for (std::int64_t r = 0; r < height; ++r)
            for (std::int64_t q = 0; q < width; ++q, ++tap) {
                if ((rows[r] | columns[q]) < 0) continue;
                float* pixel = diff + rows[r] + columns[q] + i;
                const V share = winner == tap ? g : V{};
                storeTo(pixel, p.disjoint ? share : loadFrom<V>(pixel) + share);
            }
    }
}

template <int Side>
void maxGradientOf(const PoolingPlan& p, const float* image, const float* gradient, float* diff,
                   std::int64_t from, std::int64_t to) {
    const std::int64_t whole = from + (to - from) / kLanes * kLanes;
    for (std::int64_t y = 0; y < p.outH; ++y) {
        const std::int64_t* rows = p.rows + y * p.window.height;
        for (std::int64_t x = 0; x < p.outW; ++x, gradient += p.c) {
            const std::int64_t* columns = p.columns + x * p.window.width;
            gradientOfPixel<Vector, Number, Side>(p, image, rows, columns, gradient, diff, from, whole);
            gradientOfPixel<float, std::int32_t, Side>(p, image, rows, columns, gradient, diff, whole, to);
        }
    }
}

/// A window of average pooling: what of it lies inside the source, and its divisor.
struct Area {
    std::int64_t top, bottom, left, right;
    float divisor;
};

Area areaOf(const PoolingPlan& p, std::int64_t y, std::int64_t x) {
    const ops::Window& k = p.window;
    const std::int64_t top = y * k.strideY - k.padTop, bottom = top + k.height;
    const std::int64_t left = x * k.strideX - k.padLeft, right = left + k.width;
    std::int64_t divisor = k.width * k.height;
    if (k.edge == ops::Edge::Clamp)
        divisor = (smaller(bottom, p.h + p.zeroPadY) - larger(top, -p.zeroPadY)) *
                  (smaller(right, p.w + p.zeroPadX) - larger(left, -p.zeroPadX));
    return {larger(top, 0), smaller(bottom, p.h), larger(left, 0), smaller(right, p.w),
            static_cast<float>(divisor)};
}

void zeroChannels(const PoolingPlan& p, float* image, std::int64_t from, std::int64_t to) {
    if (to - from == p.c) {
        std::memset(image, 0, static_cast<std::size_t>(p.h * p.w * p.c) * sizeof(float));
        return;
    }
    for (std::int64_t pixel = 0; pixel < p.h * p.w; ++pixel)
        std::memset(image + pixel * p.c + from, 0, static_cast<std::size_t>(to - from) * sizeof(float));
}

/// The side that both sides of the window have, if it is one that the kernels are compiled for; else 0.
int squareSide(const PoolingPlan& p) {
    const std::int64_t side = p.window.width;
    return side == p.window.height && (side == 2 || side == 3) ? static_cast<int>(side) : 0;
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

void maxGradient(const PoolingPlan& p, std::int64_t n, std::int64_t from, std::int64_t to) {
    const float* image = p.src + n * p.h * p.w * p.c;
    const float* gradient = p.dst + n * p.outH * p.outW * p.c;
    float* diff = p.diffSrc + n * p.h * p.w * p.c;
    if (!p.disjoint || !p.covering) zeroChannels(p, diff, from, to);
    switch (squareSide(p)) {
        case 2:
            return maxGradientOf<2>(p, image, gradient, diff, from, to);
        case 3:
            return maxGradientOf<3>(p, image, gradient, diff, from, to);
        default:
            return maxGradientOf<0>(p, image, gradient, diff, from, to);
    }
}

void averageForward(const PoolingPlan& p, std::int64_t from, std::int64_t to) {
    for (std::int64_t row = from; row < to; ++row) {
        const std::int64_t y = row % p.outH;
        const float* image = p.src + row / p.outH * p.h * p.w * p.c;
        float* __restrict dst = p.dst + row * p.outW * p.c;
        for (std::int64_t x = 0; x < p.outW; ++x, dst += p.c) {
            const Area area = areaOf(p, y, x);
            std::memset(dst, 0, static_cast<std::size_t>(p.c) * sizeof(float));
            if (area.top >= area.bottom || area.left >= area.right) continue;
            for (std::int64_t v = area.top; v < area.bottom; ++v)
                for (std::int64_t u = area.left; u < area.right; ++u) {
                    const float* pixel = image + (v * p.w + u) * p.c;
                    for (std::int64_t i = 0; i < p.c; ++i) dst[i] += pixel[i];
                }
            for (std::int64_t i = 0; i < p.c; ++i) dst[i] /= area.divisor;
        }
    }
}

void averageGradient(const PoolingPlan& p, std::int64_t n, std::int64_t from, std::int64_t to) {
    const float* gradient = p.dst + n * p.outH * p.outW * p.c;
    float* diff = p.diffSrc + n * p.h * p.w * p.c;
    zeroChannels(p, diff, from, to);
    for (std::int64_t y = 0; y < p.outH; ++y)
        for (std::int64_t x = 0; x < p.outW; ++x) {
            const Area area = areaOf(p, y, x);
            const float* g = gradient + (y * p.outW + x) * p.c;
            for (std::int64_t v = area.top; v < area.bottom; ++v)
                for (std::int64_t u = area.left; u < area.right; ++u) {
                    float* __restrict d = diff + (v * p.w + u) * p.c;
                    for (std::int64_t i = from; i < to; ++i) d[i] += g[i] / area.divisor;
                }
        }
}

}  // namespace pewter::cpu::PEWTER_ISA
