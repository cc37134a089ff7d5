#include "backends/cpu/vector/WindowNormalization.h"

#include "backends/cpu/vector/PowerRun.h"

#define PEWTER_LAMBDA __attribute__((always_inline))

namespace pewter::cpu::PEWTER_ISA {

void spatialRun(const SpatialParameters& p, const float* sums, const float* x, float* y, std::int64_t count) {
    const float delta = p.delta, scale = p.scale;
    forPowers(
        p.power, count, [=](std::int64_t i) PEWTER_LAMBDA { return delta + scale * sums[i]; },
        [=](std::int64_t i, float, float power) PEWTER_LAMBDA { y[i] = x[i] * power; });
}

void spatialGradientRun(const SpatialParameters& p, const float* sums, const float* x, const float* g,
                        float* a, float* s, std::int64_t count) {
    const float delta = p.delta, scale = p.scale;
    forPowers<true>(
        p.power, count, [=](std::int64_t i) PEWTER_LAMBDA { return delta + scale * sums[i]; },
        [=](std::int64_t i, float quotient, float power) PEWTER_LAMBDA {
            const float scaled = g[i] * power;
            a[i] = scaled;
            s[i] = scaled * x[i] * quotient;
        });
}

void spatialSourceRun(float factor, const float* x, const float* a, const float* s, float* diff,
                      std::int64_t count) {
    PEWTER_VECTORIZE
    for (std::int64_t i = 0; i < count; ++i) diff[i] = a[i] + factor * x[i] * s[i];
}

namespace {

/// Mean, distance of the centre from p0 times it, and T of one window. The variance is a difference of two
/// sums, hence double.
struct Contrast {
    float mean, distance, t;

    PEWTER_INLINE Contrast(double share, double alpha, double delta, double p0, double sum, double squares,
                           float x) {
        const double m = sum * share, difference = squares * share - m * m;
        const double variance = difference < 0 ? 0 : difference;
        mean = static_cast<float>(m);
        distance = static_cast<float>(static_cast<double>(x) - p0 * m);
        t = static_cast<float>(delta + alpha * variance);
    }
};

}  // namespace

void contrastRun(const ContrastParameters& p, const double* sums, const double* squares, const float* x,
                 float* y, std::int64_t count) {
    const double share = p.share, alpha = p.alpha, delta = p.delta, p0 = p.p0;
    const float pm = p.pm, ps = p.ps;
    forPowers(
        p.power, count,
        [=](std::int64_t i) PEWTER_LAMBDA {
            const Contrast c(share, alpha, delta, p0, sums[i], squares[i], x[i]);
            y[i] = c.distance;
            return c.t;
        },
        [=](std::int64_t i, float, float power) PEWTER_LAMBDA { y[i] = pm + ps * y[i] * power; });
}

void contrastGradientRun(const ContrastParameters& p, const double* sums, const double* squares,
                         const float* x, const float* g, float* a, float* b, float* bm, std::int64_t count) {
    const double share = p.share, alpha = p.alpha, delta = p.delta, p0 = p.p0;
    if (!b) {
        forPowers(
            p.power, count,
            [=](std::int64_t i) PEWTER_LAMBDA {
                return Contrast(share, alpha, delta, p0, sums[i], squares[i], x[i]).t;
            },
            [=](std::int64_t i, float, float power) PEWTER_LAMBDA { a[i] = g[i] * power; });
        return;
    }
    forPowers<true>(
        p.power, count,
        [=](std::int64_t i) PEWTER_LAMBDA {
            const Contrast c(share, alpha, delta, p0, sums[i], squares[i], x[i]);
            b[i] = c.distance;
            bm[i] = c.mean;
            return c.t;
        },
        [=](std::int64_t i, float quotient, float power) PEWTER_LAMBDA {
            const float scaled = g[i] * power, shared = scaled * b[i] * quotient;
            a[i] = scaled;
            b[i] = shared;
            bm[i] *= shared;
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
