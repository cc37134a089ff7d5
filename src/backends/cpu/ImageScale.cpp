#include "backends/cpu/vector/ImageScale.h"

#include <vector>

#include "backends/cpu/Cpu.h"
#include "backends/cpu/ResampleTables.h"
#include "ops/ImageScale.h"

namespace pewter::cpu {

using ops::Tensor;

namespace {

/// Results from this size on go past the caches: nothing of them would be left there for their reader.
constexpr std::int64_t kStreamedFloats = std::int64_t{2} << 20;

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
}

/// The same for registers of columns. Returns whether windows of four registers at most hold them.
bool setBlocks(ScalePlan& plan, Scratch::Frame& frame) {
    const std::int64_t lanes = PEWTER_VECTOR(gatherLanes)(), most = PEWTER_VECTOR(gatherRegisters)();
    const std::int64_t blocks = (plan.outW + lanes - 1) / lanes;
    auto* const windows = take<std::int64_t>(blocks, frame);
    auto* const places = take<std::int32_t>(blocks * lanes, frame);
    float* const weights = frame.floats(blocks * plan.taps * lanes);
    std::int64_t widest = 0;
    for (std::int64_t b = 0; b < blocks; ++b) {
        const std::int64_t x = b * lanes, end = std::min(x + lanes, plan.outW);
        const auto [least, last] = std::minmax_element(plan.first + x, plan.first + end);
        windows[b] = *least;
        widest = std::max(widest, *last + plan.taps - *least);
        for (std::int64_t i = 0; i < lanes; ++i) {
            // Columns behind the last are that one once more.
            const std::int64_t of = std::min(x + i, plan.outW - 1);
            places[x + i] = static_cast<std::int32_t>(plan.first[of] - *least);
            for (std::int64_t t = 0; t < plan.taps; ++t)
                weights[(b * plan.taps + t) * lanes + i] = plan.weights[of * plan.taps + t];
        }
    }
    plan.windows = windows, plan.places = places, plan.blocks = weights;
    plan.registers = widest <= 2 * lanes ? 2 : 4;
    return widest <= most * lanes;
}

/// The rows of a gradient of resampling do the same out of tables for every element. The names of the plan
/// are those of that use: what it calls dst is the source here.
void runByElements(const Tensor& src, const ops::LanczosForward& op, float* dst, const Taps& rows,
                   const Taps& columns, Scratch::Frame& frame) {
    ResampleGradientPlan plan;
    plan.src = dst, plan.dst = static_cast<const float*>(src.data);
    plan.h = op.dst.h, plan.w = op.dst.w, plan.c = src.c;
    plan.outH = src.h, plan.outW = src.w;
    plan.rows = rows.table, plan.columns = columns.table;
    if (fitsGather(src)) {
        const std::int64_t c = plan.c;
        const ResampleReaders taps = plan.columns;
        plan.gather = gatherOf(
            plan.w * c, columns.most, plan.outW * c, true, frame,
            [=](std::int64_t k, std::int64_t t) {
                const std::int64_t at = taps.start[k / c] + t;
                return at < taps.start[k / c + 1] ? taps.output[at] * c + k % c : std::int64_t{-1};
            },
            [=](std::int64_t k, std::int64_t t) { return taps.weight[taps.start[k / c] + t]; });
    }
    const auto run = PEWTER_VECTOR(resampleGradientRows);
    forRows(op.dst.n * plan.h, std::max(src.count(), op.dst.count()), plan.outW * plan.c, frame,
            [&](std::int64_t from, std::int64_t to, float* line) { run(plan, from, to, line); });
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
    plan.streaming = isPlain(op.dst) && op.dst.count() >= kStreamedFloats;
    setColumns(plan, columns, frame);
    if (plan.c < kManyChannels && (plan.c > kPlanarChannels || !setBlocks(plan, frame))) {
        runByElements(src, op, dst.data(), rows, columns, frame);
    } else {
        const auto run = PEWTER_VECTOR(scaleRows);
        forRows(op.dst.n * plan.outH, std::max(src.count(), op.dst.count()), scaleMemory(plan), frame,
                [&](std::int64_t from, std::int64_t to, float* memory) { run(plan, from, to, memory); });
    }
    dst.finish();
}

}  // namespace pewter::cpu
