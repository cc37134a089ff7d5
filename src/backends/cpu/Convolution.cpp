#include <algorithm>
#include <bit>
#include <cstring>
#include <limits>

#include "backends/cpu/Cpu.h"
#include "backends/cpu/Depthwise.h"
#include "backends/cpu/Engine.h"
#include "backends/cpu/Runs.h"
#include "backends/cpu/vector/Arithmetic.h"
#include "backends/cpu/vector/Neuron.h"

// Images stay in N,H,W,C order, for which oneDNN has fast kernels of every direction. Weights are small next
// to images: the primitive chooses their layout, and a reorder from or to [O][kH][kW][I] runs with every
// call.

namespace pewter::cpu {

using dnnl::memory;
using ops::Tensor;

namespace {

enum Direction : std::int64_t { kForward = 1, kDataGradient = 2, kWeightsGradient = 3 };

/// One axis of a window over a source axis.
struct Axis {
    std::int64_t source, outputs, taps, stride, dilation, before;

    std::int64_t windowExtent() const { return (taps - 1) * dilation + 1; }
    /// Source positions that all windows together span, padding included.
    std::int64_t needed() const { return (outputs - 1) * stride + windowExtent(); }
    /// Padding on the far side; negative where the source goes on.
    std::int64_t after() const { return needed() - before - source; }
    bool reachesOutside() const { return before > 0 || after() > 0; }
    /// What oneDNN's kernels are made for: no crop that could hide a whole step, no window wholly in the
    /// padding.
    bool isUsual() const {
        return before >= 0 && before < windowExtent() && after() < windowExtent() && after() > -stride;
    }
};

/// A convolution as oneDNN takes it: extents of source and destination, window, groups.
struct Problem {
    std::int64_t n, inputs, outputs, groups;
    Axis y, x;
    bool clamp;

    Problem(const Tensor& src, const Tensor& dst, const ops::Window& w, std::int64_t groupCount)
        : n(src.n),
          inputs(src.c),
          outputs(dst.c),
          groups(groupCount),
          y{src.h, dst.h, w.height, w.strideY, w.dilationY, w.padTop},
          x{src.w, dst.w, w.width, w.strideX, w.dilationX, w.padLeft},
          clamp(w.edge == ops::Edge::Clamp) {}

    bool isEmpty() const { return n == 0 || y.outputs <= 0 || x.outputs <= 0; }
    /// Whether the source has to be laid out anew, with its border written out.
    bool needsBorder() const {
        return !y.isUsual() || !x.isUsual() || (clamp && (y.reachesOutside() || x.reachesOutside()));
    }
    /// The same convolution over a source with the border written out.
    Problem bordered() const {
        Problem p = *this;
        p.y.source = y.needed(), p.y.before = 0;
        p.x.source = x.needed(), p.x.before = 0;
        p.clamp = false;
        return p;
    }

    ProblemKey key(Direction direction, bool bias, bool accumulate, const ops::Neuron& neuron) const {
        const auto bits = [](float value) {
            return static_cast<std::int64_t>(std::bit_cast<std::uint32_t>(value));
        };
        const bool fused = neuron.type != ops::NeuronType::None;
        return {direction,
                n,
                inputs,
                outputs,
                groups,
                y.source,
                x.source,
                y.outputs,
                x.outputs,
                y.taps,
                x.taps,
                y.stride,
                x.stride,
                y.before,
                x.before,
                y.dilation,
                x.dilation,
                bias,
                accumulate,
                fused ? static_cast<std::int64_t>(neuron.type) : 0,
                fused ? bits(neuron.a) : 0,
                fused ? bits(neuron.b) : 0,
                fused ? bits(neuron.c) : 0,
                maxThreads()};
    }

    ConvolutionDescriptors descriptors(bool bias, bool freeImages) const {
        const auto type = memory::data_type::f32;
        const auto images = freeImages ? memory::format_tag::any : memory::format_tag::nhwc;
        ConvolutionDescriptors d;
        d.src = memory::desc({n, inputs, y.source, x.source}, type, images);
        d.dst = memory::desc({n, outputs, y.outputs, x.outputs}, type, images);
        d.weights = memory::desc(weightExtents(), type, memory::format_tag::any);
        d.hasBias = bias;
        if (bias) d.bias = memory::desc({outputs}, type, memory::format_tag::a);
        d.strides = {y.stride, x.stride};
        d.dilations = {y.dilation - 1, x.dilation - 1};
        d.padBefore = {y.before, x.before};
        // Source left over on the far side, less than a stride, is not read anyway.
        d.padAfter = {std::max<std::int64_t>(0, y.after()), std::max<std::int64_t>(0, x.after())};
        return d;
    }

