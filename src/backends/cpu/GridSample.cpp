#include "backends/cpu/vector/GridSample.h"

#include <algorithm>

#include "backends/cpu/Cpu.h"
#include "backends/cpu/Parallel.h"
#include "backends/cpu/Runs.h"

namespace pewter::cpu {

void Cpu::run(const ops::GridSample& op, ops::Stream& stream) {
    Scratch::Frame frame(scratchOf(stream));
    const ops::Tensor src = staged(op.src, frame), grid = staged(op.grid, frame);
    const StagedOutput dst(op.dst, frame);
    GridSamplePlan plan;
    plan.src = static_cast<const float*>(src.data);
    plan.grid = static_cast<const float*>(grid.data);
    plan.dst = dst.data();
    plan.h = src.h, plan.w = src.w, plan.c = src.c, plan.outH = op.dst.h, plan.outW = op.dst.w;
    plan.offsetX = op.offsetX, plan.offsetY = op.offsetY;
    plan.relative = op.relative, plan.clamp = op.edge == ops::Edge::Clamp;
    plan.streaming = isStreamed(op.dst);
    const auto run = PEWTER_VECTOR(gridSampleRows);
    const std::int64_t rowWork = plan.outW * (4 * plan.c + 8);
    parallelFor(0, op.dst.n * plan.outH, std::max<std::int64_t>(1, kElementGrain / rowWork),
                [&](std::int64_t from, std::int64_t to) { run(plan, from, to); });
    dst.finish();
}

}  // namespace pewter::cpu
