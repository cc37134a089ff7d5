#pragma once

#include <cstdint>

#include "backends/cpu/Engine.h"

namespace pewter::cpu {

/// Row-major result[rows][columns] = alpha * a * b, or added to what is there; `inner` long sums; a transposed a is
/// stored [inner][rows].
inline void multiply(bool transposeA, std::int64_t rows, std::int64_t columns, std::int64_t inner, float alpha,
                     const float* a, const float* b, float* result, bool add = false) {
    const dnnl::status status = dnnl::sgemm(transposeA ? 'T' : 'N', 'N', rows, columns, inner, alpha, a,
                                            transposeA ? rows : inner, b, columns, add ? 1.0f : 0.0f, result, columns);
    dnnl::error::wrap_c_api(static_cast<dnnl_status_t>(status), "could not multiply matrices");
}

}  // namespace pewter::cpu
