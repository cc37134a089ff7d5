#include "backends/cuda/Cuda.h"

namespace pewter::PEWTER_CUDA_NAMESPACE {

bool Cuda::supports(ops::Type imageType) const {
    switch (imageType) {
        case ops::Type::Float32:
        case ops::Type::Float16:
        case ops::Type::BFloat16:
        case ops::Type::Unorm8:
        case ops::Type::Unorm16: return true;
        default: return false;
    }
}

}  // namespace pewter::PEWTER_CUDA_NAMESPACE
