#include "ops/Upsampling.h"

#include "backends/cuda/Cuda.h"
#include "backends/cuda/Lanes.cuh"

namespace pewter::PEWTER_CUDA_NAMESPACE {

namespace resampling {

/// ops::ResampleTap with both weights.
struct alignas(16) Tap {
    int a, b;
    float weightA, weightB;
};

/// The outputs [first, end) that may read a pixel.
struct Readers {
    int first, end;
};

constexpr int kViews = 32;
struct SomeViews {
    ops::ResampleView view[kViews];
};

struct Extents {
    int h, w;
};

/// Taps of all rows, then of all columns of dst, view after view.
struct FillTaps {
    SomeViews views;
    ops::ResampleType type;
    bool zeroOutside;
    Extents src, dst;
    Tap* taps;

    PEWTER_DEVICE void operator()(std::int64_t i) const {
        const int each = dst.h + dst.w, k = static_cast<int>(i % each);
        const ops::ResampleView& view = views.view[i / each];
        const bool isRow = k < dst.h;
        const auto tap = ops::resampleTap(isRow ? view.y : view.x, type, zeroOutside, isRow ? src.h : src.w,
                                          isRow ? k : k - dst.h);
        taps[i] = {static_cast<int>(tap.a), static_cast<int>(tap.b), static_cast<float>(1 - tap.fraction),
                   static_cast<float>(tap.fraction)};
    }
};

/// The first output from which on all lie at pixel `target` or beyond, or on an axis that runs backwards before it. Close
/// to where the position equals it; the taps themselves decide.
PEWTER_DEVICE int firstBeyond(const ops::ResampleAxis& axis, ops::ResampleType type, int extent, int outputs, int target,
                              bool backwards) {
    if (target <= 0) return backwards ? outputs : 0;
    if (target >= extent) return backwards ? 0 : outputs;
    const double guess = (target - axis.first) * axis.denominator / axis.numerator;
    int i = !(guess > 0) ? 0 : guess < outputs ? static_cast<int>(guess) : outputs;
    while (i > 0 && (ops::resampleTap(axis, type, false, extent, i - 1).a >= target) != backwards) --i;
    while (i < outputs && (ops::resampleTap(axis, type, false, extent, i).a >= target) == backwards) ++i;
    return i;
}

/// The readers of all rows, then of all columns of the source.
struct FillReaders {
    ops::ResampleView view;
    ops::ResampleType type;
    Extents src, dst;
    Readers* readers;

    PEWTER_DEVICE void operator()(std::int64_t i) const {
        const bool isRow = i < src.h;
        const ops::ResampleAxis& axis = isRow ? view.y : view.x;
        const int pixel = static_cast<int>(isRow ? i : i - src.h);
        const int extent = isRow ? src.h : src.w, outputs = isRow ? dst.h : dst.w;
        // Nothing depends on the sign of a step of 0: then all or no outputs read the pixel.
        const bool backwards = axis.numerator / axis.denominator < 0;
        const int low = firstBeyond(axis, type, extent, outputs, type == ops::ResampleType::Nearest ? pixel : pixel - 1,
                                    backwards);
        const int high = firstBeyond(axis, type, extent, outputs, pixel + 1, backwards);
        readers[i] = backwards ? Readers{high, low} : Readers{low, high};
    }
};

/// Both tables of a gradient in one launch.
struct FillBoth {
    FillTaps taps;
    FillReaders readers;

    PEWTER_DEVICE void operator()(std::int64_t i) const {
        const std::int64_t outputs = std::int64_t{1} * taps.dst.h + taps.dst.w;
        if (i < outputs)
            taps(i);
        else
            readers(i - outputs);
    }
};

template <class L>
struct Forward {
    View src, dst;
    int views;
    const Tap* taps;

    /// Two pixels of a row by their nearness.
    PEWTER_DEVICE void row(const Tap& u, std::int64_t at, float (&x)[L::kCount]) const {
        L::load(src, at + u.a * src.strideW, x);
        if (u.weightB == 0) return;
        float y[L::kCount];
        L::load(src, at + u.b * src.strideW, y);
        for (int l = 0; l < L::kCount; ++l) x[l] = u.weightA * x[l] + u.weightB * y[l];
    }

