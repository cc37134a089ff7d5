#include "backends/cuda/gpu/CudnnConvolutions.h"

#include <algorithm>
#include <limits>

#include "backends/cuda/gpu/Check.h"
#include "backends/cuda/gpu/Libraries.h"
#include "backends/cuda/gpu/Timing.h"

namespace pewter::cuda {

namespace {

/// Larger ones are not worth their memory.
constexpr std::size_t kMostWorkspace = std::size_t{512} << 20;
constexpr std::size_t kMostCandidates = 12;
enum Id : std::int64_t { kX = 1, kW, kY, kBiasId, kSum, kBiased };

/// Bytes from a tensor's first element to its last one.
std::size_t spanOf(const ops::Tensor& t) {
    const std::int64_t elements = (t.n - 1) * t.strideN + (t.h - 1) * t.strideH + (t.w - 1) * t.strideW + t.c;
    return static_cast<std::size_t>(elements) * ops::sizeOf(t.type);
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
        const auto x = tensor(kX, task.direction == Direction::DataGradient ? task.resultType : task.type, task.x, task.xStrides);
        const auto w = tensor(kW, task.direction == Direction::WeightsGradient ? task.resultType : task.type, task.w, task.wStrides);
        const auto y = tensor(kY, task.direction == Direction::Forward ? task.resultType : task.type, task.y, task.yStrides);
        const auto sum = tensor(kSum, dnn::kFloat, task.y, task.yStrides, true);
        const auto biased = tensor(kBiased, dnn::kFloat, task.y, task.yStrides, true);
        const std::int64_t channels = task.y[1];
        const auto bias = tensor(kBiasId, dnn::kFloat, {1, channels, 1, 1}, {channels, 1, channels, channels});
        const float beta = task.accumulate ? 1 : 0;  // as double, some engines read half of it

        std::vector<CudnnDescriptor> operations;
        if (task.direction == Direction::Forward) {
            auto& op = operations.emplace_back(api, dnn::kConvolutionForward);
            op.set(dnn::kForwardX, x).set(dnn::kForwardW, w).set(dnn::kForwardY, fused ? sum : y);
            op.set(dnn::kForwardConvolution, convolution).set(dnn::kForwardAlpha, 1.0f).set(dnn::kForwardBeta, beta).finalize();
        } else if (task.direction == Direction::DataGradient) {
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
    // ALGO_1 for weights gradients: of N,H,W,C in float32 its kernel (wgrad_alg1_engine_NHWC, cuDNN 9.19) reads behind its
    // operands, as compute-sanitizer shows, and now and then its sums are wrong (1 x 2 by 3 x 3, a transposed convolution's).
    if (task.direction == Direction::WeightsGradient && engine.getInt64(dnn::kEngineNumber) == 1) return false;
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

const CudnnConvolutions::Plan* CudnnConvolutions::planFor(CudaStream& stream, const Way& way, const Problem& problem) {
    const auto known = plans_.find(way.task);
    if (known != plans_.end()) return known->second.get();
    auto found = candidates(way.task);
    if (found.empty()) return (plans_[way.task] = nullptr).get();
    std::size_t best = 0;
    if (!stream.isCapturing()) {
        std::size_t workspace = 1;
        for (const auto& plan : found) workspace = std::max(workspace, plan.workspace);
        workspace = aligned(workspace);
        // What is there already must not be added to.
        const bool adds = way.task.accumulate != 0;
        const std::size_t sums = adds ? spanOf(problem.operands.result(problem.direction)) : 0;
        Pointers pointers = pointersOf(stream, problem, way, workspace + sums);
        if (adds) pointers.result(problem.direction) = static_cast<char*>(pointers.workspace) + workspace;
        double least = std::numeric_limits<double>::infinity();
        for (std::size_t i = 0; i < found.size(); ++i) {
            const double time = timeOf(stream, [&] { execute(stream, found[i], pointers); });
            if (time < least) {
                least = time;
                best = i;
            }
        }
        check(cudaStreamSynchronize(stream.native()), "cudaStreamSynchronize");
        if (least == std::numeric_limits<double>::infinity()) return (plans_[way.task] = nullptr).get();
        if (way.task.packs) least += timeOf(stream, [&] { pointersOf(stream, problem, way, 0, true); });
        found[best].milliseconds = least;
        stream.giveBackScratch();  // those that were not chosen may have wanted more
    }
    return (plans_[way.task] = std::make_unique<Plan>(std::move(found[best]))).get();
}

void CudnnConvolutions::execute(CudaStream& stream, const Plan& plan, const Pointers& pointers) {
    const std::int64_t ids[] = {kX, kW, kY, kBiasId};
    const void* data[] = {pointers.x, pointers.w, pointers.y, pointers.bias};
    CudnnDescriptor pack(*api_, dnn::kVariantPack);
    const std::int64_t count = pointers.bias ? 4 : 3;
    pack.set(dnn::kPackPointers, dnn::kPointerType, count, data)
        .set(dnn::kPackIds, dnn::kInt64Type, count, ids)
        .set(dnn::kPackWorkspace, dnn::kPointerType, 1, &pointers.workspace)
        .finalize();
    if (const auto status = api_->SetStream(handle_, stream.native()))
        throw std::runtime_error(std::string("cudnnSetStream: ") + api_->GetErrorString(status));
    if (const auto status = api_->BackendExecute(handle_, plan.plan.raw(), pack.raw()))
        throw CudnnRefusal(std::string("cudnnBackendExecute: ") + api_->GetErrorString(status));
}

}  // namespace pewter::cuda
