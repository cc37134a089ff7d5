#pragma once

#include <cstdint>

#include "backends/cpu/vector/Dispatch.h"

// Products of a row of pixels with shifted pixels of another row, c channels each.
//
// dotProducts:    dst[x * pixelStep + m] = dot of a's pixel x and the pixel at b[x + m * step], m < shifts.
// shiftedProducts: for few channels: dst[x * pixelStep + n * shifts + m] = the same with row n < rows of the secondary,
//                  whose channel planes lie at planes[n].
#define PEWTER_LOCAL_CORRELATION_FUNCTIONS                                                        \
    void dotProducts(const float* a, const float* const* b, std::int64_t pixels, std::int64_t c,  \
                     std::int64_t shifts, std::int64_t step, float* dst, std::int64_t pixelStep); \
    void shiftedProducts(const ShiftedRow& row, const float* const* planes, std::int64_t rows, float* dst);

namespace pewter::cpu {

/// Shifts that are computed together, read even where there are fewer.
constexpr std::int64_t kShiftsAtOnce = 16;

/// A row of `pixels` pixels at a. A channel plane has `plane` floats, of which position j = step * i + p (pixel x under
/// shift m lies at x + m step) is number p * phase + i, so that neighbouring shifts lie side by side.
struct ShiftedRow {
    const float* a;
    std::int64_t pixels, c, shifts, step, phase, plane, pixelStep;
};

}  // namespace pewter::cpu

PEWTER_VECTOR_FUNCTIONS(PEWTER_LOCAL_CORRELATION_FUNCTIONS)
