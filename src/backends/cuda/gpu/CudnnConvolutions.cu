#include "backends/cuda/gpu/CudnnConvolutions.h"

#include <algorithm>
#include <limits>
#include <optional>

#include "backends/cuda/gpu/Check.h"
#include "backends/cuda/gpu/Epilogue.cuh"
#include "backends/cuda/gpu/Libraries.h"

namespace pewter::cuda {

namespace {

/// Larger ones are not worth their memory.
constexpr std::size_t kMostWorkspace = std::size_t{512} << 20;
constexpr std::size_t kMostCandidates = 12;
constexpr int kRuns = 4;
enum Id : std::int64_t { kX = 1, kW, kY, kBiasId, kSum, kBiased };

std::optional<std::int64_t> typeOf(ops::Type type) {
    switch (type) {
        case ops::Type::Float32: return dnn::kFloat;
        case ops::Type::Float16: return dnn::kHalf;
        case ops::Type::BFloat16: return dnn::kBFloat16;
        default: return std::nullopt;
    }
}

/// Bytes rounded up so that what follows is aligned.
std::size_t padded(std::size_t bytes) { return (bytes + 255) / 256 * 256; }

bool isAligned(const void* address) { return reinterpret_cast<std::uintptr_t>(address) % 16 == 0; }

bool isImage(const ops::Tensor& t) {
    const auto unit = static_cast<std::int64_t>(16 / ops::sizeOf(t.type));
    return (t.c == 1 || t.strideC == 1) && t.strideN > 0 && t.strideH > 0 && t.strideW > 0 && isAligned(t.data) &&
           (t.isDense() || (t.strideW % unit == 0 && t.strideH % unit == 0 && t.strideN % unit == 0));
}

void describe(const ops::Tensor& t, std::array<std::int64_t, 4>& extents, std::array<std::int64_t, 4>& strides) {
    extents = {t.n, t.c, t.h, t.w};
    strides = {t.strideN, 1, t.strideH, t.strideW};
}

/// The problem, if cuDNN can be asked: x the larger image, y the one that windows are counted in.
std::optional<CudnnTask> taskOf(CudnnTask::Kind kind, const ops::Tensor& x, const ops::Tensor& w, const ops::Tensor& y,
                                const ops::Window& window, ops::Exactness exactness) {
    if (x.isNull() || w.isNull() || y.isNull()) return std::nullopt;
    const auto type = typeOf(x.type);
    if (!type || x.type != y.type || !isImage(x) || !isImage(y) || !w.isDense() || w.type != ops::Type::Float32 ||
        !isAligned(w.data))
        return std::nullopt;
    // Weights are rounded to the type of the images.
    if (*type != dnn::kFloat && exactness == ops::Exactness::Products) return std::nullopt;
    CudnnTask task;
    task.kind = kind;
    task.type = *type;
    task.resultType = kind == CudnnTask::WeightsGradient ? dnn::kFloat : *type;
    task.exactness = static_cast<std::int64_t>(exactness);
    describe(x, task.x, task.xStrides);
    describe(y, task.y, task.yStrides);
    describe(w, task.w, task.wStrides);
    task.stride = {window.strideY, window.strideX};
    task.dilation = {window.dilationY, window.dilationX};
    task.before = {window.padTop, window.padLeft};
    bool padded = false;
    for (std::size_t axis = 0; axis < 2; ++axis) {
        const std::int64_t extent = task.x[2 + axis], results = task.y[2 + axis];
        const std::int64_t reach = task.dilation[axis] * (task.w[2 + axis] - 1) + 1;
        const std::int64_t before = task.before[axis];
        const std::int64_t needed = (results - 1) * task.stride[axis] + reach - extent - before;
        if (before < 0) return std::nullopt;
        // The same on both sides where that gives as many results: most engines want it so.
        const std::int64_t symmetric = extent + 2 * before - reach;
        if (symmetric >= 0 && symmetric / task.stride[axis] + 1 == results)
            task.after[axis] = before;
        else if (needed >= 0)
            task.after[axis] = needed;
        else if (extent + before - reach >= 0 && (extent + before - reach) / task.stride[axis] + 1 == results)
            task.after[axis] = 0;
        else
            return std::nullopt;
        padded = padded || before > 0 || needed > 0;
    }
    if (padded && window.edge != ops::Edge::Zero) return std::nullopt;
    return task;
}

}  // namespace

CudnnConvolutions::~CudnnConvolutions() {
    plans_.clear();
    if (handle_) api_->Destroy(handle_);
}

bool CudnnConvolutions::isReady() {
    if (handle_) return true;
    api_ = libraries_.cudnn();
    if (!api_) return false;
    use(device_);
    if (const auto status = api_->Create(&handle_))
        throw std::runtime_error(std::string("cudnnCreate: ") + api_->GetErrorString(status));
    return true;
}

// --- plans ---

std::vector<CudnnConvolutions::Plan> CudnnConvolutions::candidates(const CudnnTask& task) {
    std::vector<Plan> found;
    const auto& api = *api_;
    const auto tensor = [&](std::int64_t id, std::int64_t type, const std::array<std::int64_t, 4>& extents,
                            const std::array<std::int64_t, 4>& strides, bool isVirtual = false) {
        CudnnDescriptor d(api, dnn::kTensor);
        d.set(dnn::kTensorType, dnn::kDataTypeType, static_cast<int>(type))
            .set(dnn::kTensorDimensions, extents)
            .set(dnn::kTensorStrides, strides)
            .set(dnn::kTensorId, id)
            .set(dnn::kTensorAlignment, std::int64_t{16});
        if (isVirtual) d.set(dnn::kTensorIsVirtual, dnn::kBooleanType, 1, &isVirtual);
        d.finalize();
        return d;
    };
    try {
        CudnnDescriptor convolution(api, dnn::kConvolution);
        convolution.set(dnn::kConvolutionComputeType, dnn::kDataTypeType, dnn::kFloat)
            .set(dnn::kConvolutionMode, dnn::kConvolutionModeType, dnn::kCrossCorrelation)
            .set(dnn::kConvolutionSpatialDimensions, std::int64_t{2})
            .set(dnn::kConvolutionDilations, task.dilation)
            .set(dnn::kConvolutionStrides, task.stride)
            .set(dnn::kConvolutionPrePaddings, task.before)
            .set(dnn::kConvolutionPostPaddings, task.after)
            .finalize();
        const bool fused = task.epilogue != CudnnTask::None;
        const auto x = tensor(kX, task.kind == CudnnTask::DataGradient ? task.resultType : task.type, task.x, task.xStrides);
        const auto w = tensor(kW, task.kind == CudnnTask::WeightsGradient ? task.resultType : task.type, task.w, task.wStrides);
        const auto y = tensor(kY, task.kind == CudnnTask::Forward ? task.resultType : task.type, task.y, task.yStrides);
        const auto sum = tensor(kSum, dnn::kFloat, task.y, task.yStrides, true);
        const auto biased = tensor(kBiased, dnn::kFloat, task.y, task.yStrides, true);
        const std::int64_t channels = task.y[1];
        const auto bias = tensor(kBiasId, dnn::kFloat, {1, channels, 1, 1}, {channels, 1, channels, channels});
        const float beta = task.accumulate ? 1 : 0;  // as double, some engines read half of it

        std::vector<CudnnDescriptor> operations;
        if (task.kind == CudnnTask::Forward) {
            auto& op = operations.emplace_back(api, dnn::kConvolutionForward);
            op.set(dnn::kForwardX, x).set(dnn::kForwardW, w).set(dnn::kForwardY, fused ? sum : y);
            op.set(dnn::kForwardConvolution, convolution).set(dnn::kForwardAlpha, 1.0f).set(dnn::kForwardBeta, beta).finalize();
        } else if (task.kind == CudnnTask::DataGradient) {
            auto& op = operations.emplace_back(api, dnn::kConvolutionDataGradient);
            op.set(dnn::kDataDx, x).set(dnn::kDataW, w).set(dnn::kDataDy, y);
            op.set(dnn::kDataConvolution, convolution).set(dnn::kDataAlpha, 1.0f).set(dnn::kDataBeta, beta).finalize();
        } else {
            auto& op = operations.emplace_back(api, dnn::kConvolutionWeightsGradient);
            op.set(dnn::kWeightsX, x).set(dnn::kWeightsDw, w).set(dnn::kWeightsDy, y);
            op.set(dnn::kWeightsConvolution, convolution).set(dnn::kWeightsAlpha, 1.0f).set(dnn::kWeightsBeta, beta).finalize();
        }
        std::vector<CudnnDescriptor> modes;
        if (fused) {
            auto& add = modes.emplace_back(api, dnn::kPointwise);
            add.set(dnn::kPointwiseMode, dnn::kPointwiseModeType, dnn::kAdd)
                .set(dnn::kPointwisePrecision, dnn::kDataTypeType, dnn::kFloat)
                .finalize();
            auto& op = operations.emplace_back(api, dnn::kPointwiseOperation);
            op.set(dnn::kPointwiseDescriptor, add).set(dnn::kPointwiseX, sum).set(dnn::kPointwiseB, bias);
            op.set(dnn::kPointwiseY, task.epilogue == CudnnTask::Bias ? y : biased).finalize();
        }
        if (task.epilogue == CudnnTask::BiasRelu) {
            auto& relu = modes.emplace_back(api, dnn::kPointwise);
            relu.set(dnn::kPointwiseMode, dnn::kPointwiseModeType, dnn::kRelu)
                .set(dnn::kPointwisePrecision, dnn::kDataTypeType, dnn::kFloat);
            if (const double slope = task.slope; slope != 0)
                relu.set(dnn::kPointwiseReluSlope, dnn::kDoubleType, 1, &slope);
            relu.finalize();
            auto& op = operations.emplace_back(api, dnn::kPointwiseOperation);
            op.set(dnn::kPointwiseDescriptor, relu).set(dnn::kPointwiseX, biased).set(dnn::kPointwiseY, y).finalize();
        }
        std::vector<dnn::Descriptor> raw;
        for (const auto& op : operations) raw.push_back(op.raw());
        CudnnDescriptor graph(api, dnn::kOperationGraph);
        graph.set(dnn::kGraphHandle, dnn::kHandleType, 1, &handle_)
            .set(dnn::kGraphOperations, dnn::kDescriptorType, static_cast<std::int64_t>(raw.size()), raw.data())
            .finalize();

        for (const int mode : {dnn::kHeuristicsA, dnn::kHeuristicsFallback}) {
            try {
                addPlans(graph.raw(), mode, task, found);
            } catch (const CudnnRefusal&) {
                // This mode knows nothing about the graph.
            }
            if (found.size() >= kMostCandidates / 2) break;
        }
    } catch (const CudnnRefusal&) {
        // No engine for such a graph.
    }
    return found;
}

void CudnnConvolutions::addPlans(dnn::Descriptor graph, int mode, const CudnnTask& task, std::vector<Plan>& found) {
    const auto& api = *api_;
    CudnnDescriptor heuristics(api, dnn::kEngineHeuristics);
    heuristics.set(dnn::kHeuristicsGraph, dnn::kDescriptorType, 1, &graph)
        .set(dnn::kHeuristicsMode, dnn::kHeuristicsModeType, mode)
        .finalize();
    std::int64_t count = heuristics.get(dnn::kHeuristicsResults, dnn::kDescriptorType, 0, nullptr);
    std::vector<CudnnDescriptor> configurations;
    std::vector<dnn::Descriptor> raw;
    for (std::int64_t i = 0; i < count; ++i) {
        configurations.emplace_back(api, dnn::kEngineConfiguration);
        raw.push_back(configurations.back().raw());
    }
    count = heuristics.get(dnn::kHeuristicsResults, dnn::kDescriptorType, count, raw.data());
    for (std::int64_t i = 0; i < count && found.size() < kMostCandidates; ++i) {
        try {
            const auto& configuration = configurations[static_cast<std::size_t>(i)];
            if (!mayRun(configuration, task)) continue;
            CudnnDescriptor plan(api, dnn::kExecutionPlan);
            plan.set(dnn::kPlanHandle, dnn::kHandleType, 1, &handle_).set(dnn::kPlanConfiguration, configuration).finalize();
            const auto workspace = static_cast<std::size_t>(plan.getInt64(dnn::kPlanWorkspace));
            if (workspace <= kMostWorkspace) found.push_back({std::move(plan), workspace, 0});
        } catch (const CudnnRefusal&) {
            // An engine that does not do it after all.
        }
    }
}

bool CudnnConvolutions::mayRun(const CudnnDescriptor& configuration, const CudnnTask& task) const {
    CudnnDescriptor engine(*api_, dnn::kEngine);
    dnn::Descriptor raw = engine.raw();
    configuration.get(dnn::kConfigurationEngine, dnn::kDescriptorType, 1, &raw);
    int notes[dnn::kNoteCount] = {};
    const std::int64_t count = engine.get(dnn::kEngineNotes, dnn::kNotesType, dnn::kNoteCount, notes);
    const auto exactness = static_cast<ops::Exactness>(task.exactness);
    for (std::int64_t i = 0; i < count; ++i) switch (notes[i]) {
            case dnn::kNondeterministic:
            case dnn::kReducedPrecisionReduction: return false;
            case dnn::kTensorCore:
            case dnn::kDownConvertsInputs:
                if (task.type == dnn::kFloat && exactness != ops::Exactness::Reduced) return false;
                break;
            case dnn::kFft:
            case dnn::kWinograd:
            case dnn::kWinograd4:
            case dnn::kWinograd6:
            case dnn::kWinograd13:
                if (exactness == ops::Exactness::Products) return false;
                break;
            default: break;
        }
    return true;
}

const CudnnConvolutions::Plan* CudnnConvolutions::planFor(CudaStream& stream, const CudnnTask& task,
                                                          Pointers pointers, std::size_t resultBytes) {
    const auto known = plans_.find(task);
    if (known != plans_.end()) return known->second.get();
    auto found = candidates(task);
    auto& chosen = plans_[task];
    if (found.empty()) return nullptr;
    std::size_t best = 0;
    if (!stream.isCapturing()) {
        std::size_t workspace = 1;
        for (const auto& plan : found) workspace = std::max(workspace, plan.workspace);
        // Memory of its own: scratch may hold converted weights, and sums must not be added twice.
        char* memory = nullptr;
        workspace = padded(workspace);
        check(cudaMalloc(&memory, workspace + resultBytes), "cudaMalloc");
        if (resultBytes) (task.kind == CudnnTask::DataGradient ? pointers.x : pointers.w) = memory + workspace;
        double least = std::numeric_limits<double>::infinity();
        for (std::size_t i = 0; i < found.size(); ++i) {
            const double time = measure(stream, found[i], pointers, memory);
            if (time < least) {
                least = time;
                best = i;
            }
        }
        check(cudaStreamSynchronize(stream.native()), "cudaStreamSynchronize");
        check(cudaFree(memory), "cudaFree");
        if (least == std::numeric_limits<double>::infinity()) return nullptr;
        found[best].milliseconds = least / kRuns;
    }
    chosen = std::make_unique<Plan>(std::move(found[best]));
    return chosen.get();
}

double CudnnConvolutions::measure(CudaStream& stream, const Plan& plan, const Pointers& pointers, void* workspace) {
    cudaEvent_t begin, end;
    check(cudaEventCreate(&begin), "cudaEventCreate");
    check(cudaEventCreate(&end), "cudaEventCreate");
    float milliseconds = std::numeric_limits<float>::infinity();
    try {
        execute(stream, plan, pointers, workspace);
        check(cudaEventRecord(begin, stream.native()), "cudaEventRecord");
        for (int i = 0; i < kRuns; ++i) execute(stream, plan, pointers, workspace);
        check(cudaEventRecord(end, stream.native()), "cudaEventRecord");
        check(cudaEventSynchronize(end), "cudaEventSynchronize");
        check(cudaEventElapsedTime(&milliseconds, begin, end), "cudaEventElapsedTime");
    } catch (const CudnnRefusal&) {
        milliseconds = std::numeric_limits<float>::infinity();
    }
    cudaEventDestroy(begin);
    cudaEventDestroy(end);
    return milliseconds;
}

void CudnnConvolutions::execute(CudaStream& stream, const Plan& plan, const Pointers& pointers, void* workspace) {
    const std::int64_t ids[] = {kX, kW, kY, kBiasId};
    const void* data[] = {pointers.x, pointers.w, pointers.y, pointers.bias};
    CudnnDescriptor pack(*api_, dnn::kVariantPack);
    const std::int64_t count = pointers.bias ? 4 : 3;
    pack.set(dnn::kPackPointers, dnn::kPointerType, count, data)
        .set(dnn::kPackIds, dnn::kInt64Type, count, ids)
        .set(dnn::kPackWorkspace, dnn::kPointerType, 1, &workspace)
        .finalize();
    if (const auto status = api_->SetStream(handle_, stream.native()))
        throw std::runtime_error(std::string("cudnnSetStream: ") + api_->GetErrorString(status));
    if (const auto status = api_->BackendExecute(handle_, plan.plan.raw(), pack.raw()))
        throw CudnnRefusal(std::string("cudnnBackendExecute: ") + api_->GetErrorString(status));
}

// --- operations ---

const void* CudnnConvolutions::weightsAs(CudaStream& stream, const ops::Tensor& weights, ops::Type type, void* to) {
    if (type == weights.type) return weights.data;
    convertRun(stream, weights.data, weights.type, to, type, weights.count(), false);
    return to;
}

bool CudnnConvolutions::runWeighted(CudaStream& stream, const CudnnTask& task, const ops::Tensor& weights, ops::Type type,
                                    Pointers pointers, std::size_t resultBytes) {
    const std::size_t converted = type == weights.type ? 0 : padded(static_cast<std::size_t>(weights.count()) * 2);
    auto known = plans_.find(task);
    if (known == plans_.end()) {
        // Engines are measured on the operands themselves.
        pointers.w = weightsAs(stream, weights, type, stream.scratch(converted + 1));
        planFor(stream, task, pointers, resultBytes);
        known = plans_.find(task);
    }
    const Plan* plan = known->second.get();
    if (!plan) return false;
    // The memory may have moved with the workspace.
    auto* room = static_cast<char*>(stream.scratch(converted + plan->workspace + 1));
    pointers.w = weightsAs(stream, weights, type, room);
    execute(stream, *plan, pointers, room + converted);
    return true;
}

bool CudnnConvolutions::forward(CudaStream& stream, const ops::ConvolutionForward& op) {
    auto task = taskOf(CudnnTask::Forward, op.src, op.weights, op.dst, op.window, op.exactness);
    if (!task) return false;
    std::lock_guard lock(mutex_);
    if (!isReady()) return false;
    const bool relu = op.neuron.type == ops::NeuronType::ReLU;
    Pointers pointers{op.src.data, nullptr, op.dst.data, nullptr};
    if (!op.bias.isNull() && op.bias.type == ops::Type::Float32 && (relu || op.neuron.type == ops::NeuronType::None) &&
        isAligned(op.bias.data)) {
        CudnnTask fused = *task;
        fused.epilogue = relu ? CudnnTask::BiasRelu : CudnnTask::Bias;
        fused.slope = relu ? op.neuron.a : 0;
        pointers.bias = op.bias.data;
        if (runWeighted(stream, fused, op.weights, op.src.type, pointers)) return true;
        pointers.bias = nullptr;
    }
    // In 16 bits the sum would be rounded before the bias comes to it.
    if (task->type != dnn::kFloat && (!op.bias.isNull() || op.neuron.type != ops::NeuronType::None)) return false;
    if (!runWeighted(stream, *task, op.weights, op.src.type, pointers)) return false;
    biasAndNeuron(stream, op.dst, op.dst, op.bias, op.neuron);
    return true;
}

bool CudnnConvolutions::dataGradient(CudaStream& stream, const ops::ConvolutionDataGradient& op) {
    auto task = taskOf(CudnnTask::DataGradient, op.diffSrc, op.weights, op.diffDst, op.window, op.exactness);
    if (!task) return false;
    if (task->type != dnn::kFloat && (!op.bias.isNull() || op.neuron.type != ops::NeuronType::None)) return false;
    std::lock_guard lock(mutex_);
    if (!isReady()) return false;
    task->accumulate = op.accumulate;
    const auto& to = op.diffSrc;
    const std::int64_t extent = (to.n - 1) * to.strideN + (to.h - 1) * to.strideH + (to.w - 1) * to.strideW + to.c;
    if (!runWeighted(stream, *task, op.weights, op.diffDst.type, {to.data, nullptr, op.diffDst.data, nullptr},
                     op.accumulate ? static_cast<std::size_t>(extent) * ops::sizeOf(to.type) : 0))
        return false;
    biasAndNeuron(stream, op.diffSrc, op.diffSrc, op.bias, op.neuron);
    return true;
}

bool CudnnConvolutions::weightsGradient(CudaStream& stream, const ops::ConvolutionWeightsGradient& op) {
    // Of dilated windows one of cuDNN 9.19's engines gave wrong sums (3 x 3 by 2 x 3, a transposed convolution's).
    if (op.window.dilationX != 1 || op.window.dilationY != 1) return false;
    auto task = taskOf(CudnnTask::WeightsGradient, op.src, op.diffWeights, op.diffDst, op.window, op.exactness);
    if (!task) return false;
    std::lock_guard lock(mutex_);
    if (!isReady()) return false;
    // Results in float32, or in the type of the images and converted afterwards (the sums are float32 in both), whichever
    // engine is faster.
    const std::size_t room = padded(static_cast<std::size_t>(op.diffWeights.count()) * sizeof(float));
    const std::size_t resultBytes = op.accumulate ? room : 0;
    Pointers pointers{op.src.data, stream.scratch(room), op.diffDst.data, nullptr};
    task->accumulate = op.accumulate;
    const Plan* plan = planFor(stream, *task, pointers, resultBytes);
    bool direct = true;
    if (task->type != dnn::kFloat) {
        CudnnTask narrow = *task;
        narrow.resultType = task->type;
        narrow.accumulate = 0;
        const Plan* other = planFor(stream, narrow, pointers);
        if (other && (!plan || other->milliseconds < plan->milliseconds)) {
            plan = other;
            direct = false;
        }
    }
    if (!plan) return false;
    auto* memory = static_cast<char*>(stream.scratch(room + plan->workspace + 1));
    pointers.w = direct ? op.diffWeights.data : memory;
    execute(stream, *plan, pointers, memory + room);
    if (!direct)
        convertRun(stream, memory, op.src.type, op.diffWeights.data, ops::Type::Float32, op.diffWeights.count(), op.accumulate);
    return true;
}

}  // namespace pewter::cuda
