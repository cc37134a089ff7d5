#include "backends/cpu/vector/WindowNormalization.h"

#include "backends/cpu/vector/PowerRun.h"
#include "backends/cpu/vector/Sliding.h"

namespace pewter::cpu::PEWTER_ISA {

void spatialRun(const SpatialParameters& p, float* columns, std::int64_t taps, std::int64_t step,
                const float* x, float* y, std::int64_t count, float* room, bool past) {
#if defined(__AVX512F__)
    if (taps <= kFewTaps && isInverseRoot(p.power)) {
        const __m512 deltas = _mm512_set1_ps(p.delta), scales = _mm512_set1_ps(p.scale);
        past = goesPast(past, y);
        withQuarters(p.power, [=]<int Quarters>() PEWTER_LAMBDA {
            withWindowSum(taps, step, [=](auto over) PEWTER_LAMBDA {
                auto window = over(columns, count);
                forRegisters(count, [=](std::int64_t i, auto lanes) mutable PEWTER_LAMBDA {
                    const __m512 sum = window.next(lanes);
                    const __m512 power = inverseRoot<Quarters>(_mm512_fmadd_ps(scales, sum, deltas));
                    lanes.store(y + i, _mm512_mul_ps(lanes.load(x + i), power), past);
                });
            });
        });
        return;
    }
#endif
    static_cast<void>(past);
    slide(columns, taps, step, count, room);
    const float delta = p.delta, scale = p.scale;
    const float* const sums = room;
    forPowers(
        p.power, count, [=](std::int64_t i) PEWTER_LAMBDA { return delta + scale * sums[i]; },
        [=](std::int64_t i, float, float power) PEWTER_LAMBDA { y[i] = x[i] * power; });
}

void spatialGradientRun(const SpatialParameters& p, float* columns, std::int64_t taps, std::int64_t step,
                        const float* x, const float* g, float* a, float* s, std::int64_t count, float* room) {
#if defined(__AVX512F__)
    if (taps <= kFewTaps && isInverseRoot(p.power)) {
        const __m512 deltas = _mm512_set1_ps(p.delta), scales = _mm512_set1_ps(p.scale);
        withQuarters(p.power, [=]<int Quarters>() PEWTER_LAMBDA {
            withWindowSum(taps, step, [=](auto over) PEWTER_LAMBDA {
                auto window = over(columns, count);
                forRegisters(count, [=](std::int64_t i, auto lanes) mutable PEWTER_LAMBDA {
                    const __m512 base = _mm512_fmadd_ps(scales, window.next(lanes), deltas);
                    const __m512 scaled = _mm512_mul_ps(lanes.load(g + i), inverseRoot<Quarters>(base));
                    lanes.store(a + i, scaled);
                    const __m512 shared = _mm512_mul_ps(scaled, lanes.load(x + i));
                    lanes.store(s + i, _mm512_mul_ps(shared, reciprocal(base)));
                });
            });
        });
        return;
    }
#endif
    slide(columns, taps, step, count, room);
    const float delta = p.delta, scale = p.scale;
    const float* const sums = room;
    forPowers<true>(
        p.power, count, [=](std::int64_t i) PEWTER_LAMBDA { return delta + scale * sums[i]; },
        [=](std::int64_t i, float quotient, float power) PEWTER_LAMBDA {
            a[i] = g[i] * power;
            s[i] = g[i] * x[i] * quotient;
        });
}

void spatialSourceRun(float factor, float* shares, std::int64_t taps, std::int64_t step, const float* x,
                      const float* a, float* diff, std::int64_t count, float* room, bool past) {
#if defined(__AVX512F__)
    if (taps <= kFewTaps) {
        const __m512 factors = _mm512_set1_ps(factor);
        past = goesPast(past, diff);
        withWindowSum(taps, step, [=](auto over) PEWTER_LAMBDA {
            auto window = over(shares, count);
            forRegisters(count, [=](std::int64_t i, auto lanes) mutable PEWTER_LAMBDA {
                const __m512 scaled = _mm512_mul_ps(factors, lanes.load(x + i));
                lanes.store(diff + i, _mm512_fmadd_ps(scaled, window.next(lanes), lanes.load(a + i)), past);
            });
        });
        return;
    }
#endif
    static_cast<void>(past);
    slide(shares, taps, step, count, room);
    PEWTER_VECTORIZE
    for (std::int64_t i = 0; i < count; ++i) diff[i] = a[i] + factor * x[i] * room[i];
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
            [=](std::int64_t i)
                PEWTER_LAMBDA { return Contrast(share, alpha, delta, p0, sums[i], squares[i], x[i]).t; },
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
            const float shared = g[i] * b[i] * quotient;
            a[i] = g[i] * power;
            b[i] = shared;
            bm[i] *= shared;
        });
}

void contrastSourceRun(const ContrastSourceParameters& p, float* const* shares, std::int64_t taps,
                       std::int64_t step, const float* x, const float* a, float* diff, std::int64_t count,
                       float* room, bool past) {
#if defined(__AVX512F__)
    if (taps <= kFewTaps) {
        const __m512 ps = _mm512_set1_ps(p.ps), meanShare = _mm512_set1_ps(p.meanShare),
                     factor = _mm512_set1_ps(p.factor);
        const float *const ofA = shares[0], *const ofB = shares[1], *const ofBM = shares[2];
        past = goesPast(past, diff);
        withWindowSum(taps, step, [=](auto over) PEWTER_LAMBDA {
            auto windowA = over(ofA, count), windowB = over(ofB, count), windowBM = over(ofBM, count);
            forRegisters(count, [=](std::int64_t i, auto lanes) mutable PEWTER_LAMBDA {
                __m512 d = _mm512_fnmadd_ps(meanShare, windowA.next(lanes), lanes.load(a + i));
                if (ofB) {
                    const __m512 product = _mm512_mul_ps(lanes.load(x + i), windowB.next(lanes));
                    d = _mm512_fnmadd_ps(factor, _mm512_sub_ps(product, windowBM.next(lanes)), d);
                }
                lanes.store(diff + i, _mm512_mul_ps(ps, d), past);
            });
        });
        return;
    }
#endif
    static_cast<void>(past);
    const float ps = p.ps, meanShare = p.meanShare, factor = p.factor;
    for (int i = 0; i < 3 && shares[i]; ++i) slide(shares[i], taps, step, count, room + i * count);
    const float *const sumA = room, *const sumB = room + count, *const sumBM = room + 2 * count;
    if (shares[1]) {
        PEWTER_VECTORIZE
        for (std::int64_t i = 0; i < count; ++i)
            diff[i] = ps * (a[i] - meanShare * sumA[i] - factor * (x[i] * sumB[i] - sumBM[i]));
    } else {
        PEWTER_VECTORIZE
        for (std::int64_t i = 0; i < count; ++i) diff[i] = ps * (a[i] - meanShare * sumA[i]);
    }
}

}  // namespace pewter::cpu::PEWTER_ISA
