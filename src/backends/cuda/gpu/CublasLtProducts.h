#pragma once

#include <compare>
#include <map>
#include <memory>
#include <mutex>
#include <optional>

#include "backends/cuda/Stream.h"
#include "backends/cuda/gpu/CublasLtApi.h"
#include "backends/cuda/gpu/Operands.h"
#include "ops/Convolution.h"

namespace pewter::cuda {

class Libraries;

/// The matrix products of fully connected layers. TF32 only where the exactness is Reduced.
class CublasLtProducts {
public:
    CublasLtProducts(Libraries& libraries, int device) : libraries_(libraries), device_(device) {}
    ~CublasLtProducts();

    bool forward(CudaStream& stream, const ops::FullyConnectedForward& op);
    bool dataGradient(CudaStream& stream, const ops::FullyConnectedDataGradient& op);
    bool weightsGradient(CudaStream& stream, const ops::FullyConnectedWeightsGradient& op);

private:
    /// d = a b (+ d), with a or b transposed, in columns as BLAS counts: d has m rows and n columns, k is summed over.
    struct Product {
        std::int64_t m = 0, n = 0, k = 0, leadingA = 0, leadingB = 0, leadingD = 0;
        int transposeA = blas::kPlain, transposeB = blas::kPlain, type = blas::kFloat, resultType = blas::kFloat;
        bool accumulate = false, reduced = false;
        auto operator<=>(const Product&) const = default;
    };
    struct Plan;

    bool isReady();
    const Plan* planFor(const Product& product);
    /// The product of a direction; gives where the result lies: in its own memory, or in scratch memory, as float32 when a wide
    /// result is asked for. Null when cuBLASLt does not do it.
    std::optional<ops::Tensor> run(CudaStream& stream, Direction direction, const Operands& operands,
                                   ops::Exactness exactness, bool accumulate = false, bool wideResult = false);

    Libraries& libraries_;
    int device_;
    std::mutex mutex_;
    const blas::Api* api_ = nullptr;
    blas::Handle handle_ = nullptr;
    std::map<Product, std::shared_ptr<Plan>> plans_;
};

}  // namespace pewter::cuda
