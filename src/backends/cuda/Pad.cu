#include "ops/Pad.h"

#include "backends/cuda/Cuda.h"
#include "backends/cuda/Lanes.cuh"

namespace pewter::PEWTER_CUDA_NAMESPACE {

namespace padding {

struct Offsets {
    std::int64_t y, x, c;
};

constexpr int kFillValues = 512;
struct FillValues {
    float value[kFillValues];
};

/// The value of channel c where nothing is read: `one` for all of them, or a value each.
struct OneFill {
    float one;
    PEWTER_HD float operator[](int) const { return one; }
};
struct EachFill {
    FillValues values;
    PEWTER_HD float operator[](int c) const { return values.value[c]; }
};

template <class Bits>
PEWTER_DEVICE void copyBits(const View& src, std::int64_t from, const View& dst, std::int64_t to) {
    reinterpret_cast<Bits*>(dst.data)[to] = reinterpret_cast<const Bits*>(src.data)[from];
}
/// Copies an element: the bits where the types are the same.
PEWTER_DEVICE void copyElement(const View& src, std::int64_t from, const View& dst, std::int64_t to) {
    if (src.type != dst.type) return storeAs(dst.type, dst.data, to, loadAs(src.type, src.data, from));
    switch (ops::sizeOf(src.type)) {
        case 1: return copyBits<std::uint8_t>(src, from, dst, to);
        case 2: return copyBits<std::uint16_t>(src, from, dst, to);
        default: return copyBits<std::uint32_t>(src, from, dst, to);
    }
}

template <class L, class Fill>
struct ForwardKernel {
    View src, dst;
    Offsets by;
    ops::PadEdge edge;
    Fill fill;

    PEWTER_DEVICE void operator()(std::int64_t i) const {
        const Position p = lanesAt<L>(dst, i);
        const std::int64_t v = ops::padIndex(p.h + by.y, src.h, edge), u = ops::padIndex(p.w + by.x, src.w, edge),
                           k = ops::padIndex(p.c + by.c, src.c, edge), to = offsetOf(dst, p);
        const bool reads = v >= 0 && u >= 0 && k >= 0;
        if (L::kCount == 1 && reads) return copyElement(src, src.offset(p.n, v, u, k), dst, to);
        float x[L::kCount];
        if (reads)
            L::load(src, src.offset(p.n, v, u, k), x);
        else
            for (int l = 0; l < L::kCount; ++l) x[l] = fill[p.c + l];
        L::store(dst, to, x);
    }
};
template <class L>
using ForwardOne = ForwardKernel<L, OneFill>;
template <class L>
using ForwardEach = ForwardKernel<L, EachFill>;

/// The positions of [0, outputs) of a padded axis that read one element of the source: up to two sequences of equal steps.
struct Readers {
    std::int64_t first[2], end[2], step;

    PEWTER_DEVICE Readers(std::int64_t element, std::int64_t extent, std::int64_t by, std::int64_t outputs,
                          ops::PadEdge edge)
        : first{element - by, 0}, end{element - by + 1, 0}, step(1) {
        using enum ops::PadEdge;
        if (edge == Clamp || ((edge == Mirror || edge == MirrorWithEdge) && extent == 1)) {
            if (element == 0) first[0] = 0;
            if (element == extent - 1) end[0] = outputs;
        } else if (edge == Mirror || edge == MirrorWithEdge) {
            step = edge == Mirror ? 2 * (extent - 1) : 2 * extent;
            const std::int64_t image = edge == Mirror ? -element : -1 - element;
            first[0] = lowest(element - by), end[0] = outputs;
            // Elements at the edge that a reflection leaves where they are have no second sequence.
            if ((image - element) % step != 0) first[1] = lowest(image - by), end[1] = outputs;
        }
        if (first[0] < 0) first[0] = 0;
        if (end[0] > outputs) end[0] = outputs;
    }

private:
    PEWTER_DEVICE std::int64_t lowest(std::int64_t position) const { return (position % step + step) % step; }
};

template <class L>
struct GradientKernel {
    View diffDst, diffSrc;
    Offsets by;
    ops::PadEdge edge;

