#include "backends/cpu/vector/WindowNormalization.h"

#include "backends/cpu/vector/PowerRun.h"

namespace pewter::cpu::PEWTER_ISA {
namespace {

/// Elements taken through all steps while they are in the first-level cache.
constexpr std::int64_t kPiece = 256;

/// fn(first, count) for the pieces of a run.
template <class Fn>
PEWTER_INLINE void forPieces(std::int64_t count, Fn fn) {
    for (std::int64_t i = 0; i < count; i += kPiece) fn(i, count - i < kPiece ? count - i : kPiece);
}

/// T^-beta, and T itself.
struct Bases {
    alignas(64) float t[kPiece], power[kPiece];

    void spatial(const SpatialParameters& p, const float* sums, std::int64_t count) {
        PEWTER_VECTORIZE
        for (std::int64_t i = 0; i < count; ++i) t[i] = p.delta + p.scale * sums[i];
        inversePower(p.power, t, power, count);
    }
};

/// Mean, distance of the centre from p0 times it, T and T^-beta. The variance is a difference of two sums,
/// hence double.
struct Contrasts {
    alignas(64) float mean[kPiece], distance[kPiece], t[kPiece], power[kPiece];

    void of(const ContrastParameters& p, const double* sums, const double* squares, const float* x,
            std::int64_t count) {
        PEWTER_VECTORIZE
        for (std::int64_t i = 0; i < count; ++i) {
            const double m = sums[i] * p.share, difference = squares[i] * p.share - m * m;
            const double variance = difference < 0 ? 0 : difference;
            mean[i] = static_cast<float>(m);
            distance[i] = static_cast<float>(static_cast<double>(x[i]) - p.p0 * m);
            t[i] = static_cast<float>(p.delta + p.alpha * variance);
        }
        inversePower(p.power, t, power, count);
    }
};

}  // namespace

void spatialRun(const SpatialParameters& p, const float* sums, const float* x, float* y, std::int64_t count) {
    Bases bases;
    forPieces(count, [&](std::int64_t first, std::int64_t some) {
        bases.spatial(p, sums + first, some);
        const float* from = x + first;
        float* to = y + first;
        PEWTER_VECTORIZE
        for (std::int64_t i = 0; i < some; ++i) to[i] = from[i] * bases.power[i];
    });
}

void spatialGradientRun(const SpatialParameters& p, const float* sums, const float* x, const float* g,
                        float* a, float* s, std::int64_t count) {
    Bases bases;
    forPieces(count, [&](std::int64_t first, std::int64_t some) {
        bases.spatial(p, sums + first, some);
        PEWTER_VECTORIZE
        for (std::int64_t i = 0; i < some; ++i) {
            const float scaled = g[first + i] * bases.power[i];
            a[first + i] = scaled;
            s[first + i] = scaled * x[first + i] / bases.t[i];
        }
    });
}

void spatialSourceRun(float factor, const float* x, const float* a, const float* s, float* diff,
                      std::int64_t count) {
    PEWTER_VECTORIZE
    for (std::int64_t i = 0; i < count; ++i) diff[i] = a[i] + factor * x[i] * s[i];
}

void contrastRun(const ContrastParameters& p, const double* sums, const double* squares, const float* x,
                 float* y, std::int64_t count) {
    Contrasts contrasts;
    forPieces(count, [&](std::int64_t first, std::int64_t some) {
        contrasts.of(p, sums + first, squares + first, x + first, some);
        float* to = y + first;
        PEWTER_VECTORIZE
        for (std::int64_t i = 0; i < some; ++i)
            to[i] = p.pm + p.ps * contrasts.distance[i] * contrasts.power[i];
    });
}

void contrastGradientRun(const ContrastParameters& p, const double* sums, const double* squares,
                         const float* x, const float* g, float* a, float* b, float* bm, std::int64_t count) {
    Contrasts contrasts;
    forPieces(count, [&](std::int64_t first, std::int64_t some) {
        contrasts.of(p, sums + first, squares + first, x + first, some);
        PEWTER_VECTORIZE
        for (std::int64_t i = 0; i < some; ++i) a[first + i] = g[first + i] * contrasts.power[i];
        if (!b) return;
        PEWTER_VECTORIZE
        for (std::int64_t i = 0; i < some; ++i) {
            const float share = a[first + i] * contrasts.distance[i] / contrasts.t[i];
            b[first + i] = share;
            bm[first + i] = share * contrasts.mean[i];
        }
    });
}

void contrastSourceRun(float ps, float meanShare, float factor, const float* x, const float* a,
                       const float* sumA, const float* sumB, const float* sumBM, float* diff,
                       std::int64_t count) {
    if (sumB) {
        PEWTER_VECTORIZE
        for (std::int64_t i = 0; i < count; ++i)
            diff[i] = ps * (a[i] - meanShare * sumA[i] - factor * (x[i] * sumB[i] - sumBM[i]));
    } else {
        PEWTER_VECTORIZE
        for (std::int64_t i = 0; i < count; ++i) diff[i] = ps * (a[i] - meanShare * sumA[i]);
    }
}

}  // namespace pewter::cpu::PEWTER_ISA