    memory::dims weightExtents() const {
        if (groups == 1) return {outputs, inputs, y.taps, x.taps};
        return {groups, outputs / groups, inputs / groups, y.taps, x.taps};
    }

    /// [O][kH][kW][I/groups], the order of the seam.
    memory::desc plainWeights() const {
        const std::int64_t i = inputs / groups, row = x.taps * i, one = y.taps * row;
        const auto type = memory::data_type::f32;
        if (groups == 1) return {weightExtents(), type, memory::dims{one, 1, row, i}};
        return {weightExtents(), type, memory::dims{outputs / groups * one, one, 1, row, i}};
    }
};

dnnl::primitive_attr ownScratchpad() {
    dnnl::primitive_attr attributes;
    attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
    return attributes;
}

template <typename Descriptor>
std::string implementationOf(const Descriptor& descriptor) {
    return descriptor.impl_info_str();
}

Prepared prepareForward(const Problem& problem, bool bias, const ops::Neuron& neuron) {
    dnnl::primitive_attr attributes = ownScratchpad();
    dnnl::post_ops operations;
    Prepared prepared;
    prepared.neuronFused = appendNeuron(operations, neuron);
    const ConvolutionDescriptors d = problem.descriptors(bias, false);
    if (prepared.neuronFused) attributes.set_post_ops(operations);
    auto descriptor = forwardDescriptor(d, dnnl::prop_kind::forward_training, attributes);
    if (prepared.neuronFused && neuron.type != ops::NeuronType::None &&
        implementationOf(descriptor).starts_with("ref")) {
        // A fast convolution and a pass of its own for the neuron beat plain loops that do both.
        prepared.neuronFused = false;
        descriptor = forwardDescriptor(d, dnnl::prop_kind::forward_training, ownScratchpad());
    }
    prepared.primitive = dnnl::convolution_forward(descriptor);
    prepared.src = descriptor.src_desc();
    prepared.weights = descriptor.weights_desc();
    prepared.dst = descriptor.dst_desc();
    if (bias) prepared.bias = descriptor.bias_desc();
    prepared.scratchpad = descriptor.scratchpad_desc();
    prepared.implementation = implementationOf(descriptor);
    return prepared;
}

/// The forward descriptor that oneDNN wants to see beside a gradient's.
dnnl::convolution_forward::primitive_desc hintOf(const Problem& problem) {
    return forwardDescriptor(problem.descriptors(false, true), dnnl::prop_kind::forward_training, {});
}

Prepared prepareDataGradient(const Problem& problem) {
    const auto descriptor =
        dataGradientDescriptor(problem.descriptors(false, false), hintOf(problem), ownScratchpad());
    Prepared prepared;
    prepared.primitive = dnnl::convolution_backward_data(descriptor);
    prepared.src = descriptor.diff_src_desc();
    prepared.weights = descriptor.weights_desc();
    prepared.dst = descriptor.diff_dst_desc();
    prepared.scratchpad = descriptor.scratchpad_desc();
    prepared.implementation = implementationOf(descriptor);
    return prepared;
}

Prepared prepareWeightsGradient(const Problem& problem, bool bias) {
    const auto descriptor =
        weightsGradientDescriptor(problem.descriptors(bias, false), hintOf(problem), ownScratchpad());
    Prepared prepared;
    prepared.primitive = dnnl::convolution_backward_weights(descriptor);
    prepared.src = descriptor.src_desc();
    prepared.weights = descriptor.diff_weights_desc();
    prepared.dst = descriptor.diff_dst_desc();
    if (bias) prepared.bias = descriptor.diff_bias_desc();
    prepared.scratchpad = descriptor.scratchpad_desc();
    prepared.implementation = implementationOf(descriptor);
    return prepared;
}

/// Adds the way between the seam's weights and the primitive's: there before it runs, back after a weights
/// gradient.
void addReorder(Prepared& prepared, const Problem& problem, bool back, bool accumulate) {
    prepared.plainWeights = problem.plainWeights();
    if (prepared.weights == prepared.plainWeights && !accumulate) return;
    dnnl::primitive_attr attributes = ownScratchpad();
    if (accumulate) {
        dnnl::post_ops operations;
        operations.append_sum(1.0f);
        attributes.set_post_ops(operations);
    }
    const auto& from = back ? prepared.weights : prepared.plainWeights;
    const auto& to = back ? prepared.plainWeights : prepared.weights;
    const dnnl::reorder::primitive_desc descriptor(engine(), from, engine(), to, attributes);
    prepared.reorder = dnnl::reorder(descriptor);
    prepared.reorderScratchpad = descriptor.scratchpad_desc();
}

memory wrap(const memory::desc& desc, const void* data) { return {desc, engine(), const_cast<void*>(data)}; }

void runReorder(const Prepared& prepared, const memory& from, const memory& to, Scratch::Frame& frame) {
    const memory scratchpad =
        wrap(prepared.reorderScratchpad, frame.bytes(prepared.reorderScratchpad.get_size()));
    prepared.reorder.execute(threadStream(),
                             {{DNNL_ARG_FROM, from}, {DNNL_ARG_TO, to}, {DNNL_ARG_SCRATCHPAD, scratchpad}});
}

/// Weights in the layout that the primitive wants.
memory weightsFor(const Prepared& prepared, const float* plain, Scratch::Frame& frame) {
    if (!prepared.reorder) return wrap(prepared.weights, plain);
    const memory weights = wrap(prepared.weights, frame.bytes(prepared.weights.get_size()));
    runReorder(prepared, wrap(prepared.plainWeights, plain), weights, frame);
    return weights;
}

/// A dense float32 image with room for the border of `problem`.
Tensor borderedImage(const Problem& problem, Scratch::Frame& frame) {
    const std::int64_t h = problem.y.needed(), w = problem.x.needed();
    return Tensor::dense(frame.floats(problem.n * h * w * problem.inputs), ops::Type::Float32, problem.n, h,
                         w, problem.inputs);
}

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

void Cpu::run(const ops::ConvolutionForward& op, ops::Stream& stream) {
    Problem problem(op.src, op.dst, op.window, op.groups);
    if (problem.isEmpty()) return;
    Scratch::Frame frame(scratchOf(stream));
    const bool bias = !op.bias.isNull();
    if (runDepthwise(op.src, op.weights, op.dst, bias ? staged(op.bias, frame) : nullptr, op.window, op.groups, false,
                     frame)) {
        if (op.neuron.type != ops::NeuronType::None) run(ops::NeuronForward{op.dst, op.dst, op.neuron}, stream);
        return;
    }
    Tensor src = op.src;
    if (problem.needsBorder()) {
        src = borderedImage(problem, frame);
        run(ops::Copy{op.src, src, -op.window.padLeft, -op.window.padTop, op.window.edge}, stream);
        problem = problem.bordered();
    } else {
        src = staged(op.src, frame);
    }
    const auto prepared = primitives_->get(problem.key(kForward, bias, false, op.neuron), [&] {
        Prepared made = prepareForward(problem, bias, op.neuron);
        addReorder(made, problem, false, false);
        return made;
    });
    const StagedOutput dst(op.dst, frame);
    const Tensor weights = staged(op.weights, frame);
    std::unordered_map<int, memory> arguments = {
        {DNNL_ARG_SRC, wrap(prepared->src, src.data)},
        {DNNL_ARG_WEIGHTS, weightsFor(*prepared, static_cast<const float*>(weights.data), frame)},
        {DNNL_ARG_DST, wrap(prepared->dst, dst.data())},
        {DNNL_ARG_SCRATCHPAD, wrap(prepared->scratchpad, frame.bytes(prepared->scratchpad.get_size()))}};
    if (bias) arguments.emplace(DNNL_ARG_BIAS, wrap(prepared->bias, staged(op.bias, frame)));
    prepared->primitive.execute(threadStream(), arguments);
    if (!prepared->neuronFused) run(ops::NeuronForward{dst.view(), dst.view(), op.neuron}, stream);
    dst.finish();
}

void Cpu::run(const ops::ConvolutionDataGradient& op, ops::Stream& stream) {
    Problem problem(op.diffSrc, op.diffDst, op.window, op.groups);
    Scratch::Frame frame(scratchOf(stream));
    const bool finishing = !op.bias.isNull() || op.neuron.type != ops::NeuronType::None;
    if (!finishing && runDepthwise(op.diffDst, op.weights, op.diffSrc, nullptr, op.window, op.groups, true, frame)) return;
    const bool border = !problem.isEmpty() && problem.needsBorder();
    if (border) problem = problem.bordered();
    const Tensor bordered = border ? borderedImage(problem, frame) : Tensor();
    // What still gets its bias is not rounded to the type of the image before.
    const StagedOutput diffSrc(border && !finishing ? bordered : op.diffSrc, frame);
    if (problem.isEmpty()) {
        run(ops::Fill{diffSrc.view(), 0}, stream);
    } else {
        const auto prepared = primitives_->get(problem.key(kDataGradient, false, false, {}), [&] {
            Prepared made = prepareDataGradient(problem);
            addReorder(made, problem, false, false);
            return made;
        });
        const Tensor diffDst = staged(op.diffDst, frame), weights = staged(op.weights, frame);
        prepared->primitive.execute(
            threadStream(),
            {{DNNL_ARG_DIFF_DST, wrap(prepared->dst, diffDst.data)},
             {DNNL_ARG_WEIGHTS, weightsFor(*prepared, static_cast<const float*>(weights.data), frame)},
             {DNNL_ARG_DIFF_SRC, wrap(prepared->src, border ? bordered.data : diffSrc.data())},
             {DNNL_ARG_SCRATCHPAD,
              wrap(prepared->scratchpad, frame.bytes(prepared->scratchpad.get_size()))}});
    }
    if (border)
        run(ops::CopyGradient{bordered, finishing ? diffSrc.view() : op.diffSrc, -op.window.padLeft,
                              -op.window.padTop, op.window.edge},
            stream);
    if (finishing) finishImage(diffSrc.view(), staged(op.bias, frame), op.neuron, frame);
    if (finishing || !border) diffSrc.finish();
}

void Cpu::run(const ops::ConvolutionWeightsGradient& op, ops::Stream& stream) {
    const bool bias = !op.diffBias.isNull();
    if (op.diffWeights.isNull()) {
        Scratch::Frame frame(scratchOf(stream));
        if (bias) sumPixels(op.diffDst, op.diffBias, op.accumulate, frame);
        return;
    }
    Problem problem(op.src, op.diffDst, op.window, op.groups);
    if (problem.isEmpty()) {
        if (op.accumulate) return;
        run(ops::Fill{op.diffWeights, 0}, stream);
        if (bias)
            run(ops::Fill{Tensor::dense(op.diffBias.data, op.diffBias.type, 1, 1, 1, op.diffBias.size), 0},
                stream);
        return;
    }
    Scratch::Frame frame(scratchOf(stream));
    Tensor src = op.src;
    if (problem.needsBorder()) {
        src = borderedImage(problem, frame);
        run(ops::Copy{op.src, src, -op.window.padLeft, -op.window.padTop, op.window.edge}, stream);
        problem = problem.bordered();
    } else {
        src = staged(op.src, frame);
    }
    const auto prepared = primitives_->get(problem.key(kWeightsGradient, bias, op.accumulate, {}), [&] {
        Prepared made = prepareWeightsGradient(problem, bias);
        addReorder(made, problem, true, op.accumulate);
        return made;
    });
    const Tensor diffDst = staged(op.diffDst, frame);
    const StagedOutput plain(op.diffWeights, frame);
    if (op.accumulate && plain.data() != op.diffWeights.data) load(op.diffWeights, plain.data());
    const bool direct = !prepared->reorder;
    const memory diffWeights =
        wrap(prepared->weights, direct ? plain.data() : frame.bytes(prepared->weights.get_size()));
    std::unordered_map<int, memory> arguments = {
        {DNNL_ARG_SRC, wrap(prepared->src, src.data)},
        {DNNL_ARG_DIFF_DST, wrap(prepared->dst, diffDst.data)},
        {DNNL_ARG_DIFF_WEIGHTS, diffWeights},
        {DNNL_ARG_SCRATCHPAD, wrap(prepared->scratchpad, frame.bytes(prepared->scratchpad.get_size()))}};
    float* sums = bias ? frame.floats(problem.outputs) : nullptr;
    if (bias) arguments.emplace(DNNL_ARG_DIFF_BIAS, wrap(prepared->bias, sums));
    prepared->primitive.execute(threadStream(), arguments);
    if (!direct) runReorder(*prepared, diffWeights, wrap(prepared->plainWeights, plain.data()), frame);
    plain.finish();
    if (bias) storeSums(sums, op.diffBias, op.accumulate, frame);
}

}  // namespace pewter::cpu
