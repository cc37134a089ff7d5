#pragma once

#include <algorithm>
#include <cstdlib>

#include "backends/cuda/Pixels.cuh"
#include "ops/Pooling.h"

// Windows of pooling: which pixels they read, which windows read a pixel, and what a window gives.

namespace pewter::PEWTER_CUDA_NAMESPACE {

using ops::PoolingType;

/// One axis of the windows.
template <class Int>
struct Side {
    Int source, outputs, taps, stride, dilation, before, border;
    bool clamps;  ///< reads
    bool cuts;    ///< windows of averages, at the enlarged source

    /// Where a tap reads: -1 for a zero outside.
    PEWTER_DEVICE Int read(Int output, Int tap) const {
        const Int position = output * stride - before + tap * dilation;
        if (position >= 0 && position < source) return position;
        return !clamps ? -1 : position < 0 ? 0 : source - 1;
    }
    /// The first tap of an output that reads a position, or -1.
    PEWTER_DEVICE Int firstTap(Int output, Int position) const {
        const Int start = output * stride - before;
        if (clamps && position == 0 && start <= 0) return 0;
        Int distance = position - start;
        if (clamps && position == source - 1) {
            // Whatever lies beyond reads the last position.
            distance = distance <= 0 ? 0 : (distance + dilation - 1) / dilation * dilation;
        }
        if (distance < 0 || distance % dilation != 0) return -1;
        return distance / dilation < taps ? distance / dilation : -1;
    }
    /// How many taps of an output read a position, firstTap() being `first`.
    PEWTER_DEVICE Int tapsOn(Int output, Int position, Int first) const {
        if (!clamps || (position > 0 && position < source - 1)) return 1;
        if (position == source - 1 && position > 0) return taps - first;
        if (source == 1) return taps;
        const Int reach = (before - output * stride) / dilation + 1;
        return reach < taps ? reach : taps;
    }
    /// Whether all taps of an output read inside.
    PEWTER_DEVICE bool isInside(Int output) const {
        const Int start = output * stride - before;
        return start >= 0 && start + (taps - 1) * dilation < source;
    }
    /// Whether every position is read by one tap of one output, and nothing is read outside.
    bool isPartition() const {
        return stride == taps && (dilation == 1 || taps == 1) && before == 0 && outputs * taps == source;
    }
    /// The outputs that may read a position: [first, end).
    PEWTER_DEVICE void outputsOf(Int position, Int& first, Int& end) const {
        const Int low = position + before - (taps - 1) * dilation, high = position + before;
        first = low <= 0 || (clamps && position == 0) ? 0 : (low + stride - 1) / stride;
        end = clamps && position == source - 1 ? outputs : high < 0 ? 0 : high / stride + 1;
        if (end > outputs) end = outputs;
    }
    /// Average: what of an output's window lies inside the source, [from, to), and in the enlarged source.
    PEWTER_DEVICE void cover(Int output, Int& from, Int& to, float& area) const {
        const Int start = output * stride - before, stop = start + taps;
        from = start < 0 ? 0 : start;
        to = stop > source ? source : stop;
        const Int low = start < -border ? -border : start, high = stop > source + border ? source + border : stop;
        area = static_cast<float>(cuts ? high - low : taps);
    }
};

template <class Int>
struct Sides {
    Side<Int> y, x;
};

/// Windows over src as dst sees them.
template <class Int, class Op>
Sides<Int> sidesOf(const Op& op, const ops::Tensor& src, const ops::Tensor& dst) {
    const auto i = [](std::int64_t value) { return static_cast<Int>(value); };
    const ops::Window& w = op.window;
    const bool clamps = w.edge == ops::Edge::Clamp, average = op.type == PoolingType::Average;
    const auto side = [&](std::int64_t source, std::int64_t outputs, std::int64_t taps, std::int64_t stride,
                          std::int64_t dilation, std::int64_t before, std::int64_t border) -> Side<Int> {
        return {i(source), i(outputs),         i(taps),   i(stride), i(average ? 1 : dilation),
                i(before), i(border), clamps && !average, clamps && average};
    };
    return {side(src.h, dst.h, w.height, w.strideY, w.dilationY, w.padTop, op.zeroPadY),
            side(src.w, dst.w, w.width, w.strideX, w.dilationX, w.padLeft, op.zeroPadX)};
}

/// Whether all positions fit into 32 bits with room to spare.
template <class Op>
bool isSmall(const Op& op, const ops::Tensor& src, const ops::Tensor& dst) {
    const ops::Window& w = op.window;
    const auto small = [](std::int64_t extent, std::int64_t outputs, std::int64_t taps, std::int64_t stride,
                          std::int64_t dilation, std::int64_t pad, std::int64_t border) {
        constexpr std::int64_t kMost = 1 << 28, kEach = 1 << 24;
        return std::max({extent, outputs, taps, stride, dilation, std::abs(pad), std::abs(border)}) < kEach &&
               outputs * stride < kMost && taps * dilation < kMost;
    };
    return small(src.h, dst.h, w.height, w.strideY, w.dilationY, w.padTop, op.zeroPadY) &&
           small(src.w, dst.w, w.width, w.strideX, w.dilationX, w.padLeft, op.zeroPadX) &&
           src.n * src.h * src.w < (1 << 30) && dst.n * dst.h * dst.w < (1 << 30);
}

/// Vector `index` of a tensor of h by w pixels.
template <class Int>
struct Place {
    Int n, y, x;
    int vector;

