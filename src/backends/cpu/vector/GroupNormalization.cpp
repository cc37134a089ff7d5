#include "backends/cpu/vector/GroupNormalization.h"

#include "backends/cpu/vector/Math.h"

namespace pewter::cpu::PEWTER_ISA {

void groupGradientRun(const float* src, const float* diffDst, const float* center, const float* scale,
                      const float* deviation, const float* a, const float* b, float* diffSrc,
                      std::int64_t count) {
    PEWTER_VECTORIZE
    for (std::int64_t i = 0; i < count; ++i)
        diffSrc[i] = (scale[i] * diffDst[i] - a[i]) - ((src[i] - center[i]) * deviation[i]) * b[i];
}

}  // namespace pewter::cpu::PEWTER_ISA
