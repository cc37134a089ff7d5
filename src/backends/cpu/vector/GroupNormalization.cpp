#include "backends/cpu/vector/GroupNormalization.h"

#include "backends/cpu/vector/Math.h"

namespace pewter::cpu::PEWTER_ISA {

void inverseDeviations(const double* squares, double share, double epsilon, double* out, std::int64_t count) {
    PEWTER_VECTORIZE
    for (std::int64_t k = 0; k < count; ++k) out[k] = 1 / __builtin_sqrt(squares[k] * share + epsilon);
}

void forwardFactors(const double* mean, const double* deviation, const float* gamma, const float* beta,
                    float* center, float* scale, float* shift, std::int64_t c) {
    PEWTER_VECTORIZE
    for (std::int64_t k = 0; k < c; ++k) {
        center[k] = static_cast<float>(mean[k]);
        const double factor = gamma ? static_cast<double>(gamma[k]) * deviation[k] : deviation[k];
        scale[k] = static_cast<float>(factor);
        const double rest = (static_cast<double>(center[k]) - mean[k]) * factor;
        shift[k] = static_cast<float>(beta ? static_cast<double>(beta[k]) + rest : rest);
    }
}

void groupGradientRun(const float* src, const float* diffDst, const float* center, const float* scale,
                      const float* deviation, const float* a, const float* b, float* diffSrc,
                      std::int64_t count) {
    PEWTER_VECTORIZE
    for (std::int64_t i = 0; i < count; ++i)
        diffSrc[i] = (scale[i] * diffDst[i] - a[i]) - ((src[i] - center[i]) * deviation[i]) * b[i];
}

}  // namespace pewter::cpu::PEWTER_ISA