    PEWTER_DEVICE Place(std::int64_t index, int vectors, Int h, Int w) {
        std::int64_t pixel;
        if (index < (std::int64_t{1} << 31)) {
            vector = static_cast<int>(static_cast<unsigned>(index) % static_cast<unsigned>(vectors));
            pixel = static_cast<unsigned>(index) / static_cast<unsigned>(vectors);
        } else {
            vector = static_cast<int>(index % vectors);
            pixel = index / vectors;
        }
        const Int p = static_cast<Int>(pixel);
        x = p % w;
        y = p / w % h;
        n = p / w / h;
    }
};

/// The winner of a window of max pooling, a lane a channel: `tap` is the first one that reads it, kNone for the zeros
/// outside.
template <int kLanes, class Tap>
struct Winners {
    static constexpr Tap kNone = static_cast<Tap>(-1);
    float value[kLanes];
    Tap tap[kLanes];

    /// kTaps: windows of kTaps by kTaps, 0: of any size.
    template <int kTaps, class Pixels, class Int>
    PEWTER_DEVICE void find(const Pixels& src, const Sides<Int>& sides, const Place<Int>& at) {
        if constexpr (kTaps > 0)
            if (sides.y.isInside(at.y) && sides.x.isInside(at.x)) return findInside<kTaps>(src, sides, at);
        bool first = true, leaves = false;
        for (int l = 0; l < kLanes; ++l) value[l] = 0, tap[l] = kNone;
        const Int rows = kTaps ? kTaps : sides.y.taps, columns = kTaps ? kTaps : sides.x.taps;
        for (Int r = 0; r < rows; ++r) {
            const Int v = sides.y.read(at.y, r), line = (at.n * sides.y.source + v) * sides.x.source;
            const auto columnOf = [&](Int q) { return v < 0 ? Int{-1} : sides.x.read(at.x, q); };
            if constexpr (kTaps > 0) {
                for (int q = 0; q < kTaps; ++q) {
                    if (columnOf(q) >= 0)
                        take(src.load(line + columnOf(q), at.vector), r * kTaps + q, first);
                    else
                        leaves = true;
                }
            } else {
                for (Int q = 0; q < columns; ++q) {
                    const Int u = columnOf(q);
                    if (u >= 0)
                        take(src.load(line + u, at.vector), r * columns + q, first);
                    else
                        leaves = true;
                }
            }
        }
        // The zeros outside lose every tie.
        for (int l = 0; l < kLanes; ++l)
            if (leaves && value[l] < 0) value[l] = 0, tap[l] = kNone;
    }

    /// All reads are inside, and under way at once.
    template <int kTaps, class Pixels, class Int>
    PEWTER_DEVICE void findInside(const Pixels& src, const Sides<Int>& sides, const Place<Int>& at) {
        const Int top = at.y * sides.y.stride - sides.y.before, left = at.x * sides.x.stride - sides.x.before;
        typename Pixels::Sample sample[kTaps * kTaps];
        for (int k = 0; k < kTaps * kTaps; ++k) {
            const Int line = (at.n * sides.y.source + top + k / kTaps * sides.y.dilation) * sides.x.source;
            sample[k] = src.load(line + left + k % kTaps * sides.x.dilation, at.vector);
        }
        bool first = true;
        for (int k = 0; k < kTaps * kTaps; ++k) take(sample[k], k, first);
    }

private:
    template <class Sample, class Int>
    PEWTER_DEVICE void take(const Sample& sample, Int index, bool& first) {
        for (int l = 0; l < kLanes; ++l) {
            const float x = toFloat(sample.lane[l]);
            // The first NaN wins over everything and stays.
            if (first || (!(x <= value[l]) && value[l] == value[l])) {
                value[l] = x;
                tap[l] = static_cast<Tap>(index);
            }
        }
        first = false;
    }
};

template <class Pixels, class Int>
PEWTER_DEVICE void normsOf(const Pixels& src, const Sides<Int>& sides, const Place<Int>& at, float* norm) {
    for (int l = 0; l < Pixels::kLanes; ++l) norm[l] = 0;
    for (Int r = 0; r < sides.y.taps; ++r) {
        const Int v = sides.y.read(at.y, r);
        for (Int q = 0; q < sides.x.taps && v >= 0; ++q) {
            const Int u = sides.x.read(at.x, q);
            if (u < 0) continue;
            const auto sample = src.load((at.n * sides.y.source + v) * sides.x.source + u, at.vector);
            for (int l = 0; l < Pixels::kLanes; ++l) {
                const float x = toFloat(sample.lane[l]);
                norm[l] += x * x;
            }
        }
    }
    for (int l = 0; l < Pixels::kLanes; ++l) norm[l] = sqrtf(norm[l]);
}

template <class Pixels, class Int>
PEWTER_DEVICE void averagesOf(const Pixels& src, const Sides<Int>& sides, const Place<Int>& at, float* mean) {
    Int top, bottom, left, right;
    float height, width;
    sides.y.cover(at.y, top, bottom, height);
    sides.x.cover(at.x, left, right, width);
    for (int l = 0; l < Pixels::kLanes; ++l) mean[l] = 0;
    if (top >= bottom || left >= right) return;
    for (Int v = top; v < bottom; ++v)
        for (Int u = left; u < right; ++u) {
            const auto sample = src.load((at.n * sides.y.source + v) * sides.x.source + u, at.vector);
            for (int l = 0; l < Pixels::kLanes; ++l) mean[l] += toFloat(sample.lane[l]);
        }
    const float area = height * width;
    for (int l = 0; l < Pixels::kLanes; ++l) mean[l] /= area;
}

}  // namespace pewter::PEWTER_CUDA_NAMESPACE
