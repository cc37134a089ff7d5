#include "backends/cpu/vector/Upsampling.h"

#include <algorithm>
#include <limits>

#include "backends/cpu/Cpu.h"
#include "backends/cpu/Parallel.h"
#include "backends/cpu/Runs.h"

namespace pewter::cpu {

using ops::Tensor;

namespace {

/// From this number of channels on, loops over the channels of a pixel pay; below, loops over the elements of
/// a row that gather what they read.
constexpr std::int64_t kManyChannels = 16;
/// Results from this size on go past the caches: nothing of them would be left there for their reader.
constexpr std::int64_t kStreamedFloats = std::int64_t{2} << 20;

template <class T>
T* take(std::int64_t count, Scratch::Frame& frame) {
    return static_cast<T*>(frame.bytes(static_cast<std::size_t>(count) * sizeof(T)));
}

ResampleStep stepOf(const ops::ResampleTap& tap) {
    const auto b = static_cast<float>(tap.fraction);
    return {tap.a, tap.b, b == 0 ? 1.0f : static_cast<float>(1 - tap.fraction), b};
}

bool fitsGather(const Tensor& row) {
    return row.c < kManyChannels && row.w * row.c < std::numeric_limits<std::int32_t>::max();
}

/// Tables for `count` elements with `readers` each, out of rows of `length` elements. element(k, t) is what
/// reader t of element k reads, weight(k, t) its weight; -1 for a reader that is missing.
template <class Element, class Weight>
ResampleGather gatherOf(std::int64_t count, std::int64_t readers, std::int64_t length, bool weighted,
                        Scratch::Frame& frame, Element element, Weight weight) {
    const std::int64_t lanes = PEWTER_VECTOR(gatherLanes)(), registers = PEWTER_VECTOR(gatherRegisters)();
    ResampleGather g;
    g.count = count, g.readers = readers, g.blocks = (count + lanes - 1) / lanes;
    const std::int64_t entries = readers * g.blocks;
    auto* const windows = take<std::int64_t>(entries, frame);
    auto* const widths = take<std::int32_t>(entries, frame);
    auto* const places = take<std::int32_t>(entries * lanes, frame);
    float* const weights = weighted ? frame.floats(entries * lanes) : nullptr;
    for (std::int64_t at = 0; at < entries; ++at) {
        const std::int64_t t = at % readers, first = at / readers * lanes;
        const std::int64_t end = std::min(first + lanes, count);
        std::int64_t least = length, most = -1;
        for (std::int64_t k = first; k < end; ++k) {
            const std::int64_t e = element(k, t);
            if (e >= 0) least = std::min(least, e), most = std::max(most, e);
        }
        if (most < 0) least = most = 0;
        std::int64_t width = 0;
        for (std::int64_t wide = 4; wide >= 2; wide -= 2)
            if (wide <= registers && most - least < wide * lanes && length >= wide * lanes) width = wide;
        // A window does not leave the row.
        const std::int64_t start = width > 0 ? std::min(least, length - width * lanes) : least;
        windows[at] = start, widths[at] = static_cast<std::int32_t>(width);
        for (std::int64_t i = 0; i < lanes; ++i) {
            const std::int64_t e = first + i < end ? element(first + i, t) : -1;
            // What reads nothing reads an element of the window's with weight 0.
            places[at * lanes + i] = static_cast<std::int32_t>((e < 0 ? least : e) - start);
            if (weighted) weights[at * lanes + i] = e < 0 ? 0.0f : weight(first + i, t);
        }
    }
    g.windows = windows, g.widths = widths, g.places = places, g.weights = weights;
    return g;
}

/// The readers of each of `extent` pixels of an axis, in the order of the outputs.
struct Readers {
    ResampleReaders table;
    std::int64_t most = 0;

