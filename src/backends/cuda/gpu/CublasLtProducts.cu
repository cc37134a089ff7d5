#include "backends/cuda/gpu/CublasLtProducts.h"

#include <stdexcept>
#include <string>

#include "backends/cuda/LibraryPaths.h"
#include "backends/cuda/Recast.cuh"
#include "backends/cuda/gpu/Check.h"
#include "backends/cuda/gpu/CudnnConvolutions.h"
#include "backends/cuda/gpu/Epilogue.cuh"
#include "backends/cuda/gpu/Libraries.h"
#include "backends/cuda/gpu/Weights.h"

namespace pewter::cuda {

namespace {

constexpr std::size_t kMostWorkspace = std::size_t{32} << 20;

int typeOf(ops::Type type) {
    return type == ops::Type::Float16 ? blas::kHalf : type == ops::Type::BFloat16 ? blas::kBFloat16 : blas::kFloat;
}

/// Whether images are rows of a matrix of that type, at a distance that leadingOf() gives.
bool areRows(const ops::Tensor& t, ops::Type type) {
    ops::Tensor one = t;
    one.n = 1;
    return t.type == type && one.isDense() && isAligned(t.data) && (t.n == 1 || t.strideN >= t.h * t.w * t.c);
}
std::int64_t leadingOf(const ops::Tensor& t) { return t.n == 1 ? t.h * t.w * t.c : t.strideN; }

/// The tensor, where it is rows of that type, else one in scratch memory.
ops::Tensor rowsAs(const ops::Tensor& t, ops::Type type) {
    return areRows(t, type) ? t : ops::Tensor::dense(nullptr, type, t.n, t.h, t.w, t.c);
}

}  // namespace

struct CublasLtProducts::Plan {
    const blas::Api& api;
    blas::Operation operation = nullptr;
    blas::Layout a = nullptr, b = nullptr, d = nullptr;
    blas::Suggestion suggestion{};

