#include "backends/cuda/gpu/CublasLtProducts.h"

#include <optional>
#include <stdexcept>
#include <string>

#include "backends/cuda/LibraryPaths.h"
#include "backends/cuda/gpu/Check.h"
#include "backends/cuda/gpu/CudnnConvolutions.h"
#include "backends/cuda/gpu/Epilogue.cuh"
#include "backends/cuda/gpu/Libraries.h"

namespace pewter::cuda {

namespace {

constexpr std::size_t kMostWorkspace = std::size_t{32} << 20;

std::optional<int> typeOf(ops::Type type) {
    switch (type) {
        case ops::Type::Float32: return blas::kFloat;
        case ops::Type::Float16: return blas::kHalf;
        case ops::Type::BFloat16: return blas::kBFloat16;
        default: return std::nullopt;
    }
}

/// A row of the tensor an image, if it can be seen so: type and distance of rows.
std::optional<std::int64_t> rowsOf(const ops::Tensor& t) {
    ops::Tensor one = t;
    one.n = 1;
    if (!one.isDense() || reinterpret_cast<std::uintptr_t>(t.data) % 16 != 0) return std::nullopt;
    const std::int64_t length = t.h * t.w * t.c;
    const std::int64_t leading = t.n == 1 ? length : t.strideN;
    if (leading < length) return std::nullopt;
    return leading;
}

std::size_t padded(std::size_t bytes) { return (bytes + 255) / 256 * 256; }

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

bool CublasLtProducts::run(CudaStream& stream, const Product& product, const void* a, const void* b, void* d,
                           std::size_t scratchBefore) {
    const Plan* plan = planFor(product);
    if (!plan) return false;
    const float alpha = 1, beta = product.accumulate ? 1 : 0;
    auto* workspace = static_cast<char*>(stream.scratch(scratchBefore + kMostWorkspace)) + scratchBefore;
    const int status =
        api_->Matmul(handle_, plan->operation, &alpha, a, plan->a, b, plan->b, &beta, d, plan->d, d, plan->d,
                     &plan->suggestion.algorithm, workspace, kMostWorkspace, stream.native());
    if (status != 0) throw std::runtime_error("cublasLtMatmul failed with status " + std::to_string(status));
    return true;
}

// Rows of ours are columns of BLAS's: images [n][K] are K x n, weights [O][K] are K x O.

bool CublasLtProducts::forward(CudaStream& stream, const ops::FullyConnectedForward& op) {
    const auto type = typeOf(op.src.type);
    const auto src = rowsOf(op.src), dst = rowsOf(op.dst), weights = rowsOf(op.weights);
    if (!type || !src || !dst || !weights || op.dst.type != op.src.type || op.weights.type != ops::Type::Float32) return false;
    if (*type != blas::kFloat && op.exactness == ops::Exactness::Products) return false;
    std::lock_guard lock(mutex_);
    if (!isReady()) return false;
    const std::int64_t length = op.src.h * op.src.w * op.src.c;
    const bool convert = op.src.type != op.weights.type;
    const std::size_t narrow = convert ? padded(static_cast<std::size_t>(op.weights.count()) * 2) : 0;
    // In 16 bits the sum would be rounded before the bias comes to it.
    const bool apart = convert && (!op.bias.isNull() || op.neuron.type != ops::NeuronType::None);
    const std::size_t sums = apart ? padded(static_cast<std::size_t>(op.dst.count()) * sizeof(float)) : 0;
    const std::size_t room = narrow + sums;
    auto* memory = static_cast<char*>(stream.scratch(room + kMostWorkspace));
    const void* w = op.weights.data;
    if (convert) {
        if (!op.weights.isDense()) return false;
        convertRun(stream, op.weights.data, op.weights.type, memory, op.src.type, op.weights.count(), false);
        w = memory;
    }
    Product p{op.dst.c, op.src.n, length, convert ? length : *weights, *src, apart ? op.dst.c : *dst};
    p.transposeA = blas::kTransposed;
    p.type = *type;
    p.resultType = apart ? blas::kFloat : *type;
    p.reduced = *type == blas::kFloat && op.exactness == ops::Exactness::Reduced;
    if (!run(stream, p, w, op.src.data, apart ? memory + narrow : op.dst.data, room)) return false;
    ops::Tensor result = op.dst;
    if (apart) result = ops::Tensor::dense(memory + narrow, ops::Type::Float32, op.dst.n, 1, 1, op.dst.c);
    biasAndNeuron(stream, result, op.dst, op.bias, op.neuron);
    return true;
}

bool CublasLtProducts::dataGradient(CudaStream& stream, const ops::FullyConnectedDataGradient& op) {
    const auto type = typeOf(op.diffDst.type);
    const auto src = rowsOf(op.diffSrc), dst = rowsOf(op.diffDst), weights = rowsOf(op.weights);
    if (!type || !src || !dst || !weights || op.diffSrc.type != op.diffDst.type || op.weights.type != ops::Type::Float32)
        return false;
    if (*type != blas::kFloat && op.exactness == ops::Exactness::Products) return false;
    std::lock_guard lock(mutex_);
    if (!isReady()) return false;
    const std::int64_t length = op.diffSrc.h * op.diffSrc.w * op.diffSrc.c;
    const bool convert = op.diffDst.type != op.weights.type;
    const std::size_t room = convert ? padded(static_cast<std::size_t>(op.weights.count()) * 2) : 0;
    const void* w = op.weights.data;
    if (convert) {
        if (!op.weights.isDense()) return false;
        w = stream.scratch(room + kMostWorkspace);
        convertRun(stream, op.weights.data, op.weights.type, const_cast<void*>(w), op.diffDst.type, op.weights.count(), false);
    }
    Product p{length, op.diffSrc.n, op.diffDst.c, convert ? length : *weights, *dst, *src};
    p.type = p.resultType = *type;
    p.reduced = *type == blas::kFloat && op.exactness == ops::Exactness::Reduced;
    return run(stream, p, w, op.diffDst.data, op.diffSrc.data, room);
}

bool CublasLtProducts::weightsGradient(CudaStream& stream, const ops::FullyConnectedWeightsGradient& op) {
    const auto type = typeOf(op.src.type);
    const auto src = rowsOf(op.src), dst = rowsOf(op.diffDst), weights = rowsOf(op.diffWeights);
    if (!type || !src || !dst || !weights || op.diffDst.type != op.src.type || op.diffWeights.type != ops::Type::Float32)
        return false;
    if (*type != blas::kFloat && op.exactness == ops::Exactness::Products) return false;
    std::lock_guard lock(mutex_);
    if (!isReady()) return false;
    Product p{op.src.h * op.src.w * op.src.c, op.diffDst.c, op.src.n, *src, *dst, *weights};
    p.transposeB = blas::kTransposed;
    p.type = *type;
    p.accumulate = op.accumulate;
    p.reduced = *type == blas::kFloat && op.exactness == ops::Exactness::Reduced;
    return run(stream, p, op.src.data, op.diffDst.data, op.diffWeights.data, 0);
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
