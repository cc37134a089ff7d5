#pragma once

#include <memory>
#include <mutex>
#include <string>

#include "backends/cuda/gpu/CublasLtApi.h"
#include "backends/cuda/gpu/CudnnApi.h"

namespace pewter::cuda {

class CudnnConvolutions;
class CublasLtProducts;

/// cuDNN and cuBLASLt as this process finds them, with what was prepared for one device. The environment names them or
/// turns them off: PEWTER_CUDNN and PEWTER_CUBLASLT hold a file's path or "off".
class Libraries {
public:
    explicit Libraries(int device);
    ~Libraries();

    /// Versions, or what is missing, for `pewter devices`.
    std::string description();

    /// Null when it was turned off; throws std::runtime_error that names the library when it is wanted and not found.
    const dnn::Api* cudnn();
    const blas::Api* cublasLt();

    CudnnConvolutions& convolutions() { return *convolutions_; }
    CublasLtProducts& products() { return *products_; }

private:
    std::unique_ptr<CudnnConvolutions> convolutions_;
    std::unique_ptr<CublasLtProducts> products_;
};

}  // namespace pewter::cuda
