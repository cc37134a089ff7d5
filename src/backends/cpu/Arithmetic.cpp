#include "backends/cpu/vector/Arithmetic.h"

#include <algorithm>
#include <cstring>

#include "backends/cpu/Cpu.h"
#include "backends/cpu/Runs.h"
#include "backends/cpu/vector/Reduction.h"

namespace pewter::cpu {

namespace {

/// Elements from `first` on of a mask that lies back to back, else null.
std::uint8_t* bytesOf(const ops::Tensor& mask, std::int64_t first) {
    const bool there = !mask.isNull() && mask.type == ops::Type::UInt8 && mask.isDense();
    return there ? static_cast<std::uint8_t*>(mask.data) + first : nullptr;
}

}  // namespace

void Cpu::run(const ops::Arithmetic& op, ops::Stream&) {
    const Source primary(op.primary), secondary(op.secondary);
    const Sink dst(op.dst), mask(op.mask);
    const auto arithmetic = PEWTER_VECTOR(arithmeticRun);
    forRuns(op.dst.count(), [&](std::int64_t first, std::int64_t count) {
        alignas(64) float a[kRun], b[kRun], out[kRun];
        std::uint8_t kept[kRun];
        const float* x = primary.read(first, count, a);
        const float* y = secondary.read(first, count, b);
        float* r = dst.room(first, count, out);
        std::uint8_t* const bytes = bytesOf(op.mask, first);
        arithmetic(op, x, y, r, bytes ? bytes : mask.isNull() ? nullptr : kept, count);
        dst.write(first, count, r);
        if (bytes || mask.isNull()) return;
        std::copy_n(kept, count, out);
        mask.write(first, count, out);
    });
}

namespace {

/// The element gradients e of an ops::ArithmeticGradient before the sum over broadcast axes.
class ElementGradient {
public:
    explicit ElementGradient(const ops::ArithmeticGradient& op)
        : diffDst_(op.diffDst),
          maskView_(op.mask),
          primaryScale_(op.primaryScale),
          secondaryScale_(op.secondaryScale) {
        const bool product =
            op.type == ops::ArithmeticType::Multiply || op.type == ops::ArithmeticType::Divide;
        if (product && !op.other.isNull()) other_ = Source(op.other);
        if (!op.mask.isNull()) mask_ = Source(op.mask);
    }
    /// Whether nothing but primaryScale is applied: then a sum is scaled at its end.
    bool isPlain() const { return other_.isNull() && mask_.isNull(); }
    /// Elements first .. first+count-1 as they are: where they lie, or in dst.
    const float* read(std::int64_t first, std::int64_t count, float* dst) const {
        return diffDst_.read(first, count, dst);
    }
    /// The gradients of these elements: where they lie, or in dst; room is memory for as many.
    const float* compute(std::int64_t first, std::int64_t count, float* dst, float* room) const {
        if (primaryScale_ == 1 && isPlain()) return read(first, count, dst);
        const std::uint8_t* const bytes = bytesOf(maskView_, first);
        const float* const values = diffDst_.read(first, count, room);
        if (bytes)
            PEWTER_VECTOR(maskRun)(values, primaryScale_, bytes, dst, count);
        else
            PEWTER_VECTOR(scaleRun)(values, primaryScale_, dst, count);
        const auto multiply = PEWTER_VECTOR(multiplyRun);
        if (!other_.isNull()) multiply(other_.read(first, count, room), secondaryScale_, dst, count);
        if (!mask_.isNull() && !bytes) multiply(mask_.read(first, count, room), 1, dst, count);
        return dst;
    }

private:
    Source diffDst_, other_, mask_;
    ops::Tensor maskView_;
    float primaryScale_, secondaryScale_;
};

/// The axes of diffDst, neighbours of one fate taken together: `outer` groups of `inner` rows, `width`
/// columns, `c` channels; which of the last three are summed.
struct Axes {
    Axes(const ops::Tensor& from, const ops::Tensor& to) : width(from.w), c(from.c) {
        const auto summed = [](std::int64_t extent, std::int64_t left) { return left == 1 && extent > 1; };
        sumWidth = summed(from.w, to.w);
        sumChannels = summed(from.c, to.c);
        const bool sumRows = summed(from.h, to.h), sumImages = summed(from.n, to.n);
        // Rows join the columns, images the rows, where both stay or both go; an axis of one element does
        // either.
        std::int64_t rows = from.h, images = from.n;
        bool rowsGo = sumRows;
        if (rows == 1 || width == 1 || rowsGo == sumWidth) {
            sumWidth = width == 1 ? rowsGo : sumWidth;
            width *= rows;
            rows = 1;
        }
        if (rows == 1 && (images == 1 || width == 1 || sumImages == sumWidth)) {
            sumWidth = width == 1 ? sumImages : sumWidth;
            width *= images;
            images = 1;
        }
        if (rows == 1) rowsGo = sumImages;
        if (images == 1 || rows == 1 || rowsGo == sumImages) {
            const bool go = images == 1 ? rowsGo : sumImages;
            outer = go ? 1 : images * rows;
            inner = go ? images * rows : 1;
        } else if (rowsGo) {
            outer = images;
            inner = rows;
        } else {
            // Images go, rows stay: the rows of one image lie `rows` apart.
            outer = rows;
            inner = images;
            interleaved = true;
        }
    }
    /// The row of diffDst that is the i-th of group o.
    std::int64_t row(std::int64_t o, std::int64_t i) const {
        return interleaved ? i * outer + o : o * inner + i;
    }
    bool sums() const { return inner > 1 || sumWidth || sumChannels; }
    /// Elements of diffSrc a group.
    std::int64_t results() const { return (sumWidth ? 1 : width) * (sumChannels ? 1 : c); }

