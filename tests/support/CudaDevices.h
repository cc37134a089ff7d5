#pragma once

#include <vector>

#include "ops/Backends.h"

namespace pewter::test {

/// The GPUs of the machine, and the kernels on the host if the build has them.
inline std::vector<ops::BackendEntry> cudaDevices() {
    std::vector<ops::BackendEntry> devices;
    for (auto& entry : ops::cudaBackends())
        if (entry.backend) devices.push_back(entry);
    if (const auto entry = ops::emulatedCudaBackend(); entry.backend) devices.push_back(entry);
    return devices;
}

}  // namespace pewter::test
