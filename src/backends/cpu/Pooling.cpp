#include <algorithm>

#include "backends/cpu/Cpu.h"
#include "backends/cpu/Parallel.h"
#include "backends/cpu/vector/Pooling.h"

namespace pewter::cpu {

using ops::Tensor;

namespace {

/// Channels that one thread should at least have of an image: a cache line.
constexpr std::int64_t kChannelGrain = 16;

PoolingPlan planOf(const Tensor& src, const Tensor& dst, const ops::Window& window, std::int64_t zeroPadX,
                   std::int64_t zeroPadY) {
    PoolingPlan plan;
    plan.h = src.h, plan.w = src.w, plan.c = src.c, plan.outH = dst.h, plan.outW = dst.w;
    plan.window = window, plan.zeroPadX = zeroPadX, plan.zeroPadY = zeroPadY;
    const auto spanX = (dst.w - 1) * window.strideX + (window.width - 1) * window.dilationX + 1 - window.padLeft;
    const auto spanY = (dst.h - 1) * window.strideY + (window.height - 1) * window.dilationY + 1 - window.padTop;
    const bool inside = window.padLeft <= 0 && window.padTop <= 0 && spanX <= src.w && spanY <= src.h;
    plan.disjoint = inside && window.strideX >= (window.width - 1) * window.dilationX + 1 &&
                    window.strideY >= (window.height - 1) * window.dilationY + 1;
    plan.covering = plan.disjoint && window.padLeft == 0 && window.padTop == 0 && window.strideX == window.width &&
                    window.strideY == window.height && spanX == src.w && spanY == src.h;
    return plan;
}

}  // namespace

void Cpu::run(const ops::PoolingForward& op, ops::Stream& stream) {
    Scratch::Frame frame(scratchOf(stream));
    const Tensor src = staged(op.src, frame);
    const StagedOutput dst(op.dst, frame);
    PoolingPlan plan = planOf(src, op.dst, op.window, op.zeroPadX, op.zeroPadY);
    plan.src = static_cast<const float*>(src.data);
    plan.dst = dst.data();
    const auto run = op.type == ops::PoolingType::Max ? PEWTER_VECTOR(maxForward) : PEWTER_VECTOR(averageForward);
    const std::int64_t rowWork = plan.outW * plan.c * op.window.width * op.window.height;
    parallelFor(0, op.dst.n * plan.outH, kElementGrain / std::max<std::int64_t>(1, rowWork),
                [&](std::int64_t from, std::int64_t to) { run(plan, from, to); });
    dst.finish();
}

void Cpu::run(const ops::PoolingGradient& op, ops::Stream& stream) {
    Scratch::Frame frame(scratchOf(stream));
    const bool max = op.type == ops::PoolingType::Max;
    const Tensor diffDst = staged(op.diffDst, frame);
    const StagedOutput diffSrc(op.diffSrc, frame);
    PoolingPlan plan = planOf(op.diffSrc, op.diffDst, op.window, op.zeroPadX, op.zeroPadY);
    if (max) plan.src = static_cast<const float*>(staged(op.src, frame).data);
    plan.dst = static_cast<float*>(diffDst.data);
    plan.diffSrc = diffSrc.data();
    const auto run = max ? PEWTER_VECTOR(maxGradient) : PEWTER_VECTOR(averageGradient);
    // A thread owns whole images, or with few images whole channels of them: nobody adds to another's pixel.
    const std::int64_t images = op.diffSrc.n, threads = maxThreads();
    const std::int64_t slices =
        images >= threads ? 1 : std::clamp<std::int64_t>(plan.c / kChannelGrain, 1, (threads + images - 1) / std::max<std::int64_t>(1, images));
    parallelFor(0, images * slices, 1, [&](std::int64_t from, std::int64_t to) {
        for (std::int64_t part = from; part < to; ++part) {
            const std::int64_t slice = part % slices;
            run(plan, part / slices, plan.c * slice / slices, plan.c * (slice + 1) / slices);
        }
    });
    diffSrc.finish();
}

}  // namespace pewter::cpu
