#include "backends/cpu/vector/Reduction.h"

#include "backends/cpu/vector/Reduce.h"

namespace pewter::cpu::PEWTER_ISA {
namespace {

/// Pixels of few channels go side by side, one a lane.
constexpr std::int64_t kFewChannels = 32, kPixelLanes = 16;

struct Least {
    [[gnu::always_inline]] static inline bool better(float x, float best) { return (x < best) | (x != x); }
};
struct Greatest {
    [[gnu::always_inline]] static inline bool better(float x, float best) { return (x > best) | (x != x); }
};

template <class Order>
PEWTER_INLINE float choose(float x, float best) {
    return Order::better(x, best) ? x : best;
}

template <class Order>
PEWTER_INLINE void meetRun(const float* src, float* best, std::int64_t count) {
    PEWTER_VECTORIZE
    for (std::int64_t i = 0; i < count; ++i) best[i] = choose<Order>(src[i], best[i]);
}

template <class Order>
PEWTER_INLINE void meetPixels(const float* src, std::int64_t pixels, std::int64_t c, float* best) {
    constexpr std::int64_t kTile = 256;
    const std::int64_t tile = kTile / c * c;
    if (c > kTile || pixels * c < 2 * tile) {
        for (std::int64_t p = 0; p < pixels; ++p) meetRun<Order>(src + p * c, best, c);
        return;
    }
    // Several pixels side by side fill the vectors.
    float lanes[kTile];
    for (std::int64_t i = 0; i < tile; ++i) lanes[i] = src[i];
    for (std::int64_t left = pixels * c; left > 0; left -= tile, src += tile)
        meetRun<Order>(src, lanes, left < tile ? left : tile);
    for (std::int64_t i = 0; i < tile; i += c) meetRun<Order>(lanes + i, best, c);
}

/// The best of twice `half` lanes into the first, by halves.
template <class Order, std::int64_t half>
PEWTER_INLINE void fold(float* lanes) {
    for (std::int64_t lane = 0; lane < half; ++lane)
        lanes[lane] = choose<Order>(lanes[lane + half], lanes[lane]);
    if constexpr (half > 1) fold<Order, half / 2>(lanes);
}

template <class Order>
PEWTER_INLINE float bestOf(const float* x, std::int64_t c) {
    float best = x[0];
    std::int64_t i = 0;
    if (c >= 2 * kLanes) {
        float lanes[kLanes];
        for (std::int64_t lane = 0; lane < kLanes; ++lane) lanes[lane] = x[lane];
        for (i = kLanes; i + kLanes <= c; i += kLanes)
            for (std::int64_t lane = 0; lane < kLanes; ++lane)
                lanes[lane] = choose<Order>(x[i + lane], lanes[lane]);
        fold<Order, kLanes / 2>(lanes);
        best = choose<Order>(lanes[0], best);
    }
    for (; i < c; ++i) best = choose<Order>(x[i], best);
    return best;
}

/// The first k with x[k] equal to `value`, or NaN if that is; there is one.
PEWTER_INLINE std::int64_t firstOf(const float* x, std::int64_t c, float value) {
    if (value != value) {
        std::int64_t k = 0;
        while (x[k] == x[k]) ++k;
        return k;
    }
    constexpr std::int32_t kNowhere = 0x7fffffff;
    std::int32_t places[kLanes];
    for (std::int64_t lane = 0; lane < kLanes; ++lane) places[lane] = kNowhere;
    std::int64_t i = 0;
    for (; i + kLanes <= c; i += kLanes)
        for (std::int64_t lane = 0; lane < kLanes; ++lane) {
            const auto at = static_cast<std::int32_t>(i + lane);
            const std::int32_t place = x[i + lane] == value ? at : kNowhere;
            places[lane] = place < places[lane] ? place : places[lane];
        }
    std::int32_t first = kNowhere;
    for (std::int64_t lane = 0; lane < kLanes; ++lane) first = places[lane] < first ? places[lane] : first;
    if (first != kNowhere) return first;
    while (x[i] != value) ++i;
    return i;
}

/// fn(first pixel, pixels of a block) for blocks of kPixelLanes; the last may have fewer.
template <class Fn>
PEWTER_INLINE void forBlocks(std::int64_t pixels, Fn fn) {
    std::int64_t p = 0;
    for (; p + kPixelLanes <= pixels; p += kPixelLanes) fn(p, kPixelLanes);
    if (p < pixels) fn(p, pixels - p);
}

template <class Order>
PEWTER_INLINE void arguments(const float* src, std::int64_t pixels, std::int64_t c, float* dst) {
    if (c >= kFewChannels) {
        for (std::int64_t p = 0; p < pixels; ++p)
            dst[p] = static_cast<float>(firstOf(src + p * c, c, bestOf<Order>(src + p * c, c)));
        return;
    }
    forBlocks(pixels, [=](std::int64_t first, std::int64_t lanes) {
        const float* const x = src + first * c;
        float best[kPixelLanes], place[kPixelLanes];
        for (std::int64_t lane = 0; lane < lanes; ++lane) best[lane] = x[lane * c], place[lane] = 0;
        for (std::int64_t k = 1; k < c; ++k)
            for (std::int64_t lane = 0; lane < lanes; ++lane) {
                const float value = x[lane * c + k];
                // The first NaN stays.
                const bool better = Order::better(value, best[lane]) & (best[lane] == best[lane]);
                place[lane] = better ? static_cast<float>(k) : place[lane];
                best[lane] = better ? value : best[lane];
            }
        for (std::int64_t lane = 0; lane < lanes; ++lane) dst[first + lane] = place[lane];
    });
}

template <class Order>
PEWTER_INLINE void extremes(const float* src, std::int64_t pixels, std::int64_t c, float* dst) {
    if (c >= kFewChannels) {
        for (std::int64_t p = 0; p < pixels; ++p) dst[p] = bestOf<Order>(src + p * c, c);
        return;
    }
    // The place first: compilers make vector code of that, and none of the value alone.
    arguments<Order>(src, pixels, c, dst);
    for (std::int64_t p = 0; p < pixels; ++p) dst[p] = src[p * c + static_cast<std::int64_t>(dst[p])];
}

}  // namespace

void extremeTo(const float* src, float* best, std::int64_t count, bool max) {
    max ? meetRun<Greatest>(src, best, count) : meetRun<Least>(src, best, count);
}

void extremePixels(const float* src, std::int64_t pixels, std::int64_t c, float* best, bool max) {
    max ? meetPixels<Greatest>(src, pixels, c, best) : meetPixels<Least>(src, pixels, c, best);
}

void sumChannels(const float* src, std::int64_t pixels, std::int64_t c, double* dst) {
    if (c >= kFewChannels) {
        for (std::int64_t p = 0; p < pixels; ++p) {
            const float* const x = src + p * c;
            dst[p] = sumOf(c, [=](std::int64_t k) { return x[k]; });
        }
        return;
    }
    forBlocks(pixels, [=](std::int64_t first, std::int64_t lanes) {
        const float* const x = src + first * c;
        float sums[kPixelLanes] = {};
        for (std::int64_t k = 0; k < c; ++k)
            for (std::int64_t lane = 0; lane < lanes; ++lane) sums[lane] += x[lane * c + k];
        for (std::int64_t lane = 0; lane < lanes; ++lane) dst[first + lane] = static_cast<double>(sums[lane]);
    });
}

void weightedSumChannels(const float* src, const float* weights, std::int64_t pixels, std::int64_t c,
                         bool byNonZero, double* dst) {
    for (std::int64_t p = 0; p < pixels; ++p, src += c, weights += c) {
        const float *const x = src, *const w = weights;
        dst[p] = sumOf(c, [=](std::int64_t k) { return x[k] * w[k]; });
        if (!byNonZero) continue;
        const double count = sumOf(c, [=](std::int64_t k) { return w[k] != 0.0f ? 1.0f : 0.0f; });
        dst[p] = count > 0 ? dst[p] / count : 0;
    }
}

void extremeChannels(const float* src, std::int64_t pixels, std::int64_t c, float* dst, bool max) {
    max ? extremes<Greatest>(src, pixels, c, dst) : extremes<Least>(src, pixels, c, dst);
}

void argumentChannels(const float* src, std::int64_t pixels, std::int64_t c, float* dst, bool max) {
    max ? arguments<Greatest>(src, pixels, c, dst) : arguments<Least>(src, pixels, c, dst);
}

}  // namespace pewter::cpu::PEWTER_ISA
