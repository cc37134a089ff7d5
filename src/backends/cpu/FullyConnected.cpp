#include <algorithm>

#include "backends/cpu/Cpu.h"
#include "backends/cpu/Engine.h"
#include "backends/cpu/Parallel.h"

// Three matrix products on the operands as they lie: oneDNN's sgemm takes transposed ones, so that nothing as
// large as the weights is ever copied.

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
    // The weights as the left operand, the result transposed: half the time of the other way round, because
    // sgemm packs its right operand and the batch is the smaller one.
    float* transposed = frame.floats(n * outputs);
    multiply(false, true, outputs, n, inner, stagedFloats(op.weights, frame), stagedFloats(op.src, frame),
             0.0f, transposed);
    const float* bias = staged(op.bias, frame);
    parallelFor(0, outputs, std::max<std::int64_t>(1, kElementGrain / n),
                [&](std::int64_t from, std::int64_t to) {
                    for (std::int64_t i = 0; i < n; ++i)
                        for (std::int64_t o = from; o < to; ++o)
                            dst.data()[i * outputs + o] = transposed[o * n + i] + (bias ? bias[o] : 0.0f);
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
    multiply(false, false, n, inner, outputs, stagedFloats(op.diffDst, frame),
             stagedFloats(op.weights, frame), 0.0f, diffSrc.data());
    diffSrc.finish();
}

void Cpu::run(const ops::FullyConnectedWeightsGradient& op, ops::Stream& stream) {
    const std::int64_t n = op.src.n, inner = rowLength(op.src), outputs = op.diffDst.c;
    Scratch::Frame frame(scratchOf(stream));
    const StagedOutput diffWeights(op.diffWeights, frame);
    if (op.accumulate && diffWeights.data() != op.diffWeights.data) load(op.diffWeights, diffWeights.data());
    const float* diffDst = stagedFloats(op.diffDst, frame);
    if (n > 0)
        multiply(true, false, outputs, inner, n, diffDst, stagedFloats(op.src, frame),
                 op.accumulate ? 1.0f : 0.0f, diffWeights.data());
    else if (!op.accumulate)
        std::fill_n(diffWeights.data(), outputs * inner, 0.0f);
    diffWeights.finish();
    if (op.diffBias.isNull()) return;
    float* sums = frame.floats(outputs);
    std::fill_n(sums, outputs, 0.0f);
    for (std::int64_t i = 0; i < n; ++i)
        for (std::int64_t o = 0; o < outputs; ++o) sums[o] += diffDst[i * outputs + o];
    storeSums(sums, op.diffBias, op.accumulate, frame);
}

}  // namespace pewter::cpu
