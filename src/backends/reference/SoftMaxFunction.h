#pragma once

#include <cstdint>

namespace pewter::reference {

/// out[k] = x[k] - ln sum exp(x[j]) over the channels of one pixel, shifted by the maximum.
void logSoftMax(const double* x, std::int64_t channels, double* out);

}  // namespace pewter::reference
