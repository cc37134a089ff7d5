#include "ops/Backends.h"

namespace pewter::ops {

BackendEntry emulatedCudaBackend() {
    return {"cuda:emulated", nullptr, "this build was configured with PEWTER_CUDA_EMULATION=OFF"};
}

}  // namespace pewter::ops