    PEWTER_DEVICE void operator()(std::int64_t i) const {
        const Position p = lanesAt<L>(dst, i);
        const int image = p.n / views;
        const Tap* const own = taps + std::int64_t{1} * (p.n - image * views) * (dst.h + dst.w);
        const Tap v = own[p.h], u = own[dst.h + p.w];
        float x[L::kCount] = {};
        if (v.a >= 0 && u.a >= 0) {
            row(u, src.offset(image, v.a, 0, p.c), x);
            if (v.weightB != 0) {
                float y[L::kCount];
                row(u, src.offset(image, v.b, 0, p.c), y);
                for (int l = 0; l < L::kCount; ++l) x[l] = v.weightA * x[l] + v.weightB * y[l];
            }
        }
        L::store(dst, offsetOf(dst, p), x);
    }
};

/// Every pixel of the source gathers from the outputs that read it.
template <class L>
struct Gradient {
    View diffDst, diffSrc;
    const Tap* taps;
    const Readers* readers;

    PEWTER_DEVICE void operator()(std::int64_t i) const {
        const Position p = lanesAt<L>(diffSrc, i);
        const Readers rows = readers[p.h], columns = readers[diffSrc.h + p.w];
        float sum[L::kCount] = {};
        for (int y = rows.first; y < rows.end; ++y) {
            const Tap v = taps[y];
            const float weight = v.a == p.h ? v.weightA : v.weightB;
            if (weight == 0) continue;
            const std::int64_t at = diffDst.offset(p.n, y, 0, p.c);
            float row[L::kCount] = {};
            for (int x = columns.first; x < columns.end; ++x) {
                const Tap u = taps[diffDst.h + x];
                const float share = u.a == p.w ? u.weightA : u.weightB;
                if (share == 0) continue;
                float g[L::kCount];
                L::load(diffDst, at + x * diffDst.strideW, g);
                for (int l = 0; l < L::kCount; ++l) row[l] += share * g[l];
            }
            for (int l = 0; l < L::kCount; ++l) sum[l] += weight * row[l];
        }
        L::store(diffSrc, offsetOf(diffSrc, p), sum);
    }
};

Extents extentsOf(const ops::Tensor& t) { return {static_cast<int>(t.h), static_cast<int>(t.w)}; }

/// Tables are made on the device, once a run: a position costs a division in double.
void fillTaps(CudaStream& stream, FillTaps fill, const ops::ResampleView* views, std::int64_t count) {
    const std::int64_t each = fill.dst.h + fill.dst.w;
    for (std::int64_t v = 0; v < count; v += kViews) {
        const std::int64_t some = std::min<std::int64_t>(kViews, count - v);
        std::copy_n(views + v, some, fill.views.view);
        forEach(stream, some * each, fill);
        fill.taps += some * each;
    }
}

}  // namespace resampling

void Cuda::run(const ops::ResampleForward& op, ops::Stream& s) {
    using namespace resampling;
    if (op.dst.count() == 0) return;
    CudaStream& stream = streamOf(s);
    const std::int64_t entries = op.viewCount * (op.dst.h + op.dst.w);
    auto* const taps = resolve(static_cast<Tap*>(stream.scratch(static_cast<std::size_t>(entries) * sizeof(Tap))));
    fillTaps(stream, {{}, op.type, op.zeroOutside, extentsOf(op.src), extentsOf(op.dst), taps}, op.views, op.viewCount);
    forLanes<Forward>(stream, op.dst, {&op.src}, true, viewOf(op.src), viewOf(op.dst), static_cast<int>(op.viewCount), taps);
}

void Cuda::run(const ops::ResampleGradient& op, ops::Stream& s) {
    using namespace resampling;
    if (op.diffSrc.count() == 0) return;
    CudaStream& stream = streamOf(s);
    const std::int64_t outputs = op.diffDst.h + op.diffDst.w, pixels = op.diffSrc.h + op.diffSrc.w;
    const auto tapBytes = static_cast<std::size_t>(outputs) * sizeof(Tap);
    auto* const taps = resolve(static_cast<Tap*>(
        stream.scratch(tapBytes + static_cast<std::size_t>(pixels) * sizeof(Readers))));
    auto* const readers = reinterpret_cast<Readers*>(taps + outputs);
    const Extents src = extentsOf(op.diffSrc), dst = extentsOf(op.diffDst);
    forEach(stream, outputs + pixels,
            FillBoth{{{{op.view}}, op.type, false, src, dst, taps}, {op.view, op.type, src, dst, readers}});
    forLanes<Gradient>(stream, op.diffSrc, {&op.diffDst}, true, viewOf(op.diffDst), viewOf(op.diffSrc), taps, readers);
}

}  // namespace pewter::PEWTER_CUDA_NAMESPACE