    PEWTER_DEVICE void addRow(int n, std::int64_t y, const Readers& columns, const Readers& channels,
                              float (&sum)[L::kCount]) const {
        for (int q = 0; q < 2; ++q)
            for (std::int64_t x = columns.first[q]; x < columns.end[q]; x += columns.step)
                for (int r = 0; r < 2; ++r)
                    for (std::int64_t c = channels.first[r]; c < channels.end[r]; c += channels.step) {
                        float g[L::kCount];
                        L::load(diffDst, diffDst.offset(n, y, x, c), g);
                        for (int l = 0; l < L::kCount; ++l) sum[l] += g[l];
                    }
    }

    PEWTER_DEVICE void operator()(std::int64_t i) const {
        const Position p = lanesAt<L>(diffSrc, i);
        const Readers rows(p.h, diffSrc.h, by.y, diffDst.h, edge), columns(p.w, diffSrc.w, by.x, diffDst.w, edge),
            channels(p.c, diffSrc.c, by.c, diffDst.c, L::kCount == 1 ? edge : ops::PadEdge::Zero);
        float sum[L::kCount] = {};
        for (int q = 0; q < 2; ++q)
            for (std::int64_t y = rows.first[q]; y < rows.end[q]; y += rows.step) {
                float row[L::kCount] = {};
                addRow(p.n, y, columns, channels, row);
                for (int l = 0; l < L::kCount; ++l) sum[l] += row[l];
            }
        L::store(diffSrc, offsetOf(diffSrc, p), sum);
    }
};

/// Whether neighbouring channels are read as they lie, or not at all.
template <class Op>
bool keepsLanes(const Op& op, const ops::Tensor& padded, const ops::Tensor& source) {
    const auto lanes = static_cast<std::int64_t>(16 / ops::sizeOf(source.type));
    const bool fills = op.edge == ops::PadEdge::Zero || op.edge == ops::PadEdge::Constant;
    return op.offsetC % lanes == 0 && source.c % lanes == 0 &&
           (fills || (op.offsetC >= 0 && op.offsetC + padded.c <= source.c));
}

}  // namespace padding

void Cuda::run(const ops::PadForward& op, ops::Stream& s) {
    using namespace padding;
    CudaStream& stream = streamOf(s);
    const bool wide = keepsLanes(op, op.dst, op.src), constant = op.edge == ops::PadEdge::Constant;
    if (!constant || !op.fillValues) {
        const OneFill fill{constant ? op.fillValue : 0};
        return forLanes<ForwardOne>(stream, op.dst, {&op.src}, wide, viewOf(op.src), viewOf(op.dst),
                                    Offsets{op.offsetY, op.offsetX, op.offsetC}, op.edge, fill);
    }
    for (std::int64_t first = 0; first < op.dst.c; first += kFillValues) {
        ops::Tensor some = op.dst;
        const auto size = static_cast<std::int64_t>(ops::sizeOf(some.type));
        some.data = static_cast<char*>(op.dst.data) + first * op.dst.strideC * size;
        some.c = std::min<std::int64_t>(kFillValues, op.dst.c - first);
        EachFill fill{};
        std::copy_n(op.fillValues + first, some.c, fill.values.value);
        forLanes<ForwardEach>(stream, some, {&op.src}, wide, viewOf(op.src), viewOf(some),
                              Offsets{op.offsetY, op.offsetX, op.offsetC + first}, op.edge, fill);
    }
}

void Cuda::run(const ops::PadGradient& op, ops::Stream& stream) {
    using namespace padding;
    forLanes<GradientKernel>(streamOf(stream), op.diffSrc, {&op.diffDst}, keepsLanes(op, op.diffDst, op.diffSrc),
                             viewOf(op.diffDst), viewOf(op.diffSrc), Offsets{op.offsetY, op.offsetX, op.offsetC}, op.edge);
}

}  // namespace pewter::PEWTER_CUDA_NAMESPACE