    explicit Plan(const blas::Api& api) : api(api) {}
    ~Plan() {
        if (a) api.MatrixLayoutDestroy(a);
        if (b) api.MatrixLayoutDestroy(b);
        if (d) api.MatrixLayoutDestroy(d);
        if (operation) api.MatmulDescDestroy(operation);
    }
};

CublasLtProducts::~CublasLtProducts() {
    plans_.clear();
    if (handle_) api_->Destroy(handle_);
}

bool CublasLtProducts::isReady() {
    if (handle_) return true;
    api_ = libraries_.cublasLt();
    if (!api_) return false;
    use(device_);
    if (const int status = api_->Create(&handle_))
        throw std::runtime_error("cublasLtCreate failed with status " + std::to_string(status));
    return true;
}

const CublasLtProducts::Plan* CublasLtProducts::planFor(const Product& p) {
    const auto known = plans_.find(p);
    if (known != plans_.end()) return known->second.get();
    auto& kept = plans_[p];
    auto plan = std::make_shared<Plan>(*api_);
    const auto extents = [](int transpose, std::int64_t rows, std::int64_t columns) {
        return transpose ? std::pair{columns, rows} : std::pair{rows, columns};
    };
    const auto [rowsA, columnsA] = extents(p.transposeA, p.m, p.k);
    const auto [rowsB, columnsB] = extents(p.transposeB, p.k, p.n);
    blas::Preference preference = nullptr;
    int found = 0;
    const std::size_t workspace = kMostWorkspace;
    const bool made =
        api_->MatmulDescCreate(&plan->operation, p.reduced ? blas::kCompute32FFastTf32 : blas::kCompute32F, blas::kFloat) == 0 &&
        api_->MatmulDescSetAttribute(plan->operation, blas::kTransposeA, &p.transposeA, sizeof p.transposeA) == 0 &&
        api_->MatmulDescSetAttribute(plan->operation, blas::kTransposeB, &p.transposeB, sizeof p.transposeB) == 0 &&
        api_->MatrixLayoutCreate(&plan->a, p.type, static_cast<std::uint64_t>(rowsA), static_cast<std::uint64_t>(columnsA),
                                 p.leadingA) == 0 &&
        api_->MatrixLayoutCreate(&plan->b, p.type, static_cast<std::uint64_t>(rowsB), static_cast<std::uint64_t>(columnsB),
                                 p.leadingB) == 0 &&
        api_->MatrixLayoutCreate(&plan->d, p.resultType, static_cast<std::uint64_t>(p.m), static_cast<std::uint64_t>(p.n),
                                 p.leadingD) == 0 &&
        api_->MatmulPreferenceCreate(&preference) == 0 &&
        api_->MatmulPreferenceSetAttribute(preference, blas::kPreferenceWorkspace, &workspace, sizeof workspace) == 0 &&
        api_->MatmulAlgoGetHeuristic(handle_, plan->operation, plan->a, plan->b, plan->d, plan->d, preference, 1,
                                     &plan->suggestion, &found) == 0 &&
        found > 0;
    if (preference) api_->MatmulPreferenceDestroy(preference);
    if (made) kept = std::move(plan);
    return kept.get();
}

// Rows of ours are columns of BLAS's: images [n][K] are K x n, weights [O][K] are K x O.
std::optional<ops::Tensor> CublasLtProducts::run(CudaStream& stream, Direction direction, const Operands& operands,
                                                 ops::Exactness exactness, bool accumulate, bool wideResult) {
    if (!operands.areUsable() || !isReady()) return std::nullopt;
    const auto& [x, w, y] = operands;
    const ops::Type type = productType(operands, direction, exactness);
    Operands used{rowsAs(x, type), {}, rowsAs(y, wideResult ? ops::Type::Float32 : type)};
    const ops::Type weightsType = direction == Direction::WeightsGradient ? ops::Type::Float32 : type;
    used.w = areRows(w, weightsType) ? w : formOf(w, {weightsType, w.n, w.c});
    const std::int64_t length = x.h * x.w * x.c;
    Product p;
    p.type = typeOf(type);
    p.resultType = typeOf(used.result(direction).type);
    p.reduced = type == ops::Type::Float32 && exactness == ops::Exactness::Reduced;
    p.accumulate = accumulate && used.result(direction).data;
    switch (direction) {
        case Direction::Forward:
            p.m = w.n, p.n = x.n, p.k = length;
            p.leadingA = leadingOf(used.w), p.leadingB = leadingOf(used.x), p.leadingD = leadingOf(used.y);
            p.transposeA = blas::kTransposed;
            break;
        case Direction::DataGradient:
            p.m = length, p.n = x.n, p.k = w.n;
            p.leadingA = leadingOf(used.w), p.leadingB = leadingOf(used.y), p.leadingD = leadingOf(used.x);
            break;
        case Direction::WeightsGradient:
            p.m = length, p.n = w.n, p.k = x.n;
            p.leadingA = leadingOf(used.x), p.leadingB = leadingOf(used.y), p.leadingD = leadingOf(used.w);
            p.transposeB = blas::kTransposed;
            break;
    }
    const Plan* plan = planFor(p);
    if (!plan) return std::nullopt;
    char* workspace = lend(stream, operands, used, direction, kMostWorkspace);
    const void* a = direction == Direction::WeightsGradient ? used.x.data : used.w.data;
    const void* b = direction == Direction::Forward ? used.x.data : used.y.data;
    void* d = used.result(direction).data;
    const float alpha = 1, beta = p.accumulate ? 1 : 0;
    const int status =
        api_->Matmul(handle_, plan->operation, &alpha, a, plan->a, b, plan->b, &beta, d, plan->d, d, plan->d,
                     &plan->suggestion.algorithm, workspace, kMostWorkspace, stream.native());
    if (status != 0) throw std::runtime_error("cublasLtMatmul failed with status " + std::to_string(status));
    return used.result(direction);
}

bool CublasLtProducts::forward(CudaStream& stream, const ops::FullyConnectedForward& op) {
    std::lock_guard lock(mutex_);
    // In 16 bits the sum would be rounded before the bias comes to it.
    const bool apart = !op.bias.isNull() || op.neuron.type != ops::NeuronType::None;
    const auto result = run(stream, Direction::Forward, {op.src, op.weights, op.dst}, op.exactness, false, apart);
    if (!result) return false;
    biasAndNeuron(stream, *result, op.dst, op.bias, op.neuron);
    return true;
}

bool CublasLtProducts::dataGradient(CudaStream& stream, const ops::FullyConnectedDataGradient& op) {
    std::lock_guard lock(mutex_);
    const auto result = run(stream, Direction::DataGradient, {op.diffSrc, op.weights, op.diffDst}, op.exactness);
    if (!result) return false;
    if (result->data != op.diffSrc.data) recast(stream, *result, op.diffSrc);
    return true;
}

bool CublasLtProducts::weightsGradient(CudaStream& stream, const ops::FullyConnectedWeightsGradient& op) {
    std::lock_guard lock(mutex_);
    const auto result = run(stream, Direction::WeightsGradient, {op.src, op.diffWeights, op.diffDst}, op.exactness,
                            op.accumulate);
    if (!result) return false;
    if (result->data != op.diffWeights.data) recast(stream, *result, op.diffWeights, op.accumulate);
    return true;
}

// --- the way in ---

bool runByLibrary(Libraries* libraries, CudaStream& stream, const ops::ConvolutionForward& op) {
    return libraries->convolutions().forward(stream, op);
}
bool runByLibrary(Libraries* libraries, CudaStream& stream, const ops::ConvolutionDataGradient& op) {
    return libraries->convolutions().dataGradient(stream, op);
}
bool runByLibrary(Libraries* libraries, CudaStream& stream, const ops::ConvolutionWeightsGradient& op) {
    return libraries->convolutions().weightsGradient(stream, op);
}
bool runByLibrary(Libraries* libraries, CudaStream& stream, const ops::FullyConnectedForward& op) {
    return libraries->products().forward(stream, op);
}
bool runByLibrary(Libraries* libraries, CudaStream& stream, const ops::FullyConnectedDataGradient& op) {
    return libraries->products().dataGradient(stream, op);
}
bool runByLibrary(Libraries* libraries, CudaStream& stream, const ops::FullyConnectedWeightsGradient& op) {
    return libraries->products().weightsGradient(stream, op);
}

}  // namespace pewter::cuda
