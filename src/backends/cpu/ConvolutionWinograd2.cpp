#include "backends/cpu/ConvolutionWinograd2.h"

#include <algorithm>

#include "backends/cpu/Runs.h"
#include "backends/cpu/vector/Winograd2.h"

namespace pewter::cpu {

namespace {

constexpr std::int64_t kChannels = 16;
/// Transformed taps are read once a group of tiles, sums of the gradient once more; both may leave the nearer caches.
constexpr std::int64_t kMostPairs = std::int64_t{1} << 20;
/// Pairs of transformed source of a group: half of a second-level cache of 1 MB.
constexpr std::int64_t kGroupPairs = std::int64_t{96} << 10;
/// Tiles whose products are summed before they are added to the sums in memory: more where these leave the caches.
constexpr std::int64_t kSummedTiles = 128, kSummedOfMany = 512, kManySums = std::int64_t{1} << 18;

Winograd2Plan planOf(const Problem& p, const void* src, void* dst, const float* bias) {
    const auto tiles = [](std::int64_t extent) { return (extent + kWinograd2Tile - 1) / kWinograd2Tile; };
    return {.src = static_cast<const std::uint16_t*>(src),
            .dst = static_cast<std::uint16_t*>(dst),
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
            .bias = bias,
            .accumulate = false,
            .together = std::clamp<std::int64_t>(kGroupPairs / (kWinograd2Values * p.inputs / 2) / 6 * 6, 24, 60)};
}

void computeTiles(const Winograd2Plan& plan, std::int64_t images, const std::uint32_t* taps, Scratch::Frame& frame) {
    const std::int64_t tiles = images * plan.tilesY * plan.tilesX, parts = partsOf(tiles, plan.together);
    const std::int64_t room = (winograd2Room(plan) + 15) / 16 * 16;
    float* const rooms = frame.floats(parts * room);
    const auto run = PEWTER_VECTOR(winograd2Tiles);
    forParts(parts, tiles, [&](std::int64_t part, std::int64_t from, std::int64_t to) {
        run(plan, taps, from, to, rooms + part * room);
    });
}

void sumTiles(Winograd2Plan plan, const ConvolutionTask& task, float* weights, Scratch::Frame& frame) {
    plan.together = plan.c * plan.outC < kManySums ? kSummedTiles : kSummedOfMany;
    const std::int64_t tiles = task.problem.n * plan.tilesY * plan.tilesX, count = plan.c * plan.outC;
    const auto pairsOf = [&](std::int64_t channels) {
        return reinterpret_cast<std::uint32_t*>(
            frame.floats(kWinograd2Values * Winograd2Plan::step(plan.together / 2 * channels)));
    };
    std::uint32_t *const source = pairsOf(plan.c), *const result = pairsOf(plan.outC);
    float* const sums = frame.floats(kWinograd2Values * count);
    for (std::int64_t first = 0; first < tiles; first += plan.together) {
        const std::int64_t last = std::min(first + plan.together, tiles), pairs = (last - first + 1) / 2;
        parallelFor(0, pairs, 4, [&, run = PEWTER_VECTOR(winograd2Pairs)](auto from, auto to) {
            run(plan, first, last, from, to, source, result);
        });
        parallelFor(0, kWinograd2Values, 1, [&, run = PEWTER_VECTOR(winograd2Sums)](auto from, auto to) {
            run(plan, source, result, pairs, first > 0, from, to, sums);
        });
    }
    parallelFor(0, plan.outC, 16, [&, run = PEWTER_VECTOR(winograd2TapSums)](auto from, auto to) {
        run(sums, plan.c, plan.outC, task.accumulate, from, to, weights);
    });
}

/// The adjoint as a convolution from the gradient of dst to that of src.
Problem adjoint(const Problem& p) {
    const auto turned = [](const Axis& a) { return Axis{a.outputs, a.source, a.taps, 1, 1, a.taps - 1 - a.before}; };
    Problem back = p;
    std::swap(back.inputs, back.outputs);
    back.y = turned(p.y), back.x = turned(p.x);
    return back;
}

}  // namespace

bool hasWinograd2(const ConvolutionTask& task) {
    const Problem& p = task.problem;
    const auto moves = [](const Axis& a) { return a.taps == kWinograd2Taps && a.stride == 1 && a.dilation == 1; };
    const auto isBFloat16 = [](ops::Type type) { return type == ops::Type::BFloat16; };
    return task.bfloat16 && isBFloat16(task.srcType) && isBFloat16(task.dstType) && p.groups == 1 && moves(p.y) &&
           moves(p.x) && !p.needsBorder() && p.inputs % kChannels == 0 && p.outputs % kChannels == 0 &&
           p.inputs * p.outputs <= kMostPairs;
}

void executeWinograd2(const ConvolutionTask& task, const ConvolutionOperands& operands, Scratch::Frame& frame) {
    const Problem& p = task.problem;
    if (task.direction == Direction::WeightsGradient)
        return sumTiles(planOf(p, operands.src, operands.dst, nullptr), task, operands.weights, frame);
    auto* const taps =
        reinterpret_cast<std::uint32_t*>(frame.floats(kWinograd2Values * p.inputs * p.outputs / 2));
    if (task.direction == Direction::Forward) {
        parallelFor(0, p.outputs / kChannels, 1, [&, run = PEWTER_VECTOR(winograd2Taps)](auto from, auto to) {
            run(operands.weights, p.inputs, p.outputs, from, to, taps);
        });
        return computeTiles(planOf(p, operands.src, operands.dst, operands.bias), p.n, taps, frame);
    }
    parallelFor(0, p.outputs / 2, 4, [&, run = PEWTER_VECTOR(winograd2TurnedTaps)](auto from, auto to) {
        run(operands.weights, p.inputs, p.outputs, from, to, taps);
    });
    Winograd2Plan plan = planOf(adjoint(p), operands.dst, operands.src, nullptr);
    plan.accumulate = task.accumulate;
    computeTiles(plan, p.n, taps, frame);
}

}  // namespace pewter::cpu
