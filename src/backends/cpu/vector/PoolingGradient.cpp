#include "backends/cpu/vector/Math.h"
#include "backends/cpu/vector/Pooling.h"
#include "backends/cpu/vector/PoolingWindow.h"
#include "backends/cpu/vector/Register.h"

namespace pewter::cpu::PEWTER_ISA {
namespace {

/// Channels whose shares of a window's gradient are held on the stack.
constexpr std::int64_t kShares = 256;

/// Zeroes rows of a gradient shortly before the windows add to them, while they are in the cache. Windows
/// that write every pixel once need none.
class Zeros {
public:
    Zeros(const PoolingPlan& plan, float* diff, std::int64_t from, std::int64_t to)
        : p_(plan), diff_(diff), from_(from), to_(to), next_(plan.disjoint && plan.covering ? plan.h : 0) {}

    /// All rows that output row y touches, and those above.
    void upTo(std::int64_t y) {
        const ops::Window& k = p_.window;
        const std::int64_t end = y * k.strideY - k.padTop + (k.height - 1) * k.dilationY + 1;
        // A window that lies wholly above or below the source reads its edge.
        clear(smaller(larger(end, 1), p_.h));
    }
    void rest() { clear(p_.h); }

private:
    void clear(std::int64_t end) {
        const std::int64_t first = next_ * p_.w, pixels = (end - next_) * p_.w;
        if (pixels <= 0) return;
        next_ = end;
        if (to_ - from_ == p_.c) {
            std::memset(diff_ + first * p_.c, 0, static_cast<std::size_t>(pixels * p_.c) * sizeof(float));
            return;
        }
        for (std::int64_t i = first; i < first + pixels; ++i)
            std::memset(diff_ + i * p_.c + from_, 0, static_cast<std::size_t>(to_ - from_) * sizeof(float));
    }

