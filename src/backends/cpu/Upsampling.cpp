#include "backends/cpu/vector/Upsampling.h"

#include <algorithm>

#include "backends/cpu/Cpu.h"
#include "backends/cpu/ResampleTables.h"

namespace pewter::cpu {

using ops::Tensor;

namespace {

ResampleStep stepOf(const ops::ResampleTap& tap) {
    const auto b = static_cast<float>(tap.fraction);
    return {tap.a, tap.b, b == 0 ? 1.0f : static_cast<float>(1 - tap.fraction), b};
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

}  // namespace

void Cpu::run(const ops::ResampleForward& op, ops::Stream& stream) {
    Scratch::Frame frame(scratchOf(stream));
    const Tensor src = staged(planesOf(op.src), frame), out = planesOf(op.dst);
    const StagedOutput dst(out, frame);
    ResamplePlan plan;
    plan.src = static_cast<const float*>(src.data), plan.dst = dst.data();
    plan.h = src.h, plan.w = src.w, plan.c = src.c;
    plan.outH = out.h, plan.outW = out.w, plan.views = op.viewCount;
    // Mixing whole rows does not pay where most of their pixels are skipped.
    plan.rowsFirst = plan.views == 1 && plan.outH < plan.h && plan.w <= 2 * plan.outW;
    plan.streaming = isStreamed(out);
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
    forRows(out.n * plan.outH, out.count(),
            (plan.rowsFirst ? plan.w + plan.outW : 2 * plan.outW) * plan.c, frame,
            [&](std::int64_t from, std::int64_t to, float* lines) { run(plan, from, to, lines); });
    dst.finish();
}

void Cpu::run(const ops::ResampleGradient& op, ops::Stream& stream) {
    Scratch::Frame frame(scratchOf(stream));
    const Tensor diffDst = staged(planesOf(op.diffDst), frame), result = planesOf(op.diffSrc);
    const StagedOutput diffSrc(result, frame);
    ResampleGradientPlan plan;
    plan.src = diffSrc.data(), plan.dst = static_cast<const float*>(diffDst.data);
    plan.h = result.h, plan.w = result.w, plan.c = result.c;
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
    forRows(result.n * plan.h, diffDst.count(), plan.outW * plan.c, frame,
            [&](std::int64_t from, std::int64_t to, float* line) { run(plan, from, to, line); });
    diffSrc.finish();
}

}  // namespace pewter::cpu
