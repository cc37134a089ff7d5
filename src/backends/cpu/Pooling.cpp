#include <algorithm>

#include "backends/cpu/Cpu.h"
#include "backends/cpu/Parallel.h"
#include "backends/cpu/Runs.h"
#include "backends/cpu/vector/Pooling.h"

namespace pewter::cpu {

using ops::Tensor;

namespace {

/// Channels that one thread should at least have of an image: a cache line.
constexpr std::int64_t kChannelGrain = 16;

/// One axis of the windows.
struct Side {
    std::int64_t source, outputs, taps, stride, dilation, before;

    std::int64_t extent() const { return (taps - 1) * dilation + 1; }
    std::int64_t end() const { return (outputs - 1) * stride + extent() - before; }
    bool isDisjoint() const { return before <= 0 && end() <= source && stride >= extent(); }
    bool isCovering() const { return isDisjoint() && before == 0 && end() == source && stride == taps; }

    /// For every output and tap the position that is read times `step`, -1 for a zero outside.
    const std::int64_t* reads(std::int64_t step, ops::Edge edge, Scratch::Frame& frame) const {
        auto* table = static_cast<std::int64_t*>(
            frame.bytes(static_cast<std::size_t>(outputs * taps) * sizeof(std::int64_t)));
        for (std::int64_t i = 0; i < outputs; ++i)
            for (std::int64_t tap = 0; tap < taps; ++tap) {
                const std::int64_t position = i * stride - before + tap * dilation;
                const bool inside = position >= 0 && position < source;
                std::int64_t& entry = table[i * taps + tap];
                entry = std::clamp<std::int64_t>(position, 0, source - 1) * step;
                if (!inside && edge == ops::Edge::Zero) entry = -1;
            }
        return table;
    }
};

PoolingPlan planOf(ops::PoolingType type, const Tensor& src, const Tensor& dst, const ops::Window& window,
                   std::int64_t zeroPadX, std::int64_t zeroPadY, Scratch::Frame& frame) {
    PoolingPlan plan;
    plan.h = src.h, plan.w = src.w, plan.c = src.c, plan.outH = dst.h, plan.outW = dst.w;
    plan.window = window, plan.zeroPadX = zeroPadX, plan.zeroPadY = zeroPadY;
    const Side x{src.w, dst.w, window.width, window.strideX, window.dilationX, window.padLeft};
    const Side y{src.h, dst.h, window.height, window.strideY, window.dilationY, window.padTop};
    plan.disjoint = x.isDisjoint() && y.isDisjoint();
    plan.covering = x.isCovering() && y.isCovering();
    if (type != ops::PoolingType::Average) {
        plan.rows = y.reads(src.w * src.c, window.edge, frame);
        plan.columns = x.reads(src.c, window.edge, frame);
    }
    return plan;
}

}  // namespace

void Cpu::run(const ops::PoolingForward& op, ops::Stream& stream) {
    Scratch::Frame frame(scratchOf(stream));
    const Tensor src = staged(planesOf(op.src), frame), out = planesOf(op.dst);
    const StagedOutput dst(out, frame);
    PoolingPlan plan = planOf(op.type, src, out, op.window, op.zeroPadX, op.zeroPadY, frame);
    plan.src = static_cast<const float*>(src.data);
    plan.dst = dst.data();
    const auto run = op.type == ops::PoolingType::Max       ? PEWTER_VECTOR(maxForward)
                     : op.type == ops::PoolingType::Average ? PEWTER_VECTOR(averageForward)
                                                            : PEWTER_VECTOR(normForward);
    const std::int64_t rowWork = plan.outW * plan.c * op.window.width * op.window.height;
    parallelFor(0, out.n * plan.outH, kElementGrain / std::max<std::int64_t>(1, rowWork),
                [&](std::int64_t from, std::int64_t to) { run(plan, from, to); });
    dst.finish();
}

void Cpu::run(const ops::PoolingGradient& op, ops::Stream& stream) {
    Scratch::Frame frame(scratchOf(stream));
    const Tensor diffDst = staged(planesOf(op.diffDst), frame), result = planesOf(op.diffSrc);
    const StagedOutput diffSrc(result, frame);
    PoolingPlan plan = planOf(op.type, result, diffDst, op.window, op.zeroPadX, op.zeroPadY, frame);
    if (op.type != ops::PoolingType::Average)
        plan.src = static_cast<const float*>(staged(planesOf(op.src), frame).data);
    plan.dst = static_cast<float*>(diffDst.data);
    plan.diffSrc = diffSrc.data();
    const auto run = op.type == ops::PoolingType::Max       ? PEWTER_VECTOR(maxGradient)
                     : op.type == ops::PoolingType::Average ? PEWTER_VECTOR(averageGradient)
                                                            : PEWTER_VECTOR(normGradient);
    // A thread owns whole images, or with few images whole channels of them: nobody adds to another's pixel.
    const std::int64_t images = result.n, threads = maxThreads();
    const std::int64_t slices =
        images >= threads
            ? 1
            : std::clamp<std::int64_t>(plan.c / kChannelGrain, 1,
                                       (threads + images - 1) / std::max<std::int64_t>(1, images));
    plan.past = plan.disjoint && plan.covering && slices == 1 && isStreamed(result) && plan.c % kChannelGrain == 0 &&
                reinterpret_cast<std::uintptr_t>(plan.diffSrc) % 64 == 0;
    parallelFor(0, images * slices, 1, [&](std::int64_t from, std::int64_t to) {
        for (std::int64_t part = from; part < to; ++part) {
            const std::int64_t slice = part % slices;
            run(plan, part / slices, plan.c * slice / slices, plan.c * (slice + 1) / slices);
        }
    });
    diffSrc.finish();
}

}  // namespace pewter::cpu
