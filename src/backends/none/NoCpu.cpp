#include "ops/Backends.h"

namespace pewter::ops {

BackendEntry cpuBackend() { return {"cpu", nullptr, PEWTER_NO_CPU_REASON}; }

}  // namespace pewter::ops
