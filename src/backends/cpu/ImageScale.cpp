#include "ops/ImageScale.h"

#include <vector>

#include "backends/cpu/Cpu.h"
#include "backends/cpu/ResampleTables.h"

namespace pewter::cpu {

using ops::Tensor;

namespace {

/// What each output of an axis reads.
struct Taps {
    ResampleReaders table;
    std::int64_t most = 0;

    Taps(const ops::ResampleAxis& axis, std::int64_t extent, std::int64_t outputs, Scratch::Frame& frame) {
        std::vector<ops::LanczosTap> taps, all;
        auto* const start = take<std::int64_t>(outputs + 1, frame);
        for (std::int64_t i = 0; i < outputs; ++i) {
            start[i] = static_cast<std::int64_t>(all.size());
            lanczosTaps(axis, extent, i, taps);
            all.insert(all.end(), taps.begin(), taps.end());
            most = std::max(most, static_cast<std::int64_t>(taps.size()));
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

}  // namespace

// The rows of a gradient of resampling are what is needed here: any number of rows summed by weight, then
// gathered along x. The names of the plan are those of that use: what it calls dst is the source here.
void Cpu::run(const ops::LanczosForward& op, ops::Stream& stream) {
    Scratch::Frame frame(scratchOf(stream));
    const Tensor src = staged(op.src, frame);
    const StagedOutput dst(op.dst, frame);
    ResampleGradientPlan plan;
    plan.src = dst.data(), plan.dst = static_cast<const float*>(src.data);
    plan.h = op.dst.h, plan.w = op.dst.w, plan.c = src.c;
    plan.outH = src.h, plan.outW = src.w;
    const Taps rows(op.view.y, src.h, plan.h, frame), columns(op.view.x, src.w, plan.w, frame);
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
    dst.finish();
}

}  // namespace pewter::cpu