    Readers(const ops::ResampleAxis& axis, ops::ResampleType type, std::int64_t extent, std::int64_t outputs,
            Scratch::Frame& frame) {
        auto* const start = take<std::int64_t>(extent + 2, frame);
        auto* const output = take<std::int64_t>(2 * outputs, frame);
        float* const weight = frame.floats(2 * outputs);
        const auto forReads = [&](auto visit) {
            for (std::int64_t i = 0; i < outputs; ++i) {
                const ResampleStep step = stepOf(resampleTap(axis, type, false, extent, i));
                visit(step.a, i, step.weightA);
                if (step.weightB != 0) visit(step.b, i, step.weightB);
            }
        };
        // Counted one entry further on, so that filling moves each start to where it belongs.
        std::fill_n(start, extent + 2, 0);
        forReads([&](std::int64_t pixel, std::int64_t, float) { ++start[pixel + 2]; });
        for (std::int64_t i = 0; i < extent; ++i) most = std::max(most, start[i + 2]);
        for (std::int64_t i = 2; i < extent + 2; ++i) start[i] += start[i - 1];
        forReads([&](std::int64_t pixel, std::int64_t i, float w) {
            const std::int64_t at = start[pixel + 1]++;
            output[at] = i, weight[at] = w;
        });
        table = {start, output, weight};
    }
};

/// fn(from, to, line) for parts of `rows`, each with `lineLength` floats of its own.
template <class Fn>
void forRows(std::int64_t rows, std::int64_t elements, std::int64_t lineLength, Scratch::Frame& frame,
             Fn&& fn) {
    const std::int64_t parts = std::min(rows, partsOf(elements));
    const std::int64_t room = (lineLength + kRunAlignment - 1) / kRunAlignment * kRunAlignment;
    float* const lines = frame.floats(parts * room);
    forParts(parts, rows, [&](std::int64_t part, std::int64_t from, std::int64_t to) {
        fn(from, to, lines + part * room);
    });
}

}  // namespace

void Cpu::run(const ops::ResampleForward& op, ops::Stream& stream) {
    Scratch::Frame frame(scratchOf(stream));
    const Tensor src = staged(op.src, frame);
    const StagedOutput dst(op.dst, frame);
    ResamplePlan plan;
    plan.src = static_cast<const float*>(src.data), plan.dst = dst.data();
    plan.h = src.h, plan.w = src.w, plan.c = src.c;
    plan.outH = op.dst.h, plan.outW = op.dst.w, plan.views = op.viewCount;
    // Mixing whole rows does not pay where most of their pixels are skipped.
    plan.rowsFirst = plan.views == 1 && plan.outH < plan.h && plan.w <= 2 * plan.outW;
    plan.streaming = !plan.rowsFirst && isPlain(op.dst) && op.dst.count() >= kStreamedFloats;
    auto* const rows = take<ResampleStep>(plan.views * plan.outH, frame);
    auto* const columns = take<ResampleStep>(plan.views * plan.outW, frame);
    bool leaves = false;
    for (std::int64_t v = 0; v < plan.views; ++v) {
        for (std::int64_t y = 0; y < plan.outH; ++y)
            rows[v * plan.outH + y] = stepOf(resampleTap(op.views[v].y, op.type, op.zeroOutside, plan.h, y));
        for (std::int64_t x = 0; x < plan.outW; ++x) {
            const auto tap = resampleTap(op.views[v].x, op.type, op.zeroOutside, plan.w, x);
            columns[v * plan.outW + x] = stepOf(tap);
            leaves = leaves || tap.a < 0;
        }
    }
    plan.rows = rows, plan.columns = columns;
    if (plan.views == 1 && !leaves && fitsGather(src)) {
        const bool nearest = op.type == ops::ResampleType::Nearest;
        const std::int64_t c = plan.c;
        plan.gather = gatherOf(
            plan.outW * c, nearest ? 1 : 2, plan.w * c, !nearest, frame,
            [=](std::int64_t k, std::int64_t t) {
                const ResampleStep& step = columns[k / c];
                if (t == 1 && step.weightB == 0) return std::int64_t{-1};
                return (t == 0 ? step.a : step.b) * c + k % c;
            },
            [=](std::int64_t k, std::int64_t t) {
                return t == 0 ? columns[k / c].weightA : columns[k / c].weightB;
            });
    }
    const auto run = PEWTER_VECTOR(resampleRows);
    forRows(op.dst.n * plan.outH, op.dst.count(),
            std::max(2 * plan.outW, plan.rowsFirst ? plan.w : 0) * plan.c, frame,
            [&](std::int64_t from, std::int64_t to, float* lines) { run(plan, from, to, lines); });
    dst.finish();
}

void Cpu::run(const ops::ResampleGradient& op, ops::Stream& stream) {
    Scratch::Frame frame(scratchOf(stream));
    const Tensor diffDst = staged(op.diffDst, frame);
    const StagedOutput diffSrc(op.diffSrc, frame);
    ResampleGradientPlan plan;
    plan.src = diffSrc.data(), plan.dst = static_cast<const float*>(diffDst.data);
    plan.h = op.diffSrc.h, plan.w = op.diffSrc.w, plan.c = op.diffSrc.c;
    plan.outH = diffDst.h, plan.outW = diffDst.w;
    const Readers rows(op.view.y, op.type, plan.h, plan.outH, frame);
    const Readers columns(op.view.x, op.type, plan.w, plan.outW, frame);
    plan.rows = rows.table, plan.columns = columns.table;
    // A pixel that very many outputs read (all that lie outside, say) would make the tables mostly zeros.
    const bool even = columns.most <= 2 * (2 * plan.outW / plan.w + 2);
    if (even && fitsGather(diffDst)) {
        const std::int64_t c = plan.c;
        const ResampleReaders readers = plan.columns;
        plan.gather = gatherOf(
            plan.w * c, std::max<std::int64_t>(1, columns.most), plan.outW * c, true, frame,
            [=](std::int64_t k, std::int64_t t) {
                const std::int64_t at = readers.start[k / c] + t;
                return at < readers.start[k / c + 1] ? readers.output[at] * c + k % c : std::int64_t{-1};
            },
            [=](std::int64_t k, std::int64_t t) { return readers.weight[readers.start[k / c] + t]; });
    }
    const auto run = PEWTER_VECTOR(resampleGradientRows);
    forRows(op.diffSrc.n * plan.h, diffDst.count(), plan.outW * plan.c, frame,
            [&](std::int64_t from, std::int64_t to, float* line) { run(plan, from, to, line); });
    diffSrc.finish();
}

}  // namespace pewter::cpu
