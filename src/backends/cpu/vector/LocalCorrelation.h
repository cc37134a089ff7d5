#pragma once

#include <cstdint>

#include "backends/cpu/vector/Dispatch.h"

// Products of a row of pixels with shifted pixels of another row, c channels each.
//
// dotProducts:    dst[x * pixelStep + m] = dot of a's pixel x and the pixel at b[x + m * step], m < shifts.
// channelPlanes:  planes[z * plane + i] = channel z of pixel i * step of the row, i < count.
// shiftedProducts: for few channels: dst[x * pixelStep + n * shifts + m] = dot of pixel x and pixel x + m of
// row n < count,
//                  whose planes lie at rows[n]. sums has room for all products of kMostLanes pixels twice.
#define PEWTER_LOCAL_CORRELATION_FUNCTIONS                                                                   \
    void dotProducts(const float* a, const float* const* b, std::int64_t pixels, std::int64_t c,             \
                     std::int64_t shifts, std::int64_t step, float* dst, std::int64_t pixelStep);            \
    void channelPlanes(const PixelRow& row, std::int64_t count, std::int64_t step, std::int64_t c,           \
                       float* planes, std::int64_t plane);                                                   \
    void shiftedProducts(const ShiftedPixels& of, const float* const* rows, std::int64_t count, float* sums, \
                         float* dst);

namespace pewter::cpu {

/// Pixels of any instruction set's register. A row's planes are read as far as the last shift of a whole
/// register, and as many behind.
constexpr std::int64_t kMostLanes = 16;

/// Pixel j lies columns[j] floats behind `pixels`, or at `zeros` where that is negative.
struct PixelRow {
    const float *pixels, *zeros;
    const std::int64_t* columns;
};

/// The channel planes of `pixels` pixels at a, planeA floats apart, and where those that they are multiplied
/// with lie behind the start of a row's: offsetB, planeB apart.
struct ShiftedPixels {
    const float* a;
    std::int64_t planeA, offsetB, planeB, pixels, c, shifts, pixelStep;
    /// Whether results go past the caches.
    bool streaming;
    /// Rows of as many pixels that are read soon, or null.
    const float* next[2];
};

}  // namespace pewter::cpu

PEWTER_VECTOR_FUNCTIONS(PEWTER_LOCAL_CORRELATION_FUNCTIONS)
