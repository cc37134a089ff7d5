#include "backends/cpu/vector/Reduction.h"

#include "backends/cpu/vector/Reduce.h"

namespace pewter::cpu::PEWTER_ISA {
namespace {

/// Pixels of few channels go side by side, one a lane.
constexpr std::int64_t kFewChannels = 32, kPixelLanes = 16;

struct Least {
    static constexpr bool isDescending = true;
    [[gnu::always_inline]] static inline bool better(float x, float best) { return (x < best) | (x != x); }
};
struct Greatest {
    static constexpr bool isDescending = false;
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

// Whole numbers in the order of the floats, the best the greatest, NaN above all: their greatest is found
// without branches, in any order of the steps, as that of floats with their NaN is not.
constexpr std::int32_t kNaNKey = 0x7fffffff;

template <class Order>
PEWTER_INLINE std::int32_t keyOf(float x) {
    const auto bits = static_cast<std::int32_t>(bitsOf(x + 0.0f));  // -0 is 0
    const std::int32_t up = bits ^ ((bits >> 31) & 0x7fffffff);
    const std::int32_t nan = -static_cast<std::int32_t>(x != x);
    return (nan & kNaNKey) | (~nan & (Order::isDescending ? ~up : up));
}

template <class Order>
PEWTER_INLINE float valueOf(std::int32_t key) {
    const std::int32_t up = Order::isDescending && key != kNaNKey ? ~key : key;
    return fromBits(static_cast<std::uint32_t>(up ^ ((up >> 31) & 0x7fffffff)));
}

template <class Order>
PEWTER_INLINE std::int32_t bestKey(const float* x, std::int64_t c) {
    std::int32_t best = -0x7fffffff - 1;
    for (std::int64_t k = 0; k < c; ++k) {
        const std::int32_t key = keyOf<Order>(x[k]);
        best = key > best ? key : best;
    }
    return best;
}

/// The first k of that key.
template <class Order>
PEWTER_INLINE std::int32_t firstOf(const float* x, std::int32_t c, std::int32_t best) {
    std::int32_t first = c;
    for (std::int32_t k = 0; k < c; ++k) {
        const std::int32_t place = keyOf<Order>(x[k]) == best ? k : c;
        first = place < first ? place : first;
    }
    return first;
}

/// Sum of fn(k) for the channels of one pixel: where they are not very many, in float32 throughout, lanes
/// side by side and then by halves.
template <class Fn>
PEWTER_INLINE double sumOfPixel(std::int64_t c, Fn fn) {
    constexpr std::int64_t kWide = 16, kMost = 64 * kWide;
    if (c > kMost) return sumOf(c, fn);
    float lanes[kWide] = {};
    std::int64_t k = 0;
    for (; k + kWide <= c; k += kWide)
        for (std::int64_t lane = 0; lane < kWide; ++lane) lanes[lane] += fn(k + lane);
    for (std::int64_t lane = 0; lane < kWide / 2; ++lane) lanes[lane] += lanes[lane + kWide / 2];
    for (std::int64_t lane = 0; lane < kWide / 4; ++lane) lanes[lane] += lanes[lane + kWide / 4];
    float total = (lanes[0] + lanes[2]) + (lanes[1] + lanes[3]);
    for (; k < c; ++k) total += fn(k);
    return static_cast<double>(total);
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
        for (std::int64_t p = 0; p < pixels; ++p, src += c)
            dst[p] =
                static_cast<float>(firstOf<Order>(src, static_cast<std::int32_t>(c), bestKey<Order>(src, c)));
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
        for (std::int64_t p = 0; p < pixels; ++p) dst[p] = valueOf<Order>(bestKey<Order>(src + p * c, c));
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
            dst[p] = sumOfPixel(c, [=](std::int64_t k) { return x[k]; });
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
        dst[p] = sumOfPixel(c, [=](std::int64_t k) { return x[k] * w[k]; });
        if (!byNonZero) continue;
        const double count = sumOfPixel(c, [=](std::int64_t k) { return w[k] != 0.0f ? 1.0f : 0.0f; });
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
