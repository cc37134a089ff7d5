#include "backends/cpu/ConvolutionPrimitive.h"

#include <unordered_map>

#include "backends/cpu/ConvolutionChunks.h"
#include "backends/cpu/ConvolutionColumns.h"
#include "backends/cpu/ConvolutionProducts.h"
#include "backends/cpu/ConvolutionSlices.h"
#include "backends/cpu/ConvolutionWinograd.h"
#include "backends/cpu/ConvolutionWinograd2.h"

namespace pewter::cpu {

using dnnl::memory;

std::string nameOf(Algorithm algorithm) {
    switch (algorithm) {
        case Algorithm::Direct:
            return "direct";
        case Algorithm::Blocked:
            return "blocked";
        case Algorithm::Winograd:
            return "winograd";
        case Algorithm::Columns:
            return "columns";
        case Algorithm::Winograd5:
            return "winograd5";
        case Algorithm::Winograd2:
            return "winograd2";
        case Algorithm::Products:
            return "products";
    }
    return "";
}

ProblemKey ConvolutionTask::key(ops::Exactness exactness) const {
    const auto bits = [](float value) {
        return static_cast<std::int64_t>(std::bit_cast<std::uint32_t>(value));
    };
    const bool fused = neuron.type != ops::NeuronType::None;
    const Axis &y = problem.y, &x = problem.x;
    const auto flags = (bias ? 1 : 0) + (accumulate ? 2 : 0) + 4 * static_cast<std::int64_t>(exactness) +
                       (srcType == ops::Type::BFloat16 ? 16 : 0) + (dstType == ops::Type::BFloat16 ? 32 : 0) +
                       (bfloat16 ? 64 : 0) + (srcLayout == ops::ImageLayout::ChannelBlocks ? 128 : 0) +
                       (dstLayout == ops::ImageLayout::ChannelBlocks ? 256 : 0);
    return {static_cast<std::int64_t>(direction),
            problem.n,
            problem.inputs,
            problem.outputs,
            problem.groups,
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
            flags,
            fused ? static_cast<std::int64_t>(neuron.type) : 0,
            fused ? bits(neuron.a) : 0,
            fused ? bits(neuron.b) : 0,
            fused ? bits(neuron.c) : 0,
            maxThreads()};
}

namespace {

dnnl::primitive_attr ownScratchpad() {
    dnnl::primitive_attr attributes;
    attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
    return attributes;
}

/// Layouts of images: N,H,W,C, those of the task, or those that the library likes best.
enum class Images { Plain, Tasks, Chosen };

memory::data_type typeOf(ops::Type type) {
    return type == ops::Type::BFloat16 ? memory::data_type::bf16 : memory::data_type::f32;
}

/// Of `result`, nothing where the forward descriptor is meant that stands beside a gradient's.
ConvolutionDescriptors descriptorsOf(const ConvolutionTask& task, Algorithm algorithm, Images images,
                                     std::optional<Direction> result) {
    const Problem& p = task.problem;
    const bool bias = task.bias && result, bfloat16 = task.bfloat16 && algorithm != Algorithm::Winograd;
    const auto type = bfloat16 ? memory::data_type::bf16 : memory::data_type::f32;
    // Sums are rounded once: on their way into the image, or where they are added to it.
    const auto resultType = [&](Direction direction, ops::Type image) {
        if (!bfloat16 || result != direction) return type;
        return task.accumulate ? memory::data_type::f32 : typeOf(image);
    };
    const auto tagOf = [&](ops::ImageLayout layout) {
        if (images == Images::Tasks) return cpu::tagOf(layout);
        return images == Images::Chosen ? memory::format_tag::any : memory::format_tag::nhwc;
    };
    ConvolutionDescriptors d;
    d.algorithm = algorithm == Algorithm::Winograd ? dnnl::algorithm::convolution_winograd
                                                   : dnnl::algorithm::convolution_direct;
    d.src = memory::desc(p.srcExtents(), resultType(Direction::DataGradient, task.srcType), tagOf(task.srcLayout));
    d.dst = memory::desc(p.dstExtents(), resultType(Direction::Forward, task.dstType), tagOf(task.dstLayout));
    d.weights = memory::desc(p.weightExtents(), resultType(Direction::WeightsGradient, ops::Type::Float32),
                             memory::format_tag::any);
    d.hasBias = bias;
    if (bias) d.bias = memory::desc({p.outputs}, memory::data_type::f32, memory::format_tag::a);
    d.strides = {p.y.stride, p.x.stride};
    d.dilations = {p.y.dilation - 1, p.x.dilation - 1};
    d.padBefore = {p.y.before, p.x.before};
    // Source left over on the far side, less than a stride, is not read anyway.
    d.padAfter = {std::max<std::int64_t>(0, p.y.after()), std::max<std::int64_t>(0, p.x.after())};
    return d;
}

/// [O][kH][kW][I/groups], the order of the seam.
memory::desc plainWeights(const ConvolutionTask& task) {
    const Problem& p = task.problem;
    const auto type = memory::data_type::f32;
    if (p.groups == 1) return plainLayout(p.weightExtents(), type, task.srcStep ? task.srcStep : p.inputs);
    const std::int64_t i = p.inputs / p.groups, row = p.x.taps * i, one = p.y.taps * row;
    return {p.weightExtents(), type, memory::dims{p.outputs / p.groups * one, one, 1, row, i}};
}

memory::desc plainImage(const memory::dims& extents, ops::Type type, std::int64_t step, ops::ImageLayout layout) {
    if (step > 0) return plainLayout(extents, typeOf(type), step);
    return {extents, typeOf(type), tagOf(layout)};
}
memory::desc plainSrc(const ConvolutionTask& task) {
    return plainImage(task.problem.srcExtents(), task.srcType, task.srcStep, task.srcLayout);
}
memory::desc plainDst(const ConvolutionTask& task) {
    return plainImage(task.problem.dstExtents(), task.dstType, task.dstStep, task.dstLayout);
}

/// An operand that the primitive reads.
Operand readOperand(const memory::desc& wanted, const memory::desc& plain, std::int64_t step) {
    Operand operand{wanted, plain, {}, {}};
    if (wanted == plain) return operand;
    const dnnl::reorder::primitive_desc descriptor(engine(), plain, engine(), wanted, ownScratchpad());
    operand.reorder = dnnl::reorder(descriptor);
    operand.scratchpad = descriptor.scratchpad_desc();
    operand.blocked = blockedLayout(plain, wanted, step);
    return operand;
}

/// The operand that the primitive writes, or adds to.
Operand writtenOperand(const memory::desc& wanted, const memory::desc& plain, std::int64_t step, bool accumulate) {
    Operand operand{wanted, plain, {}, {}};
    if (wanted == plain && !accumulate) return operand;
    dnnl::primitive_attr attributes = ownScratchpad();
    if (accumulate) {
        dnnl::post_ops operations;
        operations.append_sum(1.0f);
        attributes.set_post_ops(operations);
    }
    const dnnl::reorder::primitive_desc descriptor(engine(), wanted, engine(), plain, attributes);
    operand.reorder = dnnl::reorder(descriptor);
    operand.scratchpad = descriptor.scratchpad_desc();
    operand.blocked = blockedLayout(plain, wanted, step, accumulate);
    operand.accumulates = accumulate;
    return operand;
}

template <typename Descriptor>
void describe(Prepared& prepared, const Descriptor& descriptor) {
    prepared.scratchpad = descriptor.scratchpad_desc();
    prepared.implementation = descriptor.impl_info_str();
}

/// The forward primitive with the neuron as post-operation where that is fast, else without.
dnnl::convolution_forward::primitive_desc forwardWithNeuron(const ConvolutionDescriptors& d,
                                                            const ops::Neuron& neuron, bool& fused) {
    const auto kind = dnnl::prop_kind::forward_training;
    dnnl::post_ops operations;
    fused = appendNeuron(operations, neuron);
    if (fused && neuron.type != ops::NeuronType::None) {
        dnnl::primitive_attr attributes = ownScratchpad();
        attributes.set_post_ops(operations);
        try {
            auto descriptor = forwardDescriptor(d, kind, attributes);
            // A fast convolution and a pass of its own for the neuron beat plain loops that do both.
            if (!std::string(descriptor.impl_info_str()).starts_with("ref")) return descriptor;
        } catch (const dnnl::error&) {
            // Winograd has no such post-operation.
        }
        fused = false;
    }
    return forwardDescriptor(d, kind, ownScratchpad());
}

void prepareForward(const ConvolutionTask& task, const ConvolutionDescriptors& d, Prepared& prepared) {
    const auto descriptor = forwardWithNeuron(d, task.neuron, prepared.neuronFused);
    prepared.primitive = dnnl::convolution_forward(descriptor);
    prepared.src = readOperand(descriptor.src_desc(), plainSrc(task), task.srcStep);
    prepared.weights = readOperand(descriptor.weights_desc(), plainWeights(task), task.srcStep);
    prepared.dst = writtenOperand(descriptor.dst_desc(), plainDst(task), task.dstStep, task.accumulate);
    if (task.bias) prepared.bias = descriptor.bias_desc();
    describe(prepared, descriptor);
}

void prepareDataGradient(const ConvolutionTask& task, const ConvolutionDescriptors& d,
                         const dnnl::convolution_forward::primitive_desc& hint, Prepared& prepared) {
    const auto descriptor = dataGradientDescriptor(d, hint, ownScratchpad());
    prepared.primitive = dnnl::convolution_backward_data(descriptor);
    prepared.src = writtenOperand(descriptor.diff_src_desc(), plainSrc(task), task.srcStep, task.accumulate);
    prepared.weights = readOperand(descriptor.weights_desc(), plainWeights(task), task.srcStep);
    prepared.dst = readOperand(descriptor.diff_dst_desc(), plainDst(task), task.dstStep);
    describe(prepared, descriptor);
}

void prepareWeightsGradient(const ConvolutionTask& task, const ConvolutionDescriptors& d,
                            const dnnl::convolution_forward::primitive_desc& hint, Prepared& prepared) {
    const auto descriptor = weightsGradientDescriptor(d, hint, ownScratchpad());
    prepared.primitive = dnnl::convolution_backward_weights(descriptor);
    prepared.src = readOperand(descriptor.src_desc(), plainSrc(task), task.srcStep);
    prepared.weights = writtenOperand(descriptor.diff_weights_desc(), plainWeights(task), task.srcStep, task.accumulate);
    prepared.dst = readOperand(descriptor.diff_dst_desc(), plainDst(task), task.dstStep);
    if (task.bias) prepared.bias = descriptor.diff_bias_desc();
    describe(prepared, descriptor);
}

memory wrap(const memory::desc& desc, void* data) { return {desc, engine(), data}; }

void runReorder(const Operand& operand, const memory& from, const memory& to, Scratch::Frame& frame) {
    const memory scratchpad = wrap(operand.scratchpad, frame.bytes(operand.scratchpad.get_size()));
    operand.reorder.execute(threadStream(),
                            {{DNNL_ARG_FROM, from}, {DNNL_ARG_TO, to}, {DNNL_ARG_SCRATCHPAD, scratchpad}});
}

/// The operand's data in the layout that the primitive reads.
memory loaded(const Operand& operand, void* data, Scratch::Frame& frame) {
    if (!operand.reorder) return wrap(operand.wanted, data);
    const memory wanted = wrap(operand.wanted, frame.bytes(operand.wanted.get_size()));
    if (operand.blocked)
        toBlocks(*operand.blocked, static_cast<const float*>(data), static_cast<float*>(wanted.get_data_handle()));
    else
        runReorder(operand, wrap(operand.plain, data), wanted, frame);
    return wanted;
}

/// Where the primitive writes the operand.
memory room(const Operand& operand, void* data, Scratch::Frame& frame) {
    return wrap(operand.wanted, operand.reorder ? frame.bytes(operand.wanted.get_size()) : data);
}

void stored(const Operand& operand, const memory& written, void* data, Scratch::Frame& frame) {
    if (operand.blocked)
        fromBlocks(*operand.blocked, static_cast<const float*>(written.get_data_handle()), operand.accumulates,
                   static_cast<float*>(data));
    else if (operand.reorder)
        runReorder(operand, written, wrap(operand.plain, data), frame);
}

std::optional<Prepared> prepareColumns(const ConvolutionTask& task) {
    if (!hasColumns(task)) return std::nullopt;
    auto narrow = prepare(columnTask(task), Algorithm::Direct);
    if (!narrow) return std::nullopt;
    Prepared prepared;
    prepared.algorithm = Algorithm::Columns;
    prepared.task = task;
    prepared.task->neuron.slopes = nullptr;  // Not this object's, and not used.
    prepared.narrow = std::make_shared<const Prepared>(std::move(*narrow));
    prepared.neuronFused = task.neuron.type == ops::NeuronType::None;
    prepared.biasSummed = false;
    prepared.implementation = "columns of " + prepared.narrow->implementation;
    return prepared;
}

/// A task for kernels of this library.
Prepared prepareOwn(const ConvolutionTask& task, Algorithm algorithm, bool biasSummed) {
    Prepared prepared;
    prepared.algorithm = algorithm;
    prepared.task = task;
    prepared.task->neuron.slopes = nullptr;  // Not this object's, and not used.
    prepared.neuronFused = task.neuron.type == ops::NeuronType::None;
    prepared.biasSummed = biasSummed;
    prepared.implementation = nameOf(algorithm);
    return prepared;
}

}  // namespace

std::optional<Prepared> prepare(const ConvolutionTask& task, Algorithm algorithm) {
    const auto finished = [&](Prepared& prepared) {
        // Chunks and slices are of images that lie N,H,W,C.
        return algorithm == Algorithm::Winograd && !task.hasBlocks()
                   ? inSlices(task, inChunks(task, std::move(prepared)))
                   : std::move(prepared);
    };
    if (isOwn(algorithm) && task.hasBlocks()) return std::nullopt;
    if (algorithm == Algorithm::Columns) return prepareColumns(task);
    if (algorithm == Algorithm::Winograd5)
        return hasWinograd5(task) ? std::optional(prepareOwn(task, algorithm, true)) : std::nullopt;
    if (algorithm == Algorithm::Products)
        return hasProducts(task) ? std::optional(prepareOwn(task, algorithm, false)) : std::nullopt;
    if (algorithm == Algorithm::Winograd2)
        return hasWinograd2(task) ? std::optional(prepareOwn(task, algorithm, false)) : std::nullopt;
    const bool inBlocks = task.srcLayout == task.dstLayout && task.hasBlocks();
    const Images images = algorithm == Algorithm::Direct                  ? Images::Plain
                          : algorithm == Algorithm::Blocked && inBlocks ? Images::Tasks
                                                                         : Images::Chosen;
    Prepared prepared;
    prepared.algorithm = algorithm;
    try {
        const ConvolutionDescriptors d = descriptorsOf(task, algorithm, images, task.direction);
        if (task.direction == Direction::Forward) {
            prepareForward(task, d, prepared);
            return finished(prepared);
        }
        // The forward descriptor that oneDNN wants to see beside a gradient's.
        const auto hint = forwardDescriptor(descriptorsOf(task, algorithm, Images::Chosen, std::nullopt),
                                            dnnl::prop_kind::forward_training, {});
        if (task.direction == Direction::DataGradient)
            prepareDataGradient(task, d, hint, prepared);
        else
            prepareWeightsGradient(task, d, hint, prepared);
        return finished(prepared);
    } catch (const dnnl::error& error) {
        if (error.status != dnnl_unimplemented) throw;
        return std::nullopt;
    }
}

std::size_t roomOf(const Prepared& prepared) {
    std::size_t sum = Scratch::roomFor(prepared.scratchpad.get_size());
    for (const Operand* operand : {&prepared.src, &prepared.weights, &prepared.dst})
        if (operand->reorder)
            sum += Scratch::roomFor(operand->wanted.get_size()) + Scratch::roomFor(operand->scratchpad.get_size());
    return sum;
}

memory loadedSource(const Prepared& prepared, const ConvolutionOperands& operands, Scratch::Frame& frame) {
    return loaded(prepared.src, operands.src, frame);
}

void execute(const Prepared& prepared, Direction direction, const ConvolutionOperands& operands,
             Scratch::Frame& frame, const memory* source) {
    if (prepared.chunk) return executeChunks(prepared, operands, frame);
    if (prepared.slice) return executeSlices(prepared, operands, frame);
    if (prepared.narrow) return executeColumns(*prepared.narrow, *prepared.task, operands, frame);
    if (prepared.algorithm == Algorithm::Winograd5) return executeWinograd5(*prepared.task, operands, frame);
    if (prepared.algorithm == Algorithm::Winograd2) return executeWinograd2(*prepared.task, operands, frame);
    if (prepared.algorithm == Algorithm::Products) return executeProducts(*prepared.task, operands, frame);
    frame.scratch().expect(roomOf(prepared));
    const bool forward = direction == Direction::Forward, data = direction == Direction::DataGradient;
    const Operand &s = prepared.src, &w = prepared.weights, &d = prepared.dst;
    const memory src = data ? room(s, operands.src, frame) : source ? *source : loaded(s, operands.src, frame);
    const memory weights = forward || data ? loaded(w, operands.weights, frame) : room(w, operands.weights, frame);
    const memory dst = forward ? room(d, operands.dst, frame) : loaded(d, operands.dst, frame);
    std::unordered_map<int, memory> arguments = {
        {data ? DNNL_ARG_DIFF_SRC : DNNL_ARG_SRC, src},
        {forward || data ? DNNL_ARG_WEIGHTS : DNNL_ARG_DIFF_WEIGHTS, weights},
        {forward ? DNNL_ARG_DST : DNNL_ARG_DIFF_DST, dst},
        {DNNL_ARG_SCRATCHPAD, wrap(prepared.scratchpad, frame.bytes(prepared.scratchpad.get_size()))}};
    if (operands.bias)
        arguments.emplace(forward ? DNNL_ARG_BIAS : DNNL_ARG_DIFF_BIAS, wrap(prepared.bias, operands.bias));
    prepared.primitive.execute(threadStream(), arguments);
    if (forward)
        stored(d, dst, operands.dst, frame);
    else if (data)
        stored(s, src, operands.src, frame);
    else
        stored(w, weights, operands.weights, frame);
}

}  // namespace pewter::cpu