    const PoolingPlan& p_;
    float* diff_;
    std::int64_t from_, to_, next_;
};

PEWTER_INLINE void put(float* to, const Vector& value, bool past) {
    if (past)
        streamTo(to, value);
    else
        storeTo(to, value);
}
PEWTER_INLINE void put(float* to, float value, bool) { *to = value; }

/// Gives the gradient of a window to the tap that wins it: the first largest, or the first NaN. The zeros
/// outside win only where they are larger than all taps inside, and then nobody gets it.
/// Inside: no tap reads such a zero.
template <class V, class N, int Side, bool Inside>
void gradientOfPixel(const PoolingPlan& p, const float* image, const std::int64_t* rows,
                     const std::int64_t* columns, const float* gradient, float* diff, std::int64_t from,
                     std::int64_t to) {
    const std::int64_t height = sideOf<Side>(p.window.height), width = sideOf<Side>(p.window.width);
    for (std::int64_t i = from; i + kLanesOf<V> <= to; i += kLanesOf<V>) {
        V best = {};
        N winner = {};
        std::int32_t tap = 0;
        bool first = true, leaves = false;
        for (std::int64_t r = 0; r < height; ++r)
            for (std::int64_t q = 0; q < width; ++q, ++tap) {
                if (!Inside && (rows[r] | columns[q]) < 0) {
                    leaves = true;
                    continue;
                }
                V value;
                loadFrom(image + rows[r] + columns[q] + i, value);
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
        V g, sum = {};
        loadFrom(gradient + i, g);
        tap = 0;
        for (std::int64_t r = 0; r < height; ++r)
            for (std::int64_t q = 0; q < width; ++q, ++tap) {
                if (!Inside && (rows[r] | columns[q]) < 0) continue;
                float* pixel = diff + rows[r] + columns[q] + i;
                V share = winner == tap ? g : V{};
                if (!p.disjoint) {
                    loadFrom(pixel, sum);
                    share = sum + share;
                }
                put(pixel, share, p.past);
            }
    }
}

template <int Side>
void maxGradientOf(const PoolingPlan& p, const float* image, const float* gradient, float* diff,
                   std::int64_t from, std::int64_t to) {
    const std::int64_t whole = from + (to - from) / kLanes * kLanes;
    Zeros zeros(p, diff, from, to);
    for (std::int64_t y = 0; y < p.outH; ++y) {
        const std::int64_t* rows = p.rows + y * p.window.height;
        const bool rowsInside = allInside(rows, p.window.height);
        zeros.upTo(y);
        for (std::int64_t x = 0; x < p.outW; ++x, gradient += p.c) {
            const std::int64_t* columns = p.columns + x * p.window.width;
            if (rowsInside && allInside(columns, p.window.width)) {
                gradientOfPixel<Vector, Number, Side, true>(p, image, rows, columns, gradient, diff, from,
                                                            whole);
                gradientOfPixel<float, std::int32_t, Side, true>(p, image, rows, columns, gradient, diff,
                                                                 whole, to);
            } else {
                gradientOfPixel<Vector, Number, Side, false>(p, image, rows, columns, gradient, diff, from,
                                                             whole);
                gradientOfPixel<float, std::int32_t, Side, false>(p, image, rows, columns, gradient, diff,
                                                                  whole, to);
            }
        }
    }
    zeros.rest();
    if (p.past) streamEnd();
}

PEWTER_INLINE void divide(const float* values, float by, float* shares, std::int64_t count) {
    PEWTER_VECTORIZE
    for (std::int64_t i = 0; i < count; ++i) shares[i] = values[i] / by;
}

PEWTER_INLINE void give(const float* shares, float* diff, bool add, std::int64_t count) {
    if (!add) {
        std::memcpy(diff, shares, static_cast<std::size_t>(count) * sizeof(float));
        return;
    }
    PEWTER_VECTORIZE
    for (std::int64_t i = 0; i < count; ++i) diff[i] += shares[i];
}

PEWTER_INLINE void addSquares(const float* values, float* sums, std::int64_t count) {
    PEWTER_VECTORIZE
    for (std::int64_t i = 0; i < count; ++i) sums[i] += values[i] * values[i];
}

/// gradient / root of the sums, 0 where a sum is 0.
PEWTER_INLINE void divideByRoots(const float* gradient, float* sums, std::int64_t count) {
    PEWTER_VECTORIZE
    for (std::int64_t i = 0; i < count; ++i) {
        const float sum = sums[i], share = gradient[i] / __builtin_sqrtf(sum == 0 ? 1.0f : sum);
        sums[i] = sum == 0 ? 0.0f : share;
    }
}

PEWTER_INLINE void giveProducts(const float* shares, const float* values, float* diff, bool add,
                                std::int64_t count) {
    if (!add) {
        PEWTER_VECTORIZE
        for (std::int64_t i = 0; i < count; ++i) diff[i] = shares[i] * values[i];
        return;
    }
    PEWTER_VECTORIZE
    for (std::int64_t i = 0; i < count; ++i) diff[i] += shares[i] * values[i];
}

/// One window of norm pooling, channels [from, to), at most kShares of them.
void normGradientOfPixel(const PoolingPlan& p, const float* image, const std::int64_t* rows,
                         const std::int64_t* columns, const float* gradient, float* diff, std::int64_t from,
                         std::int64_t to) {
    float shares[kShares] = {};
    const auto forTaps = [&](auto visit) {
        for (std::int64_t r = 0; r < p.window.height; ++r)
            for (std::int64_t q = 0; q < p.window.width; ++q)
                if ((rows[r] | columns[q]) >= 0) visit(rows[r] + columns[q] + from);
    };
    forTaps([&](std::int64_t at) { addSquares(image + at, shares, to - from); });
    divideByRoots(gradient + from, shares, to - from);
    forTaps([&](std::int64_t at) { giveProducts(shares, image + at, diff + at, !p.disjoint, to - from); });
}

}  // namespace

void maxGradient(const PoolingPlan& p, std::int64_t n, std::int64_t from, std::int64_t to) {
    const float* image = p.src + n * p.h * p.w * p.c;
    const float* gradient = p.dst + n * p.outH * p.outW * p.c;
    float* diff = p.diffSrc + n * p.h * p.w * p.c;
    switch (squareSide(p)) {
        case 2:
            return maxGradientOf<2>(p, image, gradient, diff, from, to);
        case 3:
            return maxGradientOf<3>(p, image, gradient, diff, from, to);
        default:
            return maxGradientOf<0>(p, image, gradient, diff, from, to);
    }
}

void averageGradient(const PoolingPlan& p, std::int64_t n, std::int64_t from, std::int64_t to) {
    const float* gradient = p.dst + n * p.outH * p.outW * p.c;
    float* diff = p.diffSrc + n * p.h * p.w * p.c;
    float shares[kShares];
    Zeros zeros(p, diff, from, to);
    for (std::int64_t y = 0; y < p.outH; ++y) {
        zeros.upTo(y);
        for (std::int64_t x = 0; x < p.outW; ++x, gradient += p.c) {
            const Area area = areaOf(p, y, x);
            if (area.isEmpty()) continue;
            for (std::int64_t first = from; first < to; first += kShares) {
                const std::int64_t count = smaller(kShares, to - first);
                divide(gradient + first, area.divisor, shares, count);
                for (std::int64_t v = area.top; v < area.bottom; ++v)
                    for (std::int64_t u = area.left; u < area.right; ++u)
                        give(shares, diff + (v * p.w + u) * p.c + first, !p.disjoint, count);
            }
        }
    }
    zeros.rest();
}

void normGradient(const PoolingPlan& p, std::int64_t n, std::int64_t from, std::int64_t to) {
    const float* image = p.src + n * p.h * p.w * p.c;
    const float* gradient = p.dst + n * p.outH * p.outW * p.c;
    float* diff = p.diffSrc + n * p.h * p.w * p.c;
    Zeros zeros(p, diff, from, to);
    for (std::int64_t y = 0; y < p.outH; ++y) {
        const std::int64_t* rows = p.rows + y * p.window.height;
        zeros.upTo(y);
        for (std::int64_t x = 0; x < p.outW; ++x, gradient += p.c)
            for (std::int64_t first = from; first < to; first += kShares)
                normGradientOfPixel(p, image, rows, p.columns + x * p.window.width, gradient, diff, first,
                                    smaller(first + kShares, to));
    }
    zeros.rest();
}

}  // namespace pewter::cpu::PEWTER_ISA
