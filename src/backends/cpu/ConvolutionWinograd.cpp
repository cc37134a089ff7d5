#include "backends/cpu/ConvolutionWinograd.h"

#include <algorithm>

#include "backends/cpu/Parallel.h"
#include "backends/cpu/Runs.h"
#include "backends/cpu/TurnedCopy.h"
#include "backends/cpu/vector/Winograd.h"

namespace pewter::cpu {

namespace {

constexpr std::int64_t kWindow = kWinogradTaps * kWinogradTaps;
/// 64 times as many values, 16 MB, are what a shared cache holds beside the images.
constexpr std::int64_t kMostPairs = 1 << 16;
/// Bytes of transformed tiles that stay in a second-level cache of 1 MB beside the taps of one value.
constexpr std::int64_t kGroupBytes = 400 << 10;

WinogradPlan planOf(const Problem& p, const ConvolutionOperands& operands) {
    const auto tiles = [](std::int64_t extent) { return (extent + kWinogradTile - 1) / kWinogradTile; };
    const std::int64_t tileBytes = kWinogradValues * (p.inputs + p.outputs) * static_cast<std::int64_t>(sizeof(float));
    return {.src = static_cast<const float*>(operands.src),
            .dst = static_cast<float*>(operands.dst),
            .h = p.y.source,
            .w = p.x.source,
            .c = p.inputs,
            .outH = p.y.outputs,
            .outW = p.x.outputs,
            .outC = p.outputs,
            .tilesY = tiles(p.y.outputs),
            .tilesX = tiles(p.x.outputs),
            .padTop = p.y.before,
            .padLeft = p.x.before,
            .bias = operands.bias,
            .accumulate = false,
            .together = std::clamp<std::int64_t>(kGroupBytes / tileBytes / 8 * 8, 8, 64)};
}

/// The adjoint as a convolution from the gradient of dst to that of src, whose taps are turned by half a circle.
Problem adjoint(const Problem& p) {
    const auto turned = [](const Axis& a) {
        return Axis{a.outputs, a.source, a.taps, 1, 1, a.taps - 1 - a.before};
    };
    Problem back = p;
    std::swap(back.inputs, back.outputs);
    back.y = turned(p.y), back.x = turned(p.x);
    return back;
}

/// taps[k][i][o] of the seam's [o][k][i].
void turnTaps(float* weights, std::int64_t inputs, std::int64_t outputs, float* taps) {
    const auto type = ops::Type::Float32;
    copyTurned({weights, type, kWindow, 1, inputs, outputs, inputs, 0, 1, kWindow * inputs},
               ops::Tensor::dense(taps, type, kWindow, 1, inputs, outputs));
}

/// Rows of taps that a thread takes at least.
std::int64_t rowGrain(std::int64_t columns) { return std::max<std::int64_t>(1, kElementGrain / (kWindow * columns)); }

/// dst from src by the taps.
void computeTiles(const WinogradPlan& plan, std::int64_t images, const float* taps, WinogradTaps at,
                  Scratch::Frame& frame) {
    float* const values = frame.floats(kWinogradValues * plan.c * plan.outC);
    parallelFor(0, plan.c, rowGrain(plan.outC), [&, transform = PEWTER_VECTOR(winogradTaps)](auto from, auto to) {
        transform(taps, at, plan.c, plan.outC, from, to, values);
    });
    const std::int64_t tiles = images * plan.tilesY * plan.tilesX, parts = partsOf(tiles, plan.together);
    const std::int64_t source = kWinogradValues * WinogradPlan::step(plan.together, plan.c);
    const std::int64_t room = source + kWinogradValues * WinogradPlan::step(plan.together, plan.outC);
    float* const rooms = frame.floats(parts * room);
    const auto run = PEWTER_VECTOR(winogradTiles);
    forParts(parts, tiles, [&](std::int64_t part, std::int64_t from, std::int64_t to) {
        run(plan, values, from, to, rooms + part * room, rooms + part * room + source);
    });
}

/// The gradient of weights and of the bias (where there is one) from src and dst.
void sumTiles(const WinogradPlan& plan, const ConvolutionTask& task, const ConvolutionOperands& operands,
              Scratch::Frame& frame) {
    const std::int64_t tiles = task.problem.n * plan.tilesY * plan.tilesX, parts = partsOf(tiles, plan.together);
    const std::int64_t source = kWinogradValues * WinogradPlan::step(plan.together, plan.c);
    const std::int64_t room = source + kWinogradValues * WinogradPlan::step(plan.together, plan.outC);
    const std::int64_t count = kWinogradValues * plan.c * plan.outC, whole = count + plan.outC;
    float *const rooms = frame.floats(parts * room), *const sums = frame.floats(parts * whole);
    const auto run = PEWTER_VECTOR(winogradSums);
    forParts(parts, tiles, [&](std::int64_t part, std::int64_t from, std::int64_t to) {
        float *const own = sums + part * whole, *const transformed = rooms + part * room;
        std::fill_n(own, whole, 0.0f);
        run(plan, from, to, transformed, transformed + source, own, own + count);
    });
    if (parts > 1)
        parallelFor(0, whole, kElementGrain, [&](std::int64_t from, std::int64_t to) {
            for (std::int64_t part = 1; part < parts; ++part)
                for (std::int64_t i = from; i < to; ++i) sums[i] += sums[part * whole + i];
        });
    parallelFor(0, plan.outC, rowGrain(plan.c), [&, transform = PEWTER_VECTOR(winogradTapSums)](auto from, auto to) {
        transform(sums, {plan.c, kWindow * plan.c}, plan.outC, plan.c, from, to, task.accumulate, operands.weights);
    });
    if (operands.bias) std::copy_n(sums + count, plan.outC, operands.bias);
}

}  // namespace

bool hasWinograd5(const ConvolutionTask& task) {
    const Problem& p = task.problem;
    const auto moves = [](const Axis& a) { return a.taps == kWinogradTaps && a.stride == 1 && a.dilation == 1; };
    return p.groups == 1 && moves(p.y) && moves(p.x) && !p.needsBorder() &&
           p.inputs % kWinogradChannels == 0 && p.outputs % kWinogradChannels == 0 && p.inputs * p.outputs <= kMostPairs;
}

void executeWinograd5(const ConvolutionTask& task, const ConvolutionOperands& given, Scratch::Frame& frame) {
    const Problem& p = task.problem;
    const bool forward = task.direction == Direction::Forward, back = task.direction == Direction::DataGradient;
    // The kernels take float32.
    const auto src = ops::Tensor::dense(given.src, task.srcType, p.n, p.y.source, p.x.source, p.inputs);
    const auto dst = ops::Tensor::dense(given.dst, task.dstType, p.n, p.y.outputs, p.x.outputs, p.outputs);
    const StagedOutput result(forward ? dst : src, frame);
    const auto in = [&](const ops::Tensor& image, bool written) {
        return written ? result.view().data : staged(image, frame).data;
    };
    if (back && task.accumulate && result.data() != src.data) load(src, result.data());
    const ConvolutionOperands operands{in(src, back), given.weights, in(dst, forward), given.bias};
    if (forward) {
        float* const taps = frame.floats(kWindow * p.inputs * p.outputs);
        turnTaps(operands.weights, p.inputs, p.outputs, taps);
        computeTiles(planOf(p, operands), p.n, taps, {p.inputs * p.outputs, p.outputs}, frame);
    } else if (back) {
        WinogradPlan plan = planOf(adjoint(p), {operands.dst, nullptr, operands.src, nullptr});
        plan.accumulate = task.accumulate;
        // From the last tap to the first.
        const float* const last = operands.weights + (kWindow - 1) * p.inputs;
        computeTiles(plan, p.n, last, {-p.inputs, kWindow * p.inputs}, frame);
    } else {
        return sumTiles(planOf(p, operands), task, operands, frame);
    }
    result.finish();
}

}  // namespace pewter::cpu
