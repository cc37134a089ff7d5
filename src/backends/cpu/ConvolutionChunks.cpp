#include "backends/cpu/ConvolutionChunks.h"

namespace pewter::cpu {

namespace {

/// Floats of both images of a chunk: 4 MiB, about what a core has of the caches.
constexpr std::int64_t kChunk = std::int64_t{1} << 20;
/// Floats of a chunk for every transformed weight, below which transforming them again costs more than it spares.
constexpr std::int64_t kWorthTransforming = 2;

std::int64_t srcImage(const Problem& p) { return p.inputs * p.y.source * p.x.source; }
std::int64_t dstImage(const Problem& p) { return p.outputs * p.y.outputs * p.x.outputs; }

/// Images of a chunk, so that all are equal; those of the problem where there is nothing to gain.
std::int64_t imagesAtOnce(const Problem& p) {
    const std::int64_t image = srcImage(p) + dstImage(p);
    std::int64_t images = std::clamp<std::int64_t>(kChunk / std::max<std::int64_t>(1, image), 1, p.n);
    while (p.n % images != 0) --images;
    constexpr std::int64_t transformed = 36;  // F(4x4, 3x3)
    return images * image < kWorthTransforming * transformed * p.inputs * p.outputs ? p.n : images;
}

void takePast(const Operand& whole, Operand& chunk) {
    if (chunk.blocked && whole.blocked) chunk.blocked->past = whole.blocked->past;
}

std::shared_ptr<const Prepared> chunkOf(const ConvolutionTask& task, const Prepared& whole) {
    auto chunk = prepare(task, Algorithm::Winograd);
    if (!chunk || chunk->neuronFused != whole.neuronFused) return nullptr;
    takePast(whole.src, chunk->src);
    takePast(whole.dst, chunk->dst);
    return std::make_shared<const Prepared>(std::move(*chunk));
}

}  // namespace

Prepared inChunks(const ConvolutionTask& task, Prepared whole) {
    ConvolutionTask few = task;
    few.problem.n = imagesAtOnce(task.problem);
    if (few.problem.n == task.problem.n || !whole.src.blocked || !whole.dst.blocked) return whole;
    const auto chunk = chunkOf(few, whole);
    // Scratch memory that grows with the images holds all of them transformed, and all products with the weights: that
    // kernel is made for many.
    if (!chunk || chunk->scratchpad.get_size() < whole.scratchpad.get_size()) return whole;
    if (task.direction == Direction::WeightsGradient) few.accumulate = true;
    Prepared prepared;
    prepared.algorithm = whole.algorithm;
    prepared.neuronFused = whole.neuronFused;
    prepared.task = task;
    prepared.task->neuron.slopes = nullptr;  // Not this object's, and not used.
    prepared.chunk = chunk;
    prepared.furtherChunk = few.accumulate == task.accumulate ? chunk : chunkOf(few, whole);
    prepared.implementation = whole.implementation;
    return prepared;
}

void executeChunks(const Prepared& prepared, const ConvolutionOperands& operands, Scratch::Frame& frame) {
    const Problem& p = prepared.task->problem;
    const Direction direction = prepared.task->direction;
    const std::int64_t images = prepared.chunk->src.plain.dims()[0];
    const bool sums = operands.bias && direction == Direction::WeightsGradient;
    float* const bias = sums ? frame.floats(p.outputs) : nullptr;
    ConvolutionOperands piece = operands;
    for (std::int64_t n = 0; n < p.n; n += images) {
        piece.src = static_cast<float*>(operands.src) + n * srcImage(p);
        piece.dst = static_cast<float*>(operands.dst) + n * dstImage(p);
        if (sums && n > 0) piece.bias = bias;
        Scratch::Frame inner(frame.scratch());
        execute(n == 0 ? *prepared.chunk : *prepared.furtherChunk, direction, piece, inner);
        if (sums && n > 0)
            for (std::int64_t o = 0; o < p.outputs; ++o) operands.bias[o] += bias[o];
    }
}

}  // namespace pewter::cpu
