#pragma once

#include <cstdint>

#include "backends/cpu/vector/Dispatch.h"
#include "backends/cpu/vector/Power.h"

namespace pewter::cpu {

/// Parameters of a local normalisation; T = delta + scale * (sum of squares), scale = alpha / N.
struct SpatialParameters {
    Power power;
    float scale, delta;
};

/// T = delta + alpha * variance; share = 1 / N.
struct ContrastParameters {
    Power power;
    double share, alpha, delta, p0;
    float pm, ps;
};

struct ContrastSourceParameters {
    float ps, meanShare, factor;
};

}  // namespace pewter::cpu

// Runs of windows of which the sums are known: `sums` of squares, or `sums` and `squares` in double. x is
// what the windows' centres read, g the incoming gradient.
//
// spatialRun:         y = x T^-beta, from the sums of the columns: those of `taps` of them, `step` elements
// apart, are taken
//                     here. `columns` is used up, room holds `count` elements. past: the results go past the
//                     caches; streamEnd() of Register.h comes after the last one.
// spatialGradientRun: a = g T^-beta, s = g x T^(-beta-1); the same.
// contrastRun:        y = pm + ps (x - p0 M) T^-beta.
// contrastGradientRun: a = g T^-beta, b = g (x - p0 M) T^(-beta-1), bm = b M; b and bm are left alone when b
// is null.
//
// Runs of source pixels, from sums over the windows that contain them; a is that of the window around the
// pixel.
//
// spatialSourceRun:  diff = a + factor x s, where s is the sum of `taps` of the shares, `step` elements
// apart; shares are used
//                    up, room and past as above.
// contrastSourceRun: diff = ps (a - meanShare sumA - factor (x sumB - sumBM)), sums of the three shares in
// the same way; the
//                    last term is left out when the second is null. room: three times `count`.
#define PEWTER_WINDOW_NORMALIZATION_FUNCTIONS                                                                \
    void spatialRun(const SpatialParameters& p, float* columns, std::int64_t taps, std::int64_t step,        \
                    const float* x, float* y, std::int64_t count, float* room, bool past);                   \
    void spatialGradientRun(const SpatialParameters& p, float* columns, std::int64_t taps,                   \
                            std::int64_t step, const float* x, const float* g, float* a, float* s,           \
                            std::int64_t count, float* room);                                                \
    void spatialSourceRun(float factor, float* shares, std::int64_t taps, std::int64_t step, const float* x, \
                          const float* a, float* diff, std::int64_t count, float* room, bool past);          \
    void contrastRun(const ContrastParameters& p, const double* sums, const double* squares, const float* x, \
                     float* y, std::int64_t count);                                                          \
    void contrastGradientRun(const ContrastParameters& p, const double* sums, const double* squares,         \
                             const float* x, const float* g, float* a, float* b, float* bm,                  \
                             std::int64_t count);                                                            \
    void contrastSourceRun(const ContrastSourceParameters& p, float* const* shares, std::int64_t taps,       \
                           std::int64_t step, const float* x, const float* a, float* diff,                   \
                           std::int64_t count, float* room, bool past);

PEWTER_VECTOR_FUNCTIONS(PEWTER_WINDOW_NORMALIZATION_FUNCTIONS)
