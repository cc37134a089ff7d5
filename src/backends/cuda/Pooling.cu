#include <algorithm>
#include <cstdlib>

#include "backends/cuda/Cuda.h"
#include "backends/cuda/Pixels.cuh"

// Results: a thread takes neighbouring channels of one window. Gradients are gathered: a first kernel notes, a value a
// window, which tap won (Max) or what its pixels are multiplied by (L2Norm), then a thread takes neighbouring channels of
// one pixel and looks at the windows that read it. So nothing is added twice at once, and the order of sums is fixed.

namespace pewter::PEWTER_CUDA_NAMESPACE {

namespace {

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
        bool first = true, leaves = false;
        for (int l = 0; l < kLanes; ++l) value[l] = 0, tap[l] = kNone;
        const Int rows = kTaps ? kTaps : sides.y.taps, columns = kTaps ? kTaps : sides.x.taps;
        for (Int r = 0; r < rows; ++r) {
            const Int v = sides.y.read(at.y, r), line = (at.n * sides.y.source + v) * sides.x.source;
            const auto columnOf = [&](Int q) { return v < 0 ? Int{-1} : sides.x.read(at.x, q); };
            if constexpr (kTaps > 0) {
                // All reads of a row are under way at once.
                typename Pixels::Sample sample[kTaps];
                for (int q = 0; q < kTaps; ++q)
                    if (columnOf(q) >= 0) sample[q] = src.load(line + columnOf(q), at.vector);
                for (int q = 0; q < kTaps; ++q) {
                    if (columnOf(q) >= 0)
                        take(sample[q], r * kTaps + q, first);
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

template <PoolingType kType, int kTaps, class Pixels>
struct Forward {
    using Int = typename Pixels::Int;
    Pixels src, dst;
    Sides<Int> sides;
    int vectors;

    PEWTER_DEVICE void operator()(std::int64_t i) const {
        const Place<Int> at(i, vectors, sides.y.outputs, sides.x.outputs);
        float value[Pixels::kLanes];
        if constexpr (kType == PoolingType::Max) {
            Winners<Pixels::kLanes, unsigned> winners;
            winners.template find<kTaps>(src, sides, at);
            for (int l = 0; l < Pixels::kLanes; ++l) value[l] = winners.value[l];
        }
        if constexpr (kType == PoolingType::Average) averagesOf(src, sides, at, value);
        if constexpr (kType == PoolingType::L2Norm) normsOf(src, sides, at, value);
        typename Pixels::Sample out;
        for (int l = 0; l < Pixels::kLanes; ++l) fromFloat(out.lane[l], value[l]);
        dst.store((at.n * sides.y.outputs + at.y) * sides.x.outputs + at.x, at.vector, out);
    }
};

// --- gradients ---

/// The vectors of windows are noted in the order of their places.
template <class Pixels, class Tap, int kTaps>
struct NoteWinners {
    using Int = typename Pixels::Int;
    Pixels src;
    Lanes<Tap, Pixels::kLanes>* notes;
    Sides<Int> sides;
    int vectors;

    PEWTER_DEVICE void operator()(std::int64_t i) const {
        Winners<Pixels::kLanes, Tap> winners;
        winners.template find<kTaps>(src, sides, Place<Int>(i, vectors, sides.y.outputs, sides.x.outputs));
        Lanes<Tap, Pixels::kLanes> out;
        for (int l = 0; l < Pixels::kLanes; ++l) out.lane[l] = winners.tap[l];
        notes[i] = out;
    }
};

template <class Pixels>
struct NoteNorms {
    using Int = typename Pixels::Int;
    Pixels src;
    Lanes<float, Pixels::kLanes>* notes;
    Sides<Int> sides;
    int vectors;

    PEWTER_DEVICE void operator()(std::int64_t i) const {
        normsOf(src, sides, Place<Int>(i, vectors, sides.y.outputs, sides.x.outputs), notes[i].lane);
    }
};

/// Note: what was noted; src: read by L2Norm alone.
template <PoolingType kType, class Pixels, class Note>
struct Gather {
    using Int = typename Pixels::Int;
    static constexpr int kLanes = Pixels::kLanes;
    Pixels src, diffDst, diffSrc;
    const Lanes<Note, kLanes>* notes;
    Sides<Int> sides;
    int vectors;

    PEWTER_DEVICE void operator()(std::int64_t i) const {
        const Place<Int> at(i, vectors, sides.y.source, sides.x.source);
        const Int pixel = (at.n * sides.y.source + at.y) * sides.x.source + at.x;
        float sum[kLanes], in[kLanes];
        for (int l = 0; l < kLanes; ++l) sum[l] = 0;
        if constexpr (kType == PoolingType::L2Norm) {
            const auto sample = src.load(pixel, at.vector);
            for (int l = 0; l < kLanes; ++l) in[l] = toFloat(sample.lane[l]);
        }
        Int top, bottom, left, right;
        sides.y.outputsOf(at.y, top, bottom);
        sides.x.outputsOf(at.x, left, right);
        for (Int y = top; y < bottom; ++y) {
            const Int r = sides.y.firstTap(y, at.y);
            for (Int x = left; x < right && r >= 0; ++x) {
                const Int q = sides.x.firstTap(x, at.x);
                if (q < 0) continue;
                const Int window = (at.n * sides.y.outputs + y) * sides.x.outputs + x;
                const auto diff = diffDst.load(window, at.vector);
                if constexpr (kType == PoolingType::Average) {
                    const float area = sides.x.cuts ? areaOf(y, x) : 1;
                    for (int l = 0; l < kLanes; ++l) sum[l] += toFloat(diff.lane[l]) / area;
                } else {
                    const auto note = notes[std::int64_t{1} * window * vectors + at.vector];
                    if constexpr (kType == PoolingType::Max) {
                        const Note own = static_cast<Note>(r * sides.x.taps + q);
                        for (int l = 0; l < kLanes; ++l) sum[l] += note.lane[l] == own ? toFloat(diff.lane[l]) : 0.0f;
                    } else {
                        const auto reads = static_cast<float>(sides.y.tapsOn(y, at.y, r) * sides.x.tapsOn(x, at.x, q));
                        for (int l = 0; l < kLanes; ++l)
                            if (note.lane[l] != 0) sum[l] += toFloat(diff.lane[l]) * in[l] / note.lane[l] * reads;
                    }
                }
            }
        }
        typename Pixels::Sample out;
        const float area = static_cast<float>(sides.y.taps) * static_cast<float>(sides.x.taps);
        for (int l = 0; l < kLanes; ++l)
            fromFloat(out.lane[l], kType == PoolingType::Average && !sides.x.cuts ? sum[l] / area : sum[l]);
        diffSrc.store(pixel, at.vector, out);
    }
    PEWTER_DEVICE float areaOf(Int y, Int x) const {
        Int from, to;
        float height, width;
        sides.y.cover(y, from, to, height);
        sides.x.cover(x, from, to, width);
        return height * width;
    }
};

/// f(PixelsOf<...>), with 64-bit positions where 32 bits may not do.
template <class Op, class F>
void withWindows(const Op& op, const ops::Tensor& src, const ops::Tensor& dst,
                 std::initializer_list<const ops::Tensor*> tensors, const F& f) {
    if (!isSmall(op, src, dst)) return f(PixelsOf<AnyPixels>());
    withPixels(tensors, f);
}

/// The side of a square window that has a kernel of its own, or 0.
template <class Pixels>
int ownKernel(const ops::Window& window) {
    return window.width == window.height && (window.width == 2 || window.width == 3) ? static_cast<int>(window.width) : 0;
}

template <class PixelsOf>
void maxForward(const ops::PoolingForward& op, CudaStream& stream, PixelsOf pixelsOf) {
    using Pixels = typename PixelsOf::Type;
    const auto sides = sidesOf<typename Pixels::Int>(op, op.src, op.dst);
    const std::int64_t count = op.dst.count() / Pixels::kLanes;
    const int vectors = static_cast<int>(op.dst.c / Pixels::kLanes);
    const auto go = [&]<int kTaps>() {
        forEach(stream, count, Forward<PoolingType::Max, kTaps, Pixels>{pixelsOf(op.src), pixelsOf(op.dst), sides, vectors});
    };
    if (ownKernel<Pixels>(op.window) == 2) return go.template operator()<2>();
    if (ownKernel<Pixels>(op.window) == 3) return go.template operator()<3>();
    go.template operator()<0>();
}

template <class Tap, class PixelsOf>
void maxGradient(const ops::PoolingGradient& op, CudaStream& stream, PixelsOf pixelsOf) {
    using Pixels = typename PixelsOf::Type;
    using Some = Lanes<Tap, Pixels::kLanes>;
    const auto sides = sidesOf<typename Pixels::Int>(op, op.diffSrc, op.diffDst);
    const std::int64_t windows = op.diffDst.count() / Pixels::kLanes;
    const int vectors = static_cast<int>(op.diffDst.c / Pixels::kLanes);
    auto* const notes = static_cast<Some*>(stream.scratch(static_cast<std::size_t>(windows) * sizeof(Some)));
    const auto note = [&]<int kTaps>() {
        forEach(stream, windows, NoteWinners<Pixels, Tap, kTaps>{pixelsOf(op.src), notes, sides, vectors});
    };
    const int own = ownKernel<Pixels>(op.window);
    if (own == 2) note.template operator()<2>();
    if (own == 3) note.template operator()<3>();
    if (own == 0) note.template operator()<0>();
    forEach(stream, op.diffSrc.count() / Pixels::kLanes,
            Gather<PoolingType::Max, Pixels, Tap>{pixelsOf(op.src), pixelsOf(op.diffDst), pixelsOf(op.diffSrc), notes, sides,
                                                  vectors});
}

template <class PixelsOf>
void otherGradient(const ops::PoolingGradient& op, CudaStream& stream, PixelsOf pixelsOf) {
    using Pixels = typename PixelsOf::Type;
    using Some = Lanes<float, Pixels::kLanes>;
    const auto sides = sidesOf<typename Pixels::Int>(op, op.diffSrc, op.diffDst);
    const std::int64_t windows = op.diffDst.count() / Pixels::kLanes, count = op.diffSrc.count() / Pixels::kLanes;
    const int vectors = static_cast<int>(op.diffDst.c / Pixels::kLanes);
    const Pixels diffDst = pixelsOf(op.diffDst), diffSrc = pixelsOf(op.diffSrc);
    if (op.type == PoolingType::Average) {
        forEach(stream, count,
                Gather<PoolingType::Average, Pixels, float>{diffSrc, diffDst, diffSrc, nullptr, sides, vectors});
        return;
    }
    auto* const notes = static_cast<Some*>(stream.scratch(static_cast<std::size_t>(windows) * sizeof(Some)));
    forEach(stream, windows, NoteNorms<Pixels>{pixelsOf(op.src), notes, sides, vectors});
    forEach(stream, count,
            Gather<PoolingType::L2Norm, Pixels, float>{pixelsOf(op.src), diffDst, diffSrc, notes, sides, vectors});
}

}  // namespace

void Cuda::run(const ops::PoolingForward& op, ops::Stream& stream) {
    if (op.dst.count() == 0) return;
    withWindows(op, op.src, op.dst, {&op.src, &op.dst}, [&](auto pixelsOf) {
        using Pixels = typename decltype(pixelsOf)::Type;
        if (op.type == PoolingType::Max) return maxForward(op, streamOf(stream), pixelsOf);
        const auto sides = sidesOf<typename Pixels::Int>(op, op.src, op.dst);
        const std::int64_t count = op.dst.count() / Pixels::kLanes;
        const int vectors = static_cast<int>(op.dst.c / Pixels::kLanes);
        const Pixels src = pixelsOf(op.src), dst = pixelsOf(op.dst);
        if (op.type == PoolingType::Average)
            forEach(streamOf(stream), count, Forward<PoolingType::Average, 0, Pixels>{src, dst, sides, vectors});
        else
            forEach(streamOf(stream), count, Forward<PoolingType::L2Norm, 0, Pixels>{src, dst, sides, vectors});
    });
}

void Cuda::run(const ops::PoolingGradient& op, ops::Stream& stream) {
    if (op.diffSrc.count() == 0) return;
    const bool average = op.type == PoolingType::Average;
    const ops::Tensor& src = average ? op.diffSrc : op.src;
    withWindows(op, op.diffSrc, op.diffDst, {&src, &op.diffDst, &op.diffSrc}, [&](auto pixelsOf) {
        if (op.type != PoolingType::Max) return otherGradient(op, streamOf(stream), pixelsOf);
        if (op.window.width * op.window.height <= 255) return maxGradient<std::uint8_t>(op, streamOf(stream), pixelsOf);
        maxGradient<std::uint32_t>(op, streamOf(stream), pixelsOf);
    });
}

}  // namespace pewter::PEWTER_CUDA_NAMESPACE