    std::int64_t outer = 1, inner = 1, width, c;
    bool sumWidth = false, sumChannels = false, interleaved = false;
};

/// Adds `pixels` pixels of e, the first in column x, to the sums of their group.
void accumulate(const Axes& axes, const float* e, std::int64_t x, std::int64_t pixels, double* sums) {
    if (axes.sumWidth && axes.sumChannels) {
        sums[0] += PEWTER_VECTOR(sumRun)(e, pixels * axes.c);
    } else if (axes.sumWidth) {
        PEWTER_VECTOR(addPixels)(e, pixels, axes.c, sums);
    } else if (axes.sumChannels) {
        double one[kRun];
        PEWTER_VECTOR(sumChannels)(e, pixels, axes.c, one);
        for (std::int64_t p = 0; p < pixels; ++p) sums[x + p] += one[p];
    } else {
        PEWTER_VECTOR(addTo)(e, sums + x * axes.c, pixels * axes.c);
    }
}

}  // namespace

void Cpu::run(const ops::ArithmeticGradient& op, ops::Stream& stream) {
    const ElementGradient gradient(op);
    const Sink diffSrc(op.diffSrc);
    const Axes axes(op.diffDst, op.diffSrc);
    if (op.diffDst.count() == 0) return;
    if (!axes.sums()) {
        // The gradient of a sum is there already where a graph lets both lie in one place.
        if (gradient.isPlain() && op.primaryScale == 1 && op.diffSrc.data == op.diffDst.data &&
            op.diffSrc.type == op.diffDst.type && op.diffSrc.isDense() && op.diffDst.isDense())
            return;
        forRuns(op.diffDst.count(), [&](std::int64_t first, std::int64_t count) {
            alignas(64) float out[kRun], room[kRun];
            // The operands may be diffSrc itself: it is written last.
            const float* const e = gradient.compute(first, count, out, room);
            float* const to = diffSrc.room(first, count, room);
            if (to != e) std::memmove(to, e, static_cast<std::size_t>(count) * sizeof(float));
            diffSrc.write(first, count, to);
        });
        return;
    }

    Scratch::Frame frame(scratchOf(stream));
    const std::int64_t results = axes.results(), pixels = axes.inner * axes.width;
    const std::int64_t some = std::max<std::int64_t>(1, kRun / axes.c);
    const std::int64_t parts = partsOf(op.diffDst.count());
    // Many groups: each thread takes some of them. Few: all threads share each.
    const bool groupEach = axes.outer >= parts;
    auto* const sums = static_cast<double*>(
        frame.bytes(static_cast<std::size_t>((groupEach ? axes.outer : parts) * results) * sizeof(double)));
    float* const rooms = frame.floats(2 * parts * some * axes.c);
    float* const converted = frame.floats(results);
    const bool plain = gradient.isPlain();
    const double scale = plain ? static_cast<double>(op.primaryScale) : 1;
    const auto addRange = [&](std::int64_t part, std::int64_t group, std::int64_t from, std::int64_t to,
                              double* into) {
        float* const e = rooms + 2 * part * some * axes.c;
        std::fill_n(into, results, 0.0);
        while (from < to) {
            const std::int64_t x = from % axes.width;
            const std::int64_t length = std::min({some, axes.width - x, to - from});
            const std::int64_t first = (axes.row(group, from / axes.width) * axes.width + x) * axes.c;
            const float* const values = plain
                                            ? gradient.read(first, length * axes.c, e)
                                            : gradient.compute(first, length * axes.c, e, e + some * axes.c);
            accumulate(axes, values, x, length, into);
            from += length;
        }
    };
    const auto finish = [&](std::int64_t group, const double* from) {
        for (std::int64_t i = 0; i < results; ++i) converted[i] = static_cast<float>(scale * from[i]);
        diffSrc.write(group * results, results, converted);
    };
    if (groupEach) {
        forParts(parts, axes.outer, [&](std::int64_t part, std::int64_t from, std::int64_t to) {
            for (std::int64_t group = from; group < to; ++group)
                addRange(part, group, 0, pixels, sums + group * results);
        });
        for (std::int64_t group = 0; group < axes.outer; ++group) finish(group, sums + group * results);
        return;
    }
    for (std::int64_t group = 0; group < axes.outer; ++group) {
        forParts(parts, pixels, [&](std::int64_t part, std::int64_t from, std::int64_t to) {
            addRange(part, group, from, to, sums + part * results);
        });
        for (std::int64_t part = 1; part < parts; ++part)
            for (std::int64_t i = 0; i < results; ++i) sums[i] += sums[part * results + i];
        finish(group, sums);
    }
}

}  // namespace pewter::cpu
