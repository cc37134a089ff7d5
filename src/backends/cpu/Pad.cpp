#include <algorithm>
#include <cstring>

#include "backends/cpu/Cpu.h"
#include "backends/cpu/Runs.h"
#include "backends/cpu/vector/Arithmetic.h"
#include "ops/Copy.h"

namespace pewter::cpu {

namespace {

/// One axis of a padded image: where each position is read, and the stretch [from, to) that lies inside the
/// source.
struct PadAxis {
    PadAxis(std::int64_t padded, std::int64_t source, std::int64_t by, ops::PadEdge edge,
            Scratch::Frame& frame)
        : extent(padded),
          offset(by),
          from(std::clamp<std::int64_t>(-by, 0, padded)),
          to(std::clamp<std::int64_t>(source - by, from, padded)) {
        auto* table =
            static_cast<std::int64_t*>(frame.bytes(static_cast<std::size_t>(padded) * sizeof(std::int64_t)));
        for (std::int64_t i = 0; i < padded; ++i) table[i] = ops::padIndex(i + by, source, edge);
        reads = table;
    }
    bool isWhole() const { return from == 0 && to == extent; }
    bool isInside(std::int64_t i) const { return i >= from && i < to; }

    std::int64_t extent, offset, from, to;
    const std::int64_t* reads;
};

struct PadAxes {
    template <class Op>
    PadAxes(const Op& op, const ops::Tensor& padded, const ops::Tensor& source, Scratch::Frame& frame)
        : y(padded.h, source.h, op.offsetY, op.edge, frame),
          x(padded.w, source.w, op.offsetX, op.edge, frame),
          c(padded.c, source.c, op.offsetC, op.edge, frame) {}
    PadAxis y, x, c;
};

bool channelsAdjacent(const ops::Tensor& t) { return t.c == 1 || t.strideC == 1; }

/// Copies the bits of elements of one size; channels lie back to back on both sides.
template <class Element>
class Padding {
public:
    Padding(const PadAxes& axes, const ops::Tensor& src, const ops::Tensor& dst, const void* filled,
            bool zero)
        : axes_(axes), src_(src), dst_(dst), filled_(static_cast<const Element*>(filled)), zero_(zero) {}

    void row(std::int64_t n, std::int64_t y) const {
        auto* const out = static_cast<Element*>(at(dst_, n, y, 0));
        const std::int64_t v = axes_.y.reads[y];
        if (v < 0) return fill(out, 0, dst_.w);
        const auto* const in = static_cast<const Element*>(at(src_, n, v, 0));
        border(in, out, 0, axes_.x.from);
        inside(in, out);
        border(in, out, axes_.x.to, dst_.w);
    }

private:
    void fill(Element* out, std::int64_t from, std::int64_t to) const {
        if (zero_ && dst_.strideW == dst_.c)
            return static_cast<void>(std::memset(
                out + from * dst_.c, 0, static_cast<std::size_t>((to - from) * dst_.c) * sizeof(Element)));
        for (std::int64_t x = from; x < to; ++x) std::copy_n(filled_, dst_.c, out + x * dst_.strideW);
    }
    void pixel(const Element* in, Element* out) const {
        const PadAxis& c = axes_.c;
        for (std::int64_t k = 0; k < c.from; ++k) out[k] = c.reads[k] < 0 ? filled_[k] : in[c.reads[k]];
        std::copy_n(in + c.from + c.offset, c.to - c.from, out + c.from);
        for (std::int64_t k = c.to; k < c.extent; ++k) out[k] = c.reads[k] < 0 ? filled_[k] : in[c.reads[k]];
    }
    void border(const Element* in, Element* out, std::int64_t from, std::int64_t to) const {
        for (std::int64_t x = from; x < to; ++x) {
            const std::int64_t u = axes_.x.reads[x];
            if (u < 0)
                fill(out, x, x + 1);
            else
                pixel(in + u * src_.strideW, out + x * dst_.strideW);
        }
    }
    void inside(const Element* in, Element* out) const {
        const std::int64_t from = axes_.x.from, to = axes_.x.to;
        if (axes_.c.isWhole() && src_.strideW == dst_.c && dst_.strideW == dst_.c) {
            std::copy_n(in + (from + axes_.x.offset) * dst_.c + axes_.c.offset, (to - from) * dst_.c,
                        out + from * dst_.c);
            return;
        }
        for (std::int64_t x = from; x < to; ++x)
            pixel(in + (x + axes_.x.offset) * src_.strideW, out + x * dst_.strideW);
    }

