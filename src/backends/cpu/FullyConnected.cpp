#include <algorithm>

#include "backends/cpu/Cpu.h"
#include "backends/cpu/Engine.h"
#include "backends/cpu/Parallel.h"
#include "backends/cpu/Runs.h"
#include "backends/cpu/TurnedCopy.h"
#include "backends/cpu/vector/FullyConnectedBFloat16.h"

// Three matrix products on the operands as they lie: nothing as large as the weights is ever copied. A small batch stays in
// the caches while own kernels read or write the weights once; for others there is oneDNN's sgemm, which takes transposed
// operands.

namespace pewter::cpu {

using ops::Tensor;

namespace {

/// Row-major result[rows][columns] = a * b + beta * result, `inner` long sums. A transposed a is stored
/// [inner][rows], a transposed b [columns][inner].
void multiply(bool transposeA, bool transposeB, std::int64_t rows, std::int64_t columns, std::int64_t inner,
              const float* a, const float* b, float beta, float* result) {
    const dnnl::status status =
        dnnl::sgemm(transposeA ? 'T' : 'N', transposeB ? 'T' : 'N', rows, columns, inner, 1.0f, a,
                    transposeA ? rows : inner, b, transposeB ? inner : columns, beta, result, columns);
    dnnl::error::wrap_c_api(static_cast<dnnl_status_t>(status), "could not multiply matrices");
}

/// Whether the own kernels are the faster ones: the batch and its results fit a second-level cache, the weights do not.
bool isSmallBatch(const FullyConnectedPlan& plan) {
    constexpr std::int64_t kFewest = 8, kMost = 48, kShortest = 64, kWeights = 1 << 16, kFloats = 200'000;
    return plan.n >= kFewest && plan.n <= kMost && plan.inner >= kShortest && plan.n * plan.inner <= kFloats &&
           plan.inner * plan.outputs >= kWeights;
}

/// [inner][step] of the batch's rows, step a multiple of kTurnedBatch; zeros beyond the batch.
const float* turnedBatch(const Tensor& src, std::int64_t step, Scratch::Frame& frame) {
    const std::int64_t n = src.n, inner = src.h * src.w * src.c;
    float* const turned = frame.floats(inner * step);
    for (std::int64_t k = 0; k < inner && step > n; ++k) std::fill(turned + k * step + n, turned + (k + 1) * step, 0.0f);
    const auto type = ops::Type::Float32;
    copyTurned({src.data, type, 1, 1, inner, n, 0, 0, 1, inner}, {turned, type, 1, 1, inner, n, 0, 0, step, 1});
    return turned;
}

/// run(from, to, room) over [0, count) in parts that begin at multiples of 16.
template <typename Run>
void forSmallBatch(const FullyConnectedPlan& plan, std::int64_t count, Scratch::Frame& frame, Run run) {
    constexpr std::int64_t kUnit = 16;
    const std::int64_t units = (count + kUnit - 1) / kUnit, parts = partsOf(units, 1), room = plan.n * kOutputBlock;
    float* const rooms = frame.floats(parts * room);
    forParts(parts, units, [&](std::int64_t part, std::int64_t from, std::int64_t to) {
        run(from * kUnit, std::min(count, to * kUnit), rooms + part * room);
    });
}

/// Whether the batch is multiplied in bfloat16: both images lie in it, the weights are read where they lie and rounded.
bool isPaired(const FullyConnectedPlan& plan, const Tensor& one, const Tensor& other, const Tensor& weights) {
    const auto isBFloat16 = [](const Tensor& t) { return t.type == ops::Type::BFloat16 && t.isDense(); };
    return isSmallBatch(plan) && plan.inner % 16 == 0 && plan.outputs % 16 == 0 && isBFloat16(one) && isBFloat16(other) &&
           isPlain(weights) && multipliesBFloat16();
}

std::uint32_t* pairsIn(Scratch::Frame& frame, std::int64_t count) {
    return static_cast<std::uint32_t*>(frame.bytes(static_cast<std::size_t>(count) * sizeof(std::uint32_t)));
}

/// The rows of a batch in pairs of images.
const std::uint32_t* pairedImages(const Tensor& images, std::int64_t length, Scratch::Frame& frame) {
    const std::int64_t count = (images.n + 1) / 2;
    std::uint32_t* const pairs = pairsIn(frame, count * length);
    parallelFor(0, count, std::max<std::int64_t>(1, kElementGrain / length),
                [&, run = PEWTER_VECTOR(pairRowsOf)](std::int64_t from, std::int64_t to) {
                    run(static_cast<const std::uint16_t*>(images.data), images.n, length, from, to, pairs);
                });
    return pairs;
}

std::int64_t rowLength(const Tensor& t) { return t.h * t.w * t.c; }

const float* stagedFloats(const Tensor& t, Scratch::Frame& frame) {
    return static_cast<const float*>(staged(t, frame).data);
}

}  // namespace

void Cpu::run(const ops::FullyConnectedForward& op, ops::Stream& stream) {
    const std::int64_t n = op.src.n, inner = rowLength(op.src), outputs = op.weights.n;
    if (n == 0) return;
    Scratch::Frame frame(scratchOf(stream));
    const StagedOutput dst(op.dst, frame);
    const FullyConnectedPlan plan{n, inner, outputs};
    const bool small = isSmallBatch(plan), paired = isPaired(plan, op.src, op.dst, op.weights);
    const std::int64_t unit = paired ? 16 : small ? kTurnedBatch : 1, step = (n + unit - 1) / unit * unit;
    // The weights as the left operand, the result transposed: half the time of the other way round, because
    // sgemm packs its right operand and the batch is the smaller one.
    float* transposed = frame.floats(step * outputs);
    const float *weights = stagedFloats(op.weights, frame), *bias = staged(op.bias, frame);
    // Pairs of bfloat16 are turned as the floats of a row of half the length.
    const Tensor row = paired ? Tensor::dense(op.src.data, ops::Type::Float32, n, 1, 1, inner / 2) : op.src;
    const float* const turned = small ? turnedBatch(staged(row, frame), step, frame) : nullptr;
    if (!small) multiply(false, true, outputs, n, inner, weights, stagedFloats(op.src, frame), 0.0f, transposed);
    if (paired) {
        const std::int64_t parts = partsOf(outputs, 8), room = 6 * inner;
        auto* const rooms = static_cast<std::uint16_t*>(frame.bytes(static_cast<std::size_t>(parts * room) * 2));
        forParts(parts, outputs, [&, run = PEWTER_VECTOR(pairedForward)](auto part, auto from, auto to) {
            run(plan, weights, reinterpret_cast<const std::uint32_t*>(turned), step, from, to, rooms + part * room,
                transposed);
        });
    }
    const auto products = PEWTER_VECTOR(fullyForward);
    parallelFor(0, outputs, small ? 8 : std::max<std::int64_t>(1, kElementGrain / n),
                [&](std::int64_t from, std::int64_t to) {
                    if (small && !paired) products(plan, weights, turned, step, from, to, transposed);
                    for (std::int64_t i = 0; i < n; ++i)
                        for (std::int64_t o = from; o < to; ++o)
                            dst.data()[i * outputs + o] = transposed[o * step + i] + (bias ? bias[o] : 0.0f);
                });
    if (op.neuron.type != ops::NeuronType::None)
        run(ops::NeuronForward{dst.view(), dst.view(), op.neuron}, stream);
    dst.finish();
}

void Cpu::run(const ops::FullyConnectedDataGradient& op, ops::Stream& stream) {
    const std::int64_t n = op.diffSrc.n, inner = rowLength(op.diffSrc), outputs = op.weights.n;
    if (n == 0) return;
    Scratch::Frame frame(scratchOf(stream));
    if (const FullyConnectedPlan plan{n, inner, outputs}; isPaired(plan, op.diffDst, op.diffSrc, op.weights)) {
        const std::int64_t blocks = (inner + kPairedColumns - 1) / kPairedColumns, parts = partsOf(blocks, 1);
        const std::int64_t panel = outputs / 2 * kPairedColumns;
        std::uint32_t* const panels = pairsIn(frame, parts * panel);
        float* const rooms = frame.floats(parts * n * kPairedColumns);
        forParts(parts, blocks, [&, run = PEWTER_VECTOR(pairedDataGradient)](auto part, auto from, auto to) {
            run(plan, static_cast<const float*>(op.weights.data), static_cast<const std::uint32_t*>(op.diffDst.data),
                from * kPairedColumns, std::min(inner, to * kPairedColumns), panels + part * panel,
                rooms + part * n * kPairedColumns, static_cast<std::uint16_t*>(op.diffSrc.data));
        });
        return;
    }
    const StagedOutput diffSrc(op.diffSrc, frame);
    const float *diffDst = stagedFloats(op.diffDst, frame), *weights = stagedFloats(op.weights, frame);
    if (const FullyConnectedPlan plan{n, inner, outputs}; isSmallBatch(plan))
        forSmallBatch(plan, inner, frame,
                      [&, run = PEWTER_VECTOR(fullyDataGradient)](std::int64_t from, std::int64_t to, float* room) {
                          run(plan, weights, diffDst, from, to, room, diffSrc.data());
                      });
    else
        multiply(false, false, n, inner, outputs, diffDst, weights, 0.0f, diffSrc.data());
    diffSrc.finish();
}

void Cpu::run(const ops::FullyConnectedWeightsGradient& op, ops::Stream& stream) {
    const std::int64_t n = op.src.n, inner = rowLength(op.src), outputs = op.diffDst.c;
    Scratch::Frame frame(scratchOf(stream));
    const StagedOutput diffWeights(op.diffWeights, frame);
    if (op.accumulate && diffWeights.data() != op.diffWeights.data) load(op.diffWeights, diffWeights.data());
    const float* diffDst = stagedFloats(op.diffDst, frame);
    if (const FullyConnectedPlan plan{n, inner, outputs}; isPaired(plan, op.src, op.diffDst, diffWeights.view())) {
        const std::uint32_t *const images = pairedImages(op.src, inner, frame),
                                  *const gradients = pairedImages(op.diffDst, outputs, frame);
        parallelFor(0, outputs, 6, [&, run = PEWTER_VECTOR(pairedWeightsGradient)](auto from, auto to) {
            run(plan, images, gradients, from, to, op.accumulate, diffWeights.data());
        });
    } else if (isSmallBatch(plan)) {
        const float* const src = stagedFloats(op.src, frame);
        forSmallBatch(plan, outputs, frame,
                      [&, run = PEWTER_VECTOR(fullyWeightsGradient)](std::int64_t from, std::int64_t to, float* room) {
                          run(plan, src, diffDst, from, to, op.accumulate, room, diffWeights.data());
                      });
    } else if (n > 0) {
        multiply(true, false, outputs, inner, n, diffDst, stagedFloats(op.src, frame),
                 op.accumulate ? 1.0f : 0.0f, diffWeights.data());
    } else if (!op.accumulate) {
        std::fill_n(diffWeights.data(), outputs * inner, 0.0f);
    }
    diffWeights.finish();
    if (op.diffBias.isNull()) return;
    float* sums = frame.floats(outputs);
    std::fill_n(sums, outputs, 0.0f);
    for (std::int64_t i = 0; i < n; ++i)
        for (std::int64_t o = 0; o < outputs; ++o) sums[o] += diffDst[i * outputs + o];
    storeSums(sums, op.diffBias, op.accumulate, frame);
}

}  // namespace pewter::cpu
