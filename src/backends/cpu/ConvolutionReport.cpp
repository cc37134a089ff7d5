#include <algorithm>

#include "backends/cpu/ConvolutionChoices.h"
#include "backends/cpu/ConvolutionTask.h"
#include "backends/cpu/Cpu.h"
#include "backends/cpu/Depthwise.h"

// What Cpu::run does with a convolution, told without doing it.

namespace pewter::cpu {

namespace {

ops::ConvolutionChoice alone(ops::ConvolutionChoice choice, std::string algorithm, std::string reason) {
    choice.algorithm = std::move(algorithm);
    choice.reason = std::move(reason);
    choice.origin = ops::ConvolutionChoice::Origin::OnlyOne;
    choice.milliseconds.clear();
    choice.forbidden.clear();
    return choice;
}

ops::ConvolutionChoice depthwise(ops::ConvolutionChoice choice) {
    return alone(std::move(choice), "depthwise", "own kernels for one input a channel");
}

template <class Op>
ops::ConvolutionChoice describe(ConvolutionChoices& choices, Op op) {
    ConvolutionTask task = taskOf(op);
    const ops::Exactness exactness = op.exactness;
    op.exactness = std::max(op.exactness, ops::Exactness::Transformed);
    ConvolutionTask free = taskOf(op);
    if (task.problem.isEmpty()) return {nameOf(task.direction), "empty", "none"};
    if (task.problem.needsBorder()) task.problem = free.problem = task.problem.bordered();
    return choices.describe(task, exactness, free);
}

}  // namespace

ops::ConvolutionChoice Cpu::choiceOf(const ops::ConvolutionForward& op) {
    auto choice = describe(*choices_, op);
    return runsDepthwise(op.src, op.weights, op.dst, op.window, op.groups, false) ? depthwise(std::move(choice)) : choice;
}

ops::ConvolutionChoice Cpu::choiceOf(const ops::ConvolutionDataGradient& op) {
    auto choice = describe(*choices_, op);
    const bool isFinished = !op.bias.isNull() || op.neuron.type != ops::NeuronType::None;
    return !isFinished && runsDepthwise(op.diffDst, op.weights, op.diffSrc, op.window, op.groups, true)
               ? depthwise(std::move(choice))
               : choice;
}

ops::ConvolutionChoice Cpu::choiceOf(const ops::ConvolutionWeightsGradient& op) {
    auto choice = describe(*choices_, op);
    if (op.diffWeights.isNull()) return alone(std::move(choice), "sums", "only the bias is wanted");
    return sumsDepthwise(op.src, op.diffDst, op.window, op.groups) ? depthwise(std::move(choice)) : choice;
}

std::string Cpu::fileOfChoices() const { return choices_->file(); }

}  // namespace pewter::cpu
