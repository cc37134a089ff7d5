#include "backends/cpu/vector/LocalCorrelation.h"

#include "backends/cpu/vector/Lanes.h"

namespace pewter::cpu::PEWTER_ISA {
namespace {

constexpr std::int64_t kLanes = sizeof(Floats) / sizeof(float);

PEWTER_INLINE float total(Floats v) {
    float sum = 0;
    for (std::int64_t i = 0; i < kLanes; ++i) sum += v[i];
    return sum;
}

PEWTER_INLINE float dot(const float* a, const float* b, std::int64_t c) {
    Floats sum = {};
    std::int64_t z = 0;
    for (; z + kLanes <= c; z += kLanes) sum += loadLanes<Floats>(a + z) * loadLanes<Floats>(b + z);
    float rest = 0;
    for (; z < c; ++z) rest += a[z] * b[z];
    return total(sum) + rest;
}

/// Four dot products with one pixel, which is loaded once for all.
PEWTER_INLINE void fourDots(const float* a, const float* const* b, std::int64_t step, std::int64_t c,
                            float* dst) {
    const float *b0 = b[0], *b1 = b[step], *b2 = b[2 * step], *b3 = b[3 * step];
    Floats s0 = {}, s1 = {}, s2 = {}, s3 = {};
    std::int64_t z = 0;
    for (; z + kLanes <= c; z += kLanes) {
        const Floats x = loadLanes<Floats>(a + z);
        s0 += x * loadLanes<Floats>(b0 + z);
        s1 += x * loadLanes<Floats>(b1 + z);
        s2 += x * loadLanes<Floats>(b2 + z);
        s3 += x * loadLanes<Floats>(b3 + z);
    }
    float r0 = 0, r1 = 0, r2 = 0, r3 = 0;
    for (; z < c; ++z) r0 += a[z] * b0[z], r1 += a[z] * b1[z], r2 += a[z] * b2[z], r3 += a[z] * b3[z];
    dst[0] = total(s0) + r0;
    dst[1] = total(s1) + r1;
    dst[2] = total(s2) + r2;
    dst[3] = total(s3) + r3;
}

/// Four vectors of pixels of one shift: the sums stay in registers while all channels pass.
PEWTER_INLINE void planes(const float* a, const float* b, std::int64_t pixels, std::int64_t wide,
                          std::int64_t c, float* dst) {
    std::int64_t x = 0;
    for (; x + 4 * kLanes <= pixels; x += 4 * kLanes) {
        Floats s0 = {}, s1 = {}, s2 = {}, s3 = {};
        for (std::int64_t z = 0; z < c; ++z) {
            const float *p = a + z * pixels + x, *q = b + z * wide + x;
            s0 += loadLanes<Floats>(p) * loadLanes<Floats>(q);
            s1 += loadLanes<Floats>(p + kLanes) * loadLanes<Floats>(q + kLanes);
            s2 += loadLanes<Floats>(p + 2 * kLanes) * loadLanes<Floats>(q + 2 * kLanes);
            s3 += loadLanes<Floats>(p + 3 * kLanes) * loadLanes<Floats>(q + 3 * kLanes);
        }
        storeLanes(dst + x, s0);
        storeLanes(dst + x + kLanes, s1);
        storeLanes(dst + x + 2 * kLanes, s2);
        storeLanes(dst + x + 3 * kLanes, s3);
    }
    for (; x + kLanes <= pixels; x += kLanes) {
        Floats s = {};
        for (std::int64_t z = 0; z < c; ++z)
            s += loadLanes<Floats>(a + z * pixels + x) * loadLanes<Floats>(b + z * wide + x);
        storeLanes(dst + x, s);
    }
    for (; x < pixels; ++x) {
        float s = 0;
        for (std::int64_t z = 0; z < c; ++z) s += a[z * pixels + x] * b[z * wide + x];
        dst[x] = s;
    }
}

}  // namespace

void dotProducts(const float* a, const float* const* b, std::int64_t pixels, std::int64_t c,
                 std::int64_t shifts, std::int64_t step, float* dst, std::int64_t pixelStep) {
    for (std::int64_t x = 0; x < pixels; ++x, a += c, ++b, dst += pixelStep) {
        std::int64_t m = 0;
        for (; m + 4 <= shifts; m += 4) fourDots(a, b + m * step, step, c, dst + m);
        for (; m < shifts; ++m) dst[m] = dot(a, b[m * step], c);
    }
}

void planarProducts(const float* a, const float* b, std::int64_t pixels, std::int64_t wide, std::int64_t c,
                    std::int64_t shifts, std::int64_t step, float* dst) {
    for (std::int64_t m = 0; m < shifts; ++m) planes(a, b + m * step, pixels, wide, c, dst + m * pixels);
}

}  // namespace pewter::cpu::PEWTER_ISA
