#pragma once

#include "ops/Backend.h"

namespace pewter::ops {

// Each is defined in its folder of src/backends/, or in src/backends/none/ when the build leaves it out.
BackendEntry referenceBackend();
BackendEntry cpuBackend();

}  // namespace pewter::ops
