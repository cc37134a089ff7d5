#include "backends/cuda/Cuda.h"
#include "backends/cuda/PoolingWindow.cuh"

// Results: a thread takes neighbouring channels of one window. Gradients are gathered: a first kernel notes, a value a
// window, which tap won (Max) or what its pixels are multiplied by (L2Norm), then a thread takes neighbouring channels of
// one pixel and looks at the windows that read it. So nothing is added twice at once, and the order of sums is fixed.

namespace pewter::PEWTER_CUDA_NAMESPACE {

namespace {

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

/// Where every pixel is in one window: the gradient goes to the winner, and zeros to the others, at once.
template <class Pixels, int kTaps>
struct GiveToWinners {
    using Int = typename Pixels::Int;
    Pixels src, diffDst, diffSrc;
    Sides<Int> sides;
    int vectors;

    PEWTER_DEVICE void operator()(std::int64_t i) const {
        const Place<Int> at(i, vectors, sides.y.outputs, sides.x.outputs);
        const auto diff = diffDst.load((at.n * sides.y.outputs + at.y) * sides.x.outputs + at.x, at.vector);
        Winners<Pixels::kLanes, unsigned> winners;
        winners.template findInside<kTaps>(src, sides, at);
        for (int k = 0; k < kTaps * kTaps; ++k) {
            typename Pixels::Sample out;
            for (int l = 0; l < Pixels::kLanes; ++l)
                fromFloat(out.lane[l], winners.tap[l] == static_cast<unsigned>(k) ? toFloat(diff.lane[l]) : 0.0f);
            const Int line = (at.n * sides.y.source + at.y * kTaps + k / kTaps) * sides.x.source;
            diffSrc.store(line + at.x * kTaps + k % kTaps, at.vector, out);
        }
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
    const int own = ownKernel<Pixels>(op.window);
    if (own != 0 && sides.y.isPartition() && sides.x.isPartition()) {
        const Pixels src = pixelsOf(op.src), diffDst = pixelsOf(op.diffDst), diffSrc = pixelsOf(op.diffSrc);
        if (own == 2) return forEach(stream, windows, GiveToWinners<Pixels, 2>{src, diffDst, diffSrc, sides, vectors});
        return forEach(stream, windows, GiveToWinners<Pixels, 3>{src, diffDst, diffSrc, sides, vectors});
    }
    auto* const notes = static_cast<Some*>(stream.scratch(static_cast<std::size_t>(windows + 1) * sizeof(Some)));
    const auto note = [&]<int kTaps>() {
        forEach(stream, windows, NoteWinners<Pixels, Tap, kTaps>{pixelsOf(op.src), notes, sides, vectors});
    };
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
    auto* const notes = static_cast<Some*>(stream.scratch(static_cast<std::size_t>(windows + 1) * sizeof(Some)));
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
