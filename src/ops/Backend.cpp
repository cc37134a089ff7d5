#include "ops/Backend.h"

#include "ops/Backends.h"

namespace pewter::ops {

const std::vector<BackendEntry>& backends() {
    static const auto entries = [] {
        std::vector<BackendEntry> all = cudaBackends();
        all.push_back(cpuBackend());
        all.push_back(referenceBackend());
        all.push_back(emulatedCudaBackend());
        return all;
    }();
    return entries;
}

}  // namespace pewter::ops
