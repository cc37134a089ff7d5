#pragma once

#include <cstdint>

#include "backends/cpu/vector/Dispatch.h"

// Products of a row of pixels with shifted pixels of another row, c channels each.
//
// dotProducts:    dst[x * pixelStep + m] = dot of a's pixel x and the pixel at b[x + m * step], m < shifts.
// planarProducts: the same for channel planes: dst[m * pixels + x] = sum over z < c of a[z * pixels + x] *
//                 b[z * wide + x + m * step].
#define PEWTER_LOCAL_CORRELATION_FUNCTIONS                                                        \
    void dotProducts(const float* a, const float* const* b, std::int64_t pixels, std::int64_t c,  \
                     std::int64_t shifts, std::int64_t step, float* dst, std::int64_t pixelStep); \
    void planarProducts(const float* a, const float* b, std::int64_t pixels, std::int64_t wide,   \
                        std::int64_t c, std::int64_t shifts, std::int64_t step, float* dst);

PEWTER_VECTOR_FUNCTIONS(PEWTER_LOCAL_CORRELATION_FUNCTIONS)
