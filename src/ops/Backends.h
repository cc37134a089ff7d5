#pragma once

#include "ops/Backend.h"

namespace pewter::ops {

// Each is defined in its folder of src/backends/, or in src/backends/none/ when the build leaves it out.
BackendEntry referenceBackend();
BackendEntry cpuBackend();
/// One a GPU, "cuda:0" first; a single one without a backend, with the reason, where there is none.
std::vector<BackendEntry> cudaBackends();
/// The kernels of `cuda` on the host, for checks where there is no GPU.
BackendEntry emulatedCudaBackend();

}  // namespace pewter::ops
