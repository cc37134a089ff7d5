// Convolutions as problems of cuDNN: which of its types and how many channels, and what is packed for that.
#include "backends/cuda/Recast.cuh"
#include "backends/cuda/gpu/CudnnConvolutions.h"
#include "backends/cuda/gpu/Epilogue.cuh"
#include "backends/cuda/gpu/Weights.h"

namespace pewter::cuda {

namespace {

std::optional<std::int64_t> typeOf(ops::Type type) {
    switch (type) {
        case ops::Type::Float32: return dnn::kFloat;
        case ops::Type::Float16: return dnn::kHalf;
        case ops::Type::BFloat16: return dnn::kBFloat16;
        default: return std::nullopt;
    }
}

bool isImage(const ops::Tensor& t) {
    const auto unit = static_cast<std::int64_t>(16 / ops::sizeOf(t.type));
    return (t.c == 1 || t.strideC == 1) && t.strideN > 0 && t.strideH > 0 && t.strideW > 0 && isAligned(t.data) &&
           (t.isDense() || (t.strideW % unit == 0 && t.strideH % unit == 0 && t.strideN % unit == 0));
}

void describe(const ops::Tensor& t, std::array<std::int64_t, 4>& extents, std::array<std::int64_t, 4>& strides) {
    extents = {t.n, t.c, t.h, t.w};
    strides = {t.strideN, 1, t.strideH, t.strideW};
}

/// Extents, strides and window; false where cuDNN has no words for the window.
bool describe(CudnnTask& task, const Operands& operands, const ops::Window& window) {
    describe(operands.x, task.x, task.xStrides);
    describe(operands.y, task.y, task.yStrides);
    describe(operands.w, task.w, task.wStrides);
    task.stride = {window.strideY, window.strideX};
    task.dilation = {window.dilationY, window.dilationX};
    task.before = {window.padTop, window.padLeft};
    bool padded = false;
    for (std::size_t axis = 0; axis < 2; ++axis) {
        const std::int64_t extent = task.x[2 + axis], results = task.y[2 + axis];
        const std::int64_t reach = task.dilation[axis] * (task.w[2 + axis] - 1) + 1;
        const std::int64_t before = task.before[axis];
        const std::int64_t needed = (results - 1) * task.stride[axis] + reach - extent - before;
        if (before < 0) return false;
        // The same on both sides where that gives as many results: most engines want it so.
        const std::int64_t symmetric = extent + 2 * before - reach;
        if (symmetric >= 0 && symmetric / task.stride[axis] + 1 == results)
            task.after[axis] = before;
        else if (needed >= 0)
            task.after[axis] = needed;
        else if (extent + before - reach >= 0 && (extent + before - reach) / task.stride[axis] + 1 == results)
            task.after[axis] = 0;
        else
            return false;
        padded = padded || before > 0 || needed > 0;
    }
    return !padded || window.edge == ops::Edge::Zero;
}

/// The tensor, where it can be used as one of that type and channels, else one in scratch memory.
ops::Tensor imageAs(const ops::Tensor& t, ops::Type type, std::int64_t channels) {
    if (t.type == type && t.c == channels && isImage(t)) return t;
    return ops::Tensor::dense(nullptr, type, t.n, t.h, t.w, channels);
}

}  // namespace

// --- ways ---

void CudnnConvolutions::addWays(const Problem& problem, bool padded, std::vector<Way>& ways) {
    const auto& [x, w, y] = problem.operands;
    const ops::Type type = productType(problem.operands, problem.direction, problem.exactness);
    const bool oneGroup = w.c == x.c;
    // Tensor cores work on channels of multiples of 16 bytes.
    const auto unit = padded ? static_cast<std::int64_t>(16 / ops::sizeOf(type)) : 1;
    Way way;
    way.used.x = imageAs(x, type, roundedUp(x.c, unit));
    way.used.y = imageAs(y, type, roundedUp(y.c, unit));
    if (padded && (!oneGroup || (way.used.x.c == x.c && way.used.y.c == y.c))) return;
    const bool isGradient = problem.direction == Direction::WeightsGradient;
    WeightsForm form{type, way.used.y.c, oneGroup ? way.used.x.c : w.c};
    for (const bool narrow : {false, true}) {
        if (narrow && (!isGradient || type == ops::Type::Float32)) break;
        // Gradients in float32, or in the type of the images and converted afterwards: the sums are float32 in both.
        if (isGradient) form.type = narrow ? type : ops::Type::Float32;
        way.used.w = formOf(w, form);
        CudnnTask& task = way.task = {};
        if (!describe(task, way.used, problem.window)) return;
        task.direction = problem.direction;
        task.epilogue = problem.epilogue;
        task.slope = problem.slope;
        task.type = *typeOf(type);
        task.resultType = *typeOf(isGradient ? form.type : type);
        task.exactness = static_cast<std::int64_t>(problem.exactness);
        task.packs = (way.used.x.data ? 0 : 1) + (way.used.w.data ? 0 : 2) + (way.used.y.data ? 0 : 4);
        task.accumulate = problem.accumulate && way.used.result(problem.direction).data;
        ways.push_back(way);
    }
}

CudnnConvolutions::Pointers CudnnConvolutions::pointersOf(CudaStream& stream, const Problem& problem, Way way,
                                                          std::size_t workspace, bool bothWays) {
    const bool padBias = !problem.bias.isNull() && way.used.y.c != problem.operands.y.c;
    auto bias = ops::Tensor::dense(nullptr, ops::Type::Float32, 1, 1, 1, way.used.y.c);
    const std::size_t biasRoom = padBias ? roomOf(bias) : 0;
    char* memory = lend(stream, problem.operands, way.used, problem.direction, biasRoom + workspace, bothWays);
    Pointers pointers{way.used.x.data, way.used.w.data, way.used.y.data, problem.bias.data, memory + biasRoom};
    if (padBias) {
        bias.data = pointers.bias = memory;
        recast(stream, ops::Tensor::dense(problem.bias.data, problem.bias.type, 1, 1, 1, problem.bias.size), bias);
    }
    return pointers;
}

std::optional<ops::Tensor> CudnnConvolutions::run(CudaStream& stream, const Problem& problem) {
    if (!problem.operands.areUsable() || !isReady()) return std::nullopt;
    std::vector<Way> ways;
    addWays(problem, false, ways);
    addWays(problem, true, ways);
    const Way* chosen = nullptr;
    const Plan* plan = nullptr;
    for (const Way& way : ways) {
        const Plan* other = planFor(stream, way, problem);
        if (!other || (plan && plan->milliseconds <= other->milliseconds)) continue;
        plan = other;
        chosen = &way;
    }
    if (!plan) return std::nullopt;
    Pointers pointers = pointersOf(stream, problem, *chosen, plan->workspace);
    execute(stream, *plan, pointers);
    const auto& given = problem.operands.result(problem.direction);
    ops::Tensor result = chosen->used.result(problem.direction);
    result.data = pointers.result(problem.direction);
    result.n = given.n;
    result.c = given.c;
    return result;
}

// --- operations ---

bool CudnnConvolutions::mayComeAfter(const ops::Array& bias, const ops::Neuron& neuron, const Problem& problem) {
    if (bias.isNull() && neuron.type == ops::NeuronType::None) return true;
    return productType(problem.operands, problem.direction, problem.exactness) == ops::Type::Float32;
}

bool CudnnConvolutions::forward(CudaStream& stream, const ops::ConvolutionForward& op) {
    Problem problem{Direction::Forward, {op.src, op.weights, op.dst}, op.window, op.exactness};
    std::lock_guard lock(mutex_);
    const bool relu = op.neuron.type == ops::NeuronType::ReLU;
    if (!op.bias.isNull() && op.bias.type == ops::Type::Float32 && (relu || op.neuron.type == ops::NeuronType::None) &&
        isAligned(op.bias.data)) {
        Problem fused = problem;
        fused.epilogue = relu ? CudnnTask::BiasRelu : CudnnTask::Bias;
        fused.slope = relu ? op.neuron.a : 0;
        fused.bias = op.bias;
        if (const auto result = run(stream, fused)) {
            biasAndNeuron(stream, *result, op.dst, {}, {});
            return true;
        }
    }
    if (!mayComeAfter(op.bias, op.neuron, problem)) return false;
    const auto result = run(stream, problem);
    if (!result) return false;
    biasAndNeuron(stream, *result, op.dst, op.bias, op.neuron);
    return true;
}

bool CudnnConvolutions::dataGradient(CudaStream& stream, const ops::ConvolutionDataGradient& op) {
    const Problem problem{Direction::DataGradient, {op.diffSrc, op.weights, op.diffDst}, op.window, op.exactness,
                          op.accumulate};
    if (!mayComeAfter(op.bias, op.neuron, problem)) return false;
    std::lock_guard lock(mutex_);
    const auto result = run(stream, problem);
    if (!result) return false;
    if (!op.accumulate)
        biasAndNeuron(stream, *result, op.diffSrc, op.bias, op.neuron);
    else if (result->data != op.diffSrc.data)
        recast(stream, *result, op.diffSrc, true);
    return true;
}

bool CudnnConvolutions::weightsGradient(CudaStream& stream, const ops::ConvolutionWeightsGradient& op) {
    // Of dilated windows one of cuDNN 9.19's engines gave wrong sums (3 x 3 by 2 x 3, a transposed convolution's).
    if (op.window.dilationX != 1 || op.window.dilationY != 1) return false;
    std::lock_guard lock(mutex_);
    const auto result = run(stream, {Direction::WeightsGradient, {op.src, op.diffWeights, op.diffDst}, op.window,
                                     op.exactness, op.accumulate});
    if (!result) return false;
    if (result->data != op.diffWeights.data) recast(stream, *result, op.diffWeights, op.accumulate);
    return true;
}

}  // namespace pewter::cuda
