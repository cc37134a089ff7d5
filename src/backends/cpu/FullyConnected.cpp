#include <algorithm>

#include "backends/cpu/Cpu.h"
#include "backends/cpu/Engine.h"
#include "backends/cpu/Parallel.h"
#include "backends/cpu/Runs.h"
#include "backends/cpu/TurnedCopy.h"
#include "backends/cpu/vector/FullyConnected.h"

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
    const bool small = isSmallBatch(plan);
    const std::int64_t step = small ? (n + kTurnedBatch - 1) / kTurnedBatch * kTurnedBatch : n;
    // The weights as the left operand, the result transposed: half the time of the other way round, because
    // sgemm packs its right operand and the batch is the smaller one.
    float* transposed = frame.floats(step * outputs);
    const float *weights = stagedFloats(op.weights, frame), *bias = staged(op.bias, frame);
    const float* const turned = small ? turnedBatch(staged(op.src, frame), step, frame) : nullptr;
    if (!small) multiply(false, true, outputs, n, inner, weights, stagedFloats(op.src, frame), 0.0f, transposed);
    const auto products = PEWTER_VECTOR(fullyForward);
    parallelFor(0, outputs, small ? 8 : std::max<std::int64_t>(1, kElementGrain / n),
                [&](std::int64_t from, std::int64_t to) {
                    if (small) products(plan, weights, turned, step, from, to, transposed);
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
    if (const FullyConnectedPlan plan{n, inner, outputs}; isSmallBatch(plan)) {
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
