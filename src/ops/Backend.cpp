#include "ops/Backend.h"

#include "ops/Backends.h"

namespace pewter::ops {

const std::vector<BackendEntry>& backends() {
    static const std::vector<BackendEntry> entries = {cpuBackend(), referenceBackend()};
    return entries;
}

}  // namespace pewter::ops
