// Operations without a kernel of their own yet refuse by name; each definition elsewhere takes the place of its stand-in.
#include <stdexcept>

#include "backends/cuda/Cuda.h"

namespace pewter::PEWTER_CUDA_NAMESPACE {

#define PEWTER_STAND_IN(Op)                                                       \
    [[gnu::weak]] void Cuda::run(const ops::Op&, ops::Stream&) {                  \
        throw std::runtime_error("device cuda has no kernel for " #Op " yet"); \
    }
PEWTER_OPS(PEWTER_STAND_IN)
#undef PEWTER_STAND_IN

}  // namespace pewter::PEWTER_CUDA_NAMESPACE
