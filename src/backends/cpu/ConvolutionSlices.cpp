#include "backends/cpu/ConvolutionSlices.h"

#include <optional>

namespace pewter::cpu {

namespace {

/// Kernels of a slice at the most: each becomes 36 values. Fewer where every thread has sums of its own.
constexpr std::int64_t kMostKernels = std::int64_t{1} << 19, kMostSummed = std::int64_t{1} << 17;
/// Channels of a slice at least: each slice transforms an image again, which beside fewer products would be felt.
constexpr std::int64_t kLeastChannels = 256;

/// The channels that slices are of.
std::int64_t& slicedChannels(Problem& p, Direction direction) {
    return direction == Direction::Forward ? p.inputs : p.outputs;
}

/// Channels of a slice, so that all are equal; those of the problem where it is small enough.
std::int64_t channelsAtOnce(Problem p, Direction direction) {
    const std::int64_t most = direction == Direction::WeightsGradient ? kMostSummed : kMostKernels;
    std::int64_t& channels = slicedChannels(p, direction);
    while (p.inputs * p.outputs > most && channels % (2 * kLeastChannels) == 0) channels /= 2;
    return channels;
}

std::shared_ptr<const Prepared> sliceOf(const ConvolutionTask& task, const Prepared& whole) {
    auto slice = prepare(task, Algorithm::Winograd);
    if (!slice || slice->chunk || slice->slice) return nullptr;
    // As the whole image goes.
    for (const auto& [from, to] : {std::pair{&whole.src, &slice->src}, {&whole.dst, &slice->dst}})
        if (to->blocked) to->blocked->past = from->blocked->past;
    return std::make_shared<const Prepared>(std::move(*slice));
}

}  // namespace

bool isForSlices(const ConvolutionTask& task) {
    Problem problem = task.problem;
    return channelsAtOnce(problem, task.direction) != slicedChannels(problem, task.direction);
}

Prepared inSlices(const ConvolutionTask& task, Prepared whole) {
    if (whole.chunk || !whole.src.blocked || !whole.weights.blocked || !whole.dst.blocked) return whole;
    Problem problem = task.problem;
    slicedChannels(problem, task.direction) = channelsAtOnce(problem, task.direction);
    if (problem.inputs == task.problem.inputs && problem.outputs == task.problem.outputs) return whole;
    ConvolutionTask first = task;
    first.problem = problem;
    first.srcStep = task.problem.inputs;
    first.dstStep = task.problem.outputs;
    first.neuron = {};  // It acts on the whole sum.
    ConvolutionTask further = first;
    further.accumulate = true;
    further.bias = false;
    Prepared prepared;
    prepared.slice = sliceOf(first, whole);
    prepared.furtherSlice = task.direction == Direction::WeightsGradient ? prepared.slice : sliceOf(further, whole);
    if (!prepared.slice || !prepared.furtherSlice) return whole;
    prepared.algorithm = whole.algorithm;
    prepared.neuronFused = task.neuron.type == ops::NeuronType::None;
    prepared.task = task;
    prepared.task->neuron.slopes = nullptr;  // Not this object's, and not used.
    prepared.implementation = whole.implementation;
    return prepared;
}

void executeSlices(const Prepared& prepared, const ConvolutionOperands& operands, Scratch::Frame& frame) {
    const Prepared& slice = *prepared.slice;
    const Problem& p = prepared.task->problem;
    const Direction direction = prepared.task->direction;
    const bool forward = direction == Direction::Forward, weights = direction == Direction::WeightsGradient;
    const std::int64_t count = (forward ? slice.src : slice.dst).plain.dims()[1];
    frame.scratch().expect(roomOf(slice));
    // All slices of a weights gradient read all of the source.
    const auto source = weights ? std::optional(loadedSource(slice, operands, frame)) : std::nullopt;
    for (std::int64_t first = 0; first < (forward ? p.inputs : p.outputs); first += count) {
        ConvolutionOperands piece = operands;
        if (forward) {
            piece.src = static_cast<float*>(operands.src) + first;
            piece.weights = operands.weights + first;
            if (first > 0) piece.bias = nullptr;
        } else {
            piece.dst = static_cast<float*>(operands.dst) + first;
            piece.weights = operands.weights + first * p.y.taps * p.x.taps * p.inputs;
            if (operands.bias) piece.bias = operands.bias + first;
        }
        Scratch::Frame inner(frame.scratch());
        execute(first == 0 ? slice : *prepared.furtherSlice, direction, piece, inner, source ? &*source : nullptr);
    }
}

}  // namespace pewter::cpu
