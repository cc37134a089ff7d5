#include "backends/cpu/vector/Pooling.h"

#include <cstring>

// Channels lie back to back, so that every loop over them is a vector loop. Channels are taken in chunks whose running
// maximum stays in the first-level cache.

namespace pewter::cpu::PEWTER_ISA {
namespace {

constexpr std::int64_t kChunk = 64;
constexpr float kZeros[kChunk] = {};

std::int64_t smaller(std::int64_t a, std::int64_t b) { return a < b ? a : b; }
std::int64_t larger(std::int64_t a, std::int64_t b) { return a > b ? a : b; }

/// The source position that a tap reads, -1 for the zeros outside.
std::int64_t readAt(std::int64_t position, std::int64_t extent, ops::Edge edge) {
    if (position >= 0 && position < extent) return position;
    if (edge == ops::Edge::Zero || extent == 0) return -1;
    return position < 0 ? 0 : extent - 1;
}

/// Offset of the pixel that tap (r, q) of window (y, x) reads within its image; -1 outside.
std::int64_t tapOffset(const PoolingPlan& p, std::int64_t y, std::int64_t x, std::int64_t r, std::int64_t q) {
    const ops::Window& k = p.window;
    const std::int64_t v = readAt(y * k.strideY - k.padTop + r * k.dilationY, p.h, k.edge);
    const std::int64_t u = readAt(x * k.strideX - k.padLeft + q * k.dilationX, p.w, k.edge);
    return v < 0 || u < 0 ? -1 : (v * p.w + u) * p.c;
}

/// Whether `value` takes the place of `best`: it is larger, or the first NaN.
bool wins(float value, float best) { return (!(value <= best)) & (best == best); }

bool isTwoByTwo(const PoolingPlan& p) { return p.disjoint && p.window.width == 2 && p.window.height == 2; }

void maxOfFour(const float* a, const float* b, const float* c, const float* d, std::int64_t count,
               float* __restrict dst) {
    for (std::int64_t i = 0; i < count; ++i) {
        float best = a[i];
        best = wins(b[i], best) ? b[i] : best;
        best = wins(c[i], best) ? c[i] : best;
        best = wins(d[i], best) ? d[i] : best;
        dst[i] = best;
    }
}

/// The gradient goes to the first largest of four pixels, zeros to the others.
void gradientOfFour(const float* a, const float* b, const float* c, const float* d, const float* gradient,
                    std::int64_t count, float* __restrict da, float* __restrict db, float* __restrict dc,
                    float* __restrict dd) {
    for (std::int64_t i = 0; i < count; ++i) {
        const float g = gradient[i];
        float best = a[i];
        std::int32_t winner = 0;
        winner = wins(b[i], best) ? 1 : winner;
        best = wins(b[i], best) ? b[i] : best;
        winner = wins(c[i], best) ? 2 : winner;
        best = wins(c[i], best) ? c[i] : best;
        winner = wins(d[i], best) ? 3 : winner;
        da[i] = winner == 0 ? g : 0.0f;
        db[i] = winner == 1 ? g : 0.0f;
        dc[i] = winner == 2 ? g : 0.0f;
        dd[i] = winner == 3 ? g : 0.0f;
    }
}

/// The maximum of window (y, x) over `count` channels from `channel`, and with `winner` the number of the tap.
void scanWindow(const PoolingPlan& p, const float* image, std::int64_t y, std::int64_t x, std::int64_t channel,
                std::int64_t count, float* __restrict best, std::int32_t* __restrict winner) {
    std::int32_t tap = 0;
    for (std::int64_t r = 0; r < p.window.height; ++r)
        for (std::int64_t q = 0; q < p.window.width; ++q, ++tap) {
            const std::int64_t offset = tapOffset(p, y, x, r, q);
            const float* value = offset < 0 ? kZeros : image + offset + channel;
            if (tap == 0) {
                std::memcpy(best, value, static_cast<std::size_t>(count) * sizeof(float));
                if (winner) std::memset(winner, 0, static_cast<std::size_t>(count) * sizeof(std::int32_t));
            } else if (winner) {
                for (std::int64_t i = 0; i < count; ++i) {
                    const bool take = wins(value[i], best[i]);
                    best[i] = take ? value[i] : best[i];
                    winner[i] = take ? tap : winner[i];
                }
            } else {
                for (std::int64_t i = 0; i < count; ++i) best[i] = wins(value[i], best[i]) ? value[i] : best[i];
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

}  // namespace

void maxForward(const PoolingPlan& p, std::int64_t from, std::int64_t to) {
    const bool four = isTwoByTwo(p);
    for (std::int64_t row = from; row < to; ++row) {
        const std::int64_t y = row % p.outH;
        const float* image = p.src + row / p.outH * p.h * p.w * p.c;
        float* dst = p.dst + row * p.outW * p.c;
        for (std::int64_t x = 0; x < p.outW; ++x, dst += p.c) {
            if (four) {
                const float* a = image + tapOffset(p, y, x, 0, 0);
                const float* c = image + tapOffset(p, y, x, 1, 0);
                const std::int64_t across = p.window.dilationX * p.c;
                maxOfFour(a, a + across, c, c + across, p.c, dst);
                continue;
            }
            for (std::int64_t channel = 0; channel < p.c; channel += kChunk)
                scanWindow(p, image, y, x, channel, smaller(kChunk, p.c - channel), dst + channel, nullptr);
        }
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

void maxGradient(const PoolingPlan& p, std::int64_t n, std::int64_t from, std::int64_t to) {
    const float* image = p.src + n * p.h * p.w * p.c;
    const float* gradient = p.dst + n * p.outH * p.outW * p.c;
    float* diff = p.diffSrc + n * p.h * p.w * p.c;
    if (!p.disjoint || !p.covering) zeroChannels(p, diff, from, to);
    const bool four = isTwoByTwo(p);
    float best[kChunk];
    std::int32_t winner[kChunk];
    for (std::int64_t y = 0; y < p.outH; ++y)
        for (std::int64_t x = 0; x < p.outW; ++x) {
            const float* g = gradient + (y * p.outW + x) * p.c;
            if (four) {
                const std::int64_t a = tapOffset(p, y, x, 0, 0) + from, c = tapOffset(p, y, x, 1, 0) + from;
                const std::int64_t b = a + p.window.dilationX * p.c, d = c + p.window.dilationX * p.c;
                gradientOfFour(image + a, image + b, image + c, image + d, g + from, to - from, diff + a, diff + b,
                               diff + c, diff + d);
                continue;
            }
            for (std::int64_t channel = from; channel < to; channel += kChunk) {
                const std::int64_t count = smaller(kChunk, to - channel);
                scanWindow(p, image, y, x, channel, count, best, winner);
                std::int32_t tap = 0;
                for (std::int64_t r = 0; r < p.window.height; ++r)
                    for (std::int64_t q = 0; q < p.window.width; ++q, ++tap) {
                        const std::int64_t offset = tapOffset(p, y, x, r, q);
                        if (offset < 0) continue;
                        float* __restrict d = diff + offset + channel;
                        for (std::int64_t i = 0; i < count; ++i) d[i] += winner[i] == tap ? g[channel + i] : 0.0f;
                    }
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
