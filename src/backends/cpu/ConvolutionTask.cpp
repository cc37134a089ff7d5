#include "backends/cpu/ConvolutionTask.h"

namespace pewter::cpu {

using ops::Tensor;

namespace {

/// Whether a convolution of such images may multiply in bfloat16: they hold no more digits, weights are rounded.
bool isBFloat16(const Tensor& one, const Tensor& other, ops::Exactness exactness) {
    const auto isShort = [](const Tensor& t) {
        return t.type == ops::Type::BFloat16 || t.type == ops::Type::Unorm8;
    };
    return exactness != ops::Exactness::Products && isShort(one) && isShort(other) &&
           (one.type == ops::Type::BFloat16 || other.type == ops::Type::BFloat16) && multipliesBFloat16();
}

ConvolutionTask taskOf(Direction direction, const Tensor& src, const Tensor& dst, const ops::Window& window,
                       std::int64_t groups, ops::Exactness exactness) {
    ConvolutionTask task{direction, Problem(src, dst, window, groups)};
    const auto typeOf = [](const Tensor& t) { return isPlainOrBFloat16(t) ? t.type : ops::Type::Float32; };
    task.srcType = typeOf(src);
    task.dstType = typeOf(dst);
    task.srcLayout = src.layout;
    task.dstLayout = dst.layout;
    task.bfloat16 = isBFloat16(src, dst, exactness);
    return task;
}

}  // namespace

ConvolutionTask taskOf(const ops::ConvolutionForward& op) {
    ConvolutionTask task = taskOf(Direction::Forward, op.src, op.dst, op.window, op.groups, op.exactness);
    task.bias = !op.bias.isNull();
    task.neuron = op.neuron;
    return task;
}

ConvolutionTask taskOf(const ops::ConvolutionDataGradient& op) {
    ConvolutionTask task = taskOf(Direction::DataGradient, op.diffSrc, op.diffDst, op.window, op.groups, op.exactness);
    task.accumulate = op.accumulate;
    return task;
}

ConvolutionTask taskOf(const ops::ConvolutionWeightsGradient& op) {
    ConvolutionTask task = taskOf(Direction::WeightsGradient, op.src, op.diffDst, op.window, op.groups, op.exactness);
    task.bias = !op.diffBias.isNull();
    task.accumulate = op.accumulate;
    return task;
}

}  // namespace pewter::cpu
