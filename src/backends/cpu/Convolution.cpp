#include <algorithm>
#include <limits>

#include "backends/cpu/ConvolutionChoices.h"
#include "backends/cpu/ConvolutionTask.h"
#include "backends/cpu/Cpu.h"
#include "backends/cpu/Depthwise.h"
#include "backends/cpu/Runs.h"
#include "backends/cpu/vector/Arithmetic.h"
#include "backends/cpu/vector/Neuron.h"

// oneDNN computes the sums, by the algorithm that ConvolutionChoices finds fastest. Here: what it does not take as it
// lies (element types, borders, clamped edges), and what comes after the sums.

namespace pewter::cpu {

using ops::Tensor;

namespace {

/// A dense image with room for the border of `problem`.
Tensor borderedImage(const Problem& problem, ops::Type type, Scratch::Frame& frame) {
    const std::int64_t h = problem.y.needed(), w = problem.x.needed();
    return Tensor::dense(frame.floats(problem.n * h * w * problem.inputs), type, problem.n, h, w, problem.inputs);
}

bool canFuse(const ops::Neuron& neuron) {
    dnnl::post_ops operations;
    return appendNeuron(operations, neuron);
}

float* floatsOf(const Tensor& t) { return static_cast<float*>(t.data); }

/// dense = neuron(dense + bias), channel by channel.
void finishImage(const Tensor& dense, const float* bias, const ops::Neuron& neuron, Scratch::Frame& frame) {
    const ChannelTile slopes = slopesOf(neuron, dense.c, frame);
    ChannelTile biases;
    if (bias) {
        biases = ChannelTile(dense.c, frame);
        biases.set(bias);
    }
    ops::Arithmetic sum;
    sum.minimum = -std::numeric_limits<float>::infinity();
    sum.maximum = std::numeric_limits<float>::infinity();
    const auto add = PEWTER_VECTOR(arithmeticRun);
    const auto apply = PEWTER_VECTOR(neuronForward);
    auto* const data = static_cast<float*>(dense.data);
    forRuns(dense.count(), [&](std::int64_t first, std::int64_t count) {
        float* const y = data + first;
        if (bias) add(sum, y, biases.of(first), y, nullptr, count);
        if (neuron.type != ops::NeuronType::None) apply(neuron, slopes.of(first), y, y, count);
    });
}

/// diffBias = the sums of diffDst over images and pixels, or adds them.
void sumPixels(const Tensor& diffDst, const ops::Array& diffBias, bool accumulate, Scratch::Frame& frame) {
    const auto* const data = static_cast<const float*>(staged(diffDst, frame).data);
    const std::int64_t c = diffDst.c, pixels = diffDst.count() / std::max<std::int64_t>(1, c);
    const std::int64_t parts = partsOf(diffDst.count());
    auto* const partial =
        static_cast<double*>(frame.bytes(static_cast<std::size_t>(parts * c) * sizeof(double)));
    std::fill_n(partial, parts * c, 0.0);
    const auto add = PEWTER_VECTOR(addPixels);
    forParts(parts, pixels, [&](std::int64_t part, std::int64_t from, std::int64_t to) {
        add(data + from * c, to - from, c, partial + part * c);
    });
    float* const sums = frame.floats(c);
    for (std::int64_t o = 0; o < c; ++o) {
        double sum = 0;
        for (std::int64_t part = 0; part < parts; ++part) sum += partial[part * c + o];
        sums[o] = static_cast<float>(sum);
    }
    storeSums(sums, diffBias, accumulate, frame);
}

}  // namespace

std::shared_ptr<const Prepared> Cpu::prepared(const ConvolutionTask& task, ops::Exactness exactness,
                                              const ConvolutionOperands& operands, Scratch::Frame& frame) {
    return primitives_->get(task.key(exactness),
                            [&] { return choices_->choose(task, exactness, operands, &frame.scratch()); });
}

Tensor Cpu::convolutionSource(const Tensor& src, const ops::Window& window, Problem& problem, ops::Stream& stream,
                              Scratch::Frame& frame) {
    if (!problem.needsBorder()) return stagedOrBFloat16(src, frame);
    const auto type = src.type == ops::Type::BFloat16 ? src.type : ops::Type::Float32;
    const Tensor bordered = borderedImage(problem, type, frame);
    run(ops::Copy{src, bordered, -window.padLeft, -window.padTop, window.edge}, stream);
    problem = problem.bordered();
    return bordered;
}

void Cpu::run(const ops::ConvolutionForward& op, ops::Stream& stream) {
    ConvolutionTask task = taskOf(op);
    if (task.problem.isEmpty()) return;
    Scratch::Frame frame(scratchOf(stream));
    if (runDepthwise(op.src, op.weights, op.dst, staged(op.bias, frame), op.window, op.groups, false, frame)) {
        if (op.neuron.type != ops::NeuronType::None) run(ops::NeuronForward{op.dst, op.dst, op.neuron}, stream);
        return;
    }
    const Tensor src = convolutionSource(op.src, op.window, task.problem, stream, frame);
    // A neuron that follows on its own gets the sums before they are rounded.
    const StagedOutput dst(op.dst, frame, canFuse(op.neuron));
    task.srcType = src.type;
    task.dstType = dst.view().type;
    const ConvolutionOperands operands{src.data, floatsOf(staged(op.weights, frame)), dst.view().data,
                                       const_cast<float*>(staged(op.bias, frame))};
    const auto primitive = prepared(task, op.exactness, operands, frame);
    execute(*primitive, task.direction, operands, frame);
    if (!primitive->neuronFused) run(ops::NeuronForward{dst.view(), dst.view(), op.neuron}, stream);
    dst.finish();
}

void Cpu::run(const ops::ConvolutionDataGradient& op, ops::Stream& stream) {
    ConvolutionTask task = taskOf(op);
    Problem& problem = task.problem;
    Scratch::Frame frame(scratchOf(stream));
    if (op.accumulate && (problem.isEmpty() || problem.needsBorder() || problem.groups > 1)) {
        // Ways that do not add by themselves.
        addDataGradient(op, stream, frame);
        return;
    }
    const bool finishing = !op.bias.isNull() || op.neuron.type != ops::NeuronType::None;
    if (!finishing && runDepthwise(op.diffDst, op.weights, op.diffSrc, nullptr, op.window, op.groups, true, frame))
        return;
    const bool border = !problem.isEmpty() && problem.needsBorder();
    if (border) problem = problem.bordered();
    const Tensor bordered = border ? borderedImage(problem, ops::Type::Float32, frame) : Tensor();
    // What still gets its bias is not rounded to the type of the image before.
    const StagedOutput diffSrc(border && !finishing ? bordered : op.diffSrc, frame, !finishing);
    if (op.accumulate && diffSrc.data() != op.diffSrc.data) load(op.diffSrc, diffSrc.data());
    if (problem.isEmpty()) {
        run(ops::Fill{diffSrc.view(), 0}, stream);
    } else {
        const Tensor diffDst = stagedOrBFloat16(op.diffDst, frame);
        const Tensor& sums = border ? bordered : diffSrc.view();
        task.srcType = sums.type;
        task.dstType = diffDst.type;
        const ConvolutionOperands operands{sums.data, floatsOf(staged(op.weights, frame)), diffDst.data, nullptr};
        execute(*prepared(task, op.exactness, operands, frame), task.direction, operands, frame);
    }
    if (border)
        run(ops::CopyGradient{bordered, finishing ? diffSrc.view() : op.diffSrc, -op.window.padLeft,
                              -op.window.padTop, op.window.edge},
            stream);
    if (finishing) finishImage(diffSrc.view(), staged(op.bias, frame), op.neuron, frame);
    if (finishing || !border) diffSrc.finish();
}

void Cpu::addDataGradient(const ops::ConvolutionDataGradient& op, ops::Stream& stream, Scratch::Frame& frame) {
    const Tensor& sum = op.diffSrc;
    ops::ConvolutionDataGradient alone = op;
    alone.accumulate = false;
    alone.diffSrc = Tensor::dense(frame.floats(sum.count()), ops::Type::Float32, sum.n, sum.h, sum.w, sum.c);
    run(alone, stream);
    ops::Arithmetic add;
    add.minimum = -std::numeric_limits<float>::infinity();
    add.maximum = std::numeric_limits<float>::infinity();
    add.primary = sum;
    add.secondary = alone.diffSrc;
    add.dst = sum;
    run(add, stream);
}

void Cpu::run(const ops::ConvolutionWeightsGradient& op, ops::Stream& stream) {
    const bool bias = !op.diffBias.isNull();
    Scratch::Frame frame(scratchOf(stream));
    if (op.diffWeights.isNull()) {
        if (bias) sumPixels(op.diffDst, op.diffBias, op.accumulate, frame);
        return;
    }
    ConvolutionTask task = taskOf(op);
    if (task.problem.isEmpty()) {
        if (op.accumulate) return;
        run(ops::Fill{op.diffWeights, 0}, stream);
        if (bias)
            run(ops::Fill{Tensor::dense(op.diffBias.data, op.diffBias.type, 1, 1, 1, op.diffBias.size), 0},
                stream);
        return;
    }
    const StagedOutput diffWeights(op.diffWeights, frame);
    if (op.accumulate && diffWeights.data() != op.diffWeights.data) load(op.diffWeights, diffWeights.data());
    if (sumDepthwise(op.src, op.diffDst, diffWeights.data(), op.window, op.groups, op.accumulate, frame)) {
        diffWeights.finish();
        if (bias) sumPixels(op.diffDst, op.diffBias, op.accumulate, frame);
        return;
    }
    const Tensor src = convolutionSource(op.src, op.window, task.problem, stream, frame);
    const Tensor diffDst = stagedOrBFloat16(op.diffDst, frame);
    task.srcType = src.type;
    task.dstType = diffDst.type;
    const ConvolutionOperands operands{src.data, diffWeights.data(), diffDst.data,
                                       bias ? frame.floats(task.problem.outputs) : nullptr};
    const auto primitive = prepared(task, op.exactness, operands, frame);
    execute(*primitive, task.direction, operands, frame);
    diffWeights.finish();
    if (!bias) return;
    if (primitive->biasSummed)
        storeSums(operands.bias, op.diffBias, op.accumulate, frame);
    else
        sumPixels(op.diffDst, op.diffBias, op.accumulate, frame);
}

}  // namespace pewter::cpu
