#include "backends/cpu/vector/ImageScale.h"

#include <algorithm>
#include <vector>

#include "backends/cpu/Cpu.h"
#include "backends/cpu/ResampleTables.h"
#include "ops/ImageScale.h"

namespace pewter::cpu {

using ops::Tensor;

namespace {

/// What each output of an axis reads.
struct Taps {
    ResampleReaders table;
    std::int64_t most = 0;
    /// The most pixels from the first that an output reads to the last.
    std::int64_t span = 0;

    Taps(const ops::ResampleAxis& axis, std::int64_t extent, std::int64_t outputs, Scratch::Frame& frame) {
        std::vector<ops::LanczosTap> taps, all;
        auto* const start = take<std::int64_t>(outputs + 1, frame);
        for (std::int64_t i = 0; i < outputs; ++i) {
            start[i] = static_cast<std::int64_t>(all.size());
            lanczosTaps(axis, extent, i, taps);
            all.insert(all.end(), taps.begin(), taps.end());
            most = std::max(most, static_cast<std::int64_t>(taps.size()));
            span = std::max(span, taps.back().pixel - taps.front().pixel + 1);
        }
        const auto count = start[outputs] = static_cast<std::int64_t>(all.size());
        auto* const pixel = take<std::int64_t>(count, frame);
        float* const weight = frame.floats(count);
        for (std::int64_t k = 0; k < count; ++k) {
            const auto& tap = all[static_cast<std::size_t>(k)];
            pixel[k] = tap.pixel, weight[k] = static_cast<float>(tap.weight);
        }
        table = {start, pixel, weight};
    }
};

/// The columns' tables of a plan: as many neighbours for each, those that do not count of weight 0.
void setColumns(ScalePlan& plan, const Taps& columns, Scratch::Frame& frame) {
    plan.taps = columns.span;
    auto* const first = take<std::int64_t>(plan.outW, frame);
    float* const weights = frame.floats(plan.outW * plan.taps);
    std::fill_n(weights, plan.outW * plan.taps, 0.0f);
    const ResampleReaders& table = columns.table;
    for (std::int64_t x = 0; x < plan.outW; ++x) {
        first[x] = std::min(table.output[table.start[x]], plan.w - plan.taps);
        for (std::int64_t k = table.start[x]; k < table.start[x + 1]; ++k)
            weights[x * plan.taps + table.output[k] - first[x]] = table.weight[k];
    }
    plan.first = first, plan.weights = weights;
    plan.wholeWindow = !std::is_sorted(first, first + plan.outW);
}

}  // namespace

void Cpu::run(const ops::LanczosForward& op, ops::Stream& stream) {
    Scratch::Frame frame(scratchOf(stream));
    const Tensor src = staged(op.src, frame);
    const StagedOutput dst(op.dst, frame);
    const Taps rows(op.view.y, src.h, op.dst.h, frame), columns(op.view.x, src.w, op.dst.w, frame);
    ScalePlan plan;
    plan.src = static_cast<const float*>(src.data), plan.dst = dst.data();
    plan.h = src.h, plan.w = src.w, plan.c = src.c, plan.outH = op.dst.h, plan.outW = op.dst.w;
    plan.rows = rows.table;
    plan.streaming = isStreamed(op.dst);
    setColumns(plan, columns, frame);
    const auto run = PEWTER_VECTOR(scaleRows);
    forRows(op.dst.n * plan.outH, std::max(src.count(), op.dst.count()), scaleMemory(plan), frame,
            [&](std::int64_t from, std::int64_t to, float* memory) { run(plan, from, to, memory); });
    dst.finish();
}

}  // namespace pewter::cpu
