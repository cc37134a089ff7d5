#include "ops/Backends.h"

namespace pewter::ops {

BackendEntry cpuBackend() { return {"cpu", nullptr, "built without oneDNN"}; }

}  // namespace pewter::ops