    const PadAxes& axes_;
    ops::Tensor src_, dst_;
    const Element* filled_;
    bool zero_;
};

template <class Element>
void pad(const PadAxes& axes, const ops::Tensor& src, const ops::Tensor& dst, const void* filled, bool zero) {
    const Padding<Element> padding(axes, src, dst, filled, zero);
    const std::int64_t grain = kElementGrain / std::max<std::int64_t>(1, dst.w * dst.c);
    parallelFor(0, dst.n * dst.h, grain, [&](std::int64_t from, std::int64_t to) {
        for (std::int64_t row = from; row < to; ++row) padding.row(row / dst.h, row % dst.h);
    });
}

}  // namespace

void Cpu::run(const ops::PadForward& op, ops::Stream& stream) {
    if (op.dst.count() == 0) return;
    Scratch::Frame frame(scratchOf(stream));
    const bool direct = op.src.type == op.dst.type && channelsAdjacent(op.src) && channelsAdjacent(op.dst);
    const ops::Tensor src = direct ? op.src : staged(op.src, frame);
    const StagedOutput converted(direct ? ops::Tensor() : op.dst, frame);
    const ops::Tensor& dst = direct ? op.dst : converted.view();
    const PadAxes axes(op, dst, src, frame);

    // A filled pixel.
    const bool constant = op.edge == ops::PadEdge::Constant;
    float* const values = frame.floats(dst.c);
    for (std::int64_t c = 0; c < dst.c; ++c)
        values[c] = !constant ? 0 : op.fillValues ? op.fillValues[c] : op.fillValue;
    void* const filled = frame.bytes(static_cast<std::size_t>(dst.c) * ops::sizeOf(dst.type));
    storeRun(values, filled, dst.type, 1, dst.c);

    switch (ops::sizeOf(dst.type)) {
        case 1:
            pad<std::uint8_t>(axes, src, dst, filled, !constant);
            break;
        case 2:
            pad<std::uint16_t>(axes, src, dst, filled, !constant);
            break;
        default:
            pad<std::uint32_t>(axes, src, dst, filled, !constant);
    }
    if (!direct) converted.finish();
}

namespace {

/// For every row of the source the rows of the padded image that read it: order[first[v]] ..
/// order[first[v+1]].
struct Readers {
    Readers(const PadAxis& axis, std::int64_t source, Scratch::Frame& frame) {
        const auto take = [&](std::int64_t count) {
            return static_cast<std::int64_t*>(
                frame.bytes(static_cast<std::size_t>(count) * sizeof(std::int64_t)));
        };
        first = take(source + 2);
        order = take(axis.extent);
        std::fill_n(first, source + 2, std::int64_t{0});
        for (std::int64_t i = 0; i < axis.extent; ++i)
            if (axis.reads[i] >= 0) ++first[axis.reads[i] + 2];
        for (std::int64_t v = 1; v < source + 2; ++v) first[v] += first[v - 1];
        for (std::int64_t i = 0; i < axis.extent; ++i)
            if (axis.reads[i] >= 0) order[first[axis.reads[i] + 1]++] = i;
    }
    std::int64_t *first, *order;
};

/// The longest stretch [from, to) of source columns that are read once and lie inside; both at the end when
/// there is none.
struct Middle {
    Middle(const PadAxis& axis, std::int64_t source, Scratch::Frame& frame) : from(source), to(source) {
        auto* const reads =
            static_cast<std::int64_t*>(frame.bytes(static_cast<std::size_t>(source) * sizeof(std::int64_t)));
        std::fill_n(reads, source, std::int64_t{0});
        for (std::int64_t i = 0; i < axis.extent; ++i)
            if (axis.reads[i] >= 0) ++reads[axis.reads[i]];
        for (std::int64_t u = 0; u < source; ++u) {
            std::int64_t end = u;
            while (end < source && reads[end] == 1 && axis.isInside(end - axis.offset)) ++end;
            if (end - u > to - from) from = u, to = end;
            u = std::max(u, end);
        }
    }
    std::int64_t from, to;
};

/// Adds `pixels` pixels of a padded row, the first in column x, to the sums of the source row.
void fold(const PadAxes& axes, const float* values, std::int64_t x, std::int64_t pixels,
          std::int64_t channels, double* sums) {
    const PadAxis& c = axes.c;
    const auto addTo = PEWTER_VECTOR(addTo);
    for (std::int64_t i = 0; i < pixels;) {
        const std::int64_t u = axes.x.reads[x + i];
        if (u < 0) {
            ++i;
            continue;
        }
        std::int64_t many = 1;
        double* const into = sums + u * channels;
        const float* const from = values + i * c.extent;
        if (c.isWhole() && c.extent == channels) {
            // Pixels inside land side by side.
            if (axes.x.isInside(x + i)) many = std::min(axes.x.to - x - i, pixels - i);
            addTo(from, into, many * channels);
        } else {
            for (std::int64_t k = 0; k < c.from; ++k)
                if (c.reads[k] >= 0) into[c.reads[k]] += static_cast<double>(from[k]);
            addTo(from + c.from, into + c.from + c.offset, c.to - c.from);
            for (std::int64_t k = c.to; k < c.extent; ++k)
                if (c.reads[k] >= 0) into[c.reads[k]] += static_cast<double>(from[k]);
        }
        i += many;
    }
}

/// Whether every element of the source is read exactly once, or outside the padded image, and so a copy does.
bool isSlice(const ops::PadGradient& op) {
    const bool fills = op.edge == ops::PadEdge::Zero || op.edge == ops::PadEdge::Constant;
    return fills && op.offsetC <= 0 && op.diffSrc.c - op.offsetC <= op.diffDst.c;
}

}  // namespace

void Cpu::run(const ops::PadGradient& op, ops::Stream& stream) {
    if (op.diffSrc.count() == 0) return;
    if (isSlice(op)) {
        ops::Copy copy;
        copy.src = op.diffDst;
        copy.src.data =
            static_cast<std::byte*>(op.diffDst.data) -
            op.offsetC * op.diffDst.strideC * static_cast<std::int64_t>(ops::sizeOf(op.diffDst.type));
        copy.src.c = op.diffSrc.c;
        copy.dst = op.diffSrc;
        copy.offsetX = -op.offsetX;
        copy.offsetY = -op.offsetY;
        return run(copy, stream);
    }
    Scratch::Frame frame(scratchOf(stream));
    const ops::Tensor &from = op.diffDst, &to = op.diffSrc;
    const PadAxes axes(op, from, to, frame);
    const Readers readers(axes.y, to.h, frame);
    const Middle middle(axes.x, to.w, frame);
    const bool plain = axes.c.isWhole() && from.c == to.c;
    const Source source(from);
    const Sink sink(to);
    const std::int64_t length = to.w * to.c, some = std::max<std::int64_t>(1, kRun / from.c);
    const std::int64_t parts = partsOf(from.count());
    auto* const allSums =
        static_cast<double*>(frame.bytes(static_cast<std::size_t>(parts * length) * sizeof(double)));
    float* const rooms = frame.floats(parts * (some * from.c + length));
    forParts(parts, to.n * to.h, [&](std::int64_t part, std::int64_t first, std::int64_t end) {
        double* const sums = allSums + part * length;
        float *const in = rooms + part * (some * from.c + length), *const out = in + some * from.c;
        for (std::int64_t row = first; row < end; ++row) {
            const std::int64_t n = row / to.h, v = row % to.h;
            float* const room = sink.room(row * length, length, out);
            // Pixels [left, right) are read once, in a row that is read once.
            const bool once = readers.first[v + 1] - readers.first[v] == 1 && plain;
            const std::int64_t left = once ? middle.from : to.w, right = once ? middle.to : to.w;
            std::fill_n(sums, left * to.c, 0.0);
            std::fill_n(sums + right * to.c, (to.w - right) * to.c, 0.0);
            for (std::int64_t i = readers.first[v]; i < readers.first[v + 1]; ++i) {
                const std::int64_t start = (n * from.h + readers.order[i]) * from.w;
                const auto foldRange = [&](std::int64_t x, std::int64_t xEnd) {
                    for (; x < xEnd; x += some) {
                        const std::int64_t pixels = std::min(some, xEnd - x);
                        fold(axes, source.read((start + x) * from.c, pixels * from.c, in), x, pixels, to.c,
                             sums);
                    }
                };
                if (left == right) {
                    foldRange(0, from.w);
                    continue;
                }
                foldRange(0, left - op.offsetX);
                foldRange(right - op.offsetX, from.w);
                for (std::int64_t u = left; u < right; u += some) {
                    const std::int64_t count = std::min(some, right - u) * to.c;
                    std::copy_n(source.read((start + u - op.offsetX) * from.c, count, in), count,
                                room + u * to.c);
                }
            }
            for (std::int64_t i = 0; i < left * to.c; ++i) room[i] = static_cast<float>(sums[i]);
            for (std::int64_t i = right * to.c; i < length; ++i) room[i] = static_cast<float>(sums[i]);
            sink.write(row * length, length, room);
        }
    });
}

}  // namespace pewter::cpu
