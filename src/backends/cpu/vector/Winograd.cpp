#include "backends/cpu/vector/Winograd.h"

#include "backends/cpu/vector/Product.h"

// F(4x4, 5x5) by the points 0, 1, -1, 2, -2, 1/2, -1/2 and infinity (Toom and Cook, as Winograd turned it around): the
// results are A^T ((G taps) * (B^T source)), in both directions of the plane, and the gradients the adjoints of that.
// Rows of A are 1, p, p^2, p^3; those of G are 1, p, .. p^4 over the product of p's distances to the other points; those of
// B^T are the coefficients of the product of (x - q) over the other points q. Infinity has the last power alone. Points in
// pairs p, -p share their even and their odd powers. A register of channels at a time.

namespace pewter::cpu::PEWTER_ISA {
namespace {

constexpr int kPoints = kWinogradPoints, kTile = kWinogradTile, kTaps = kWinogradTaps;
/// 1 over the product of the distances of a point to all others.
constexpr float kTapScale[kPoints] = {-1.0f,       -2.0f / 9,   -2.0f / 9,   1.0f / 90,
                                      1.0f / 90,   32.0f / 45,  32.0f / 45,  1.0f};

/// B^T.
PEWTER_INLINE void transformSource(const Vector* d, Vector* v) {
    v[0] = (d[6] - d[0]) + 5.25f * (d[2] - d[4]);
    v[7] = (d[7] - d[1]) + 5.25f * (d[3] - d[5]);
    const Vector even1 = (d[2] + d[6]) - 4.25f * d[4], odd1 = (d[1] + d[5]) - 4.25f * d[3];
    v[1] = even1 + odd1;
    v[2] = even1 - odd1;
    const Vector even2 = (d[6] - 1.25f * d[4]) + 0.25f * d[2], odd2 = (d[5] - 1.25f * d[3]) + 0.25f * d[1];
    v[3] = even2 + 2.0f * odd2;
    v[4] = even2 - 2.0f * odd2;
    const Vector even3 = (d[6] - 5.0f * d[4]) + 4.0f * d[2], odd3 = (d[5] - 5.0f * d[3]) + 4.0f * d[1];
    v[5] = even3 + 0.5f * odd3;
    v[6] = even3 - 0.5f * odd3;
}

/// The polynomial with coefficients y at all points: A, and G but for its scale.
template <int kCount>
PEWTER_INLINE void evaluate(const Vector* y, Vector* z) {
    const auto pair = [&](float p, Vector& plus, Vector& minus) {
        Vector even = y[0] + p * p * y[2], odd = p * y[1] + p * p * p * y[3];
        if constexpr (kCount > 4) even += p * p * p * p * y[4];
        plus = even + odd;
        minus = even - odd;
    };
    z[0] = y[0];
    pair(1.0f, z[1], z[2]);
    pair(2.0f, z[3], z[4]);
    pair(0.5f, z[5], z[6]);
    z[7] = y[kCount - 1];
}

/// The adjoint of evaluate().
template <int kCount>
PEWTER_INLINE void gather(const Vector* z, Vector* y) {
    const Vector sum1 = z[1] + z[2], sum2 = z[3] + z[4], sum3 = z[5] + z[6];
    const Vector difference1 = z[1] - z[2], difference2 = z[3] - z[4], difference3 = z[5] - z[6];
    y[0] = ((z[0] + sum1) + sum2) + sum3;
    y[1] = (difference1 + 2.0f * difference2) + 0.5f * difference3;
    y[2] = (sum1 + 4.0f * sum2) + 0.25f * sum3;
    y[3] = (difference1 + 8.0f * difference2) + 0.125f * difference3;
    if constexpr (kCount > 4) y[4] = (sum1 + 16.0f * sum2) + 0.0625f * sum3;
    y[kCount - 1] += z[7];
}

/// values[i, j] = evaluate() of the kCount x kCount coefficients in both directions, each value `step` from the one before,
/// times scale(i) scale(j).
template <int kCount, class Load, class Scale>
PEWTER_INLINE void spreadPlane(Load load, Scale scale, float* values, std::int64_t step) {
    Vector rows[kCount][kPoints];
    for (int r = 0; r < kCount; ++r) {
        Vector y[kCount];
        load(r, y);
        evaluate<kCount>(y, rows[r]);
    }
    for (int j = 0; j < kPoints; ++j) {
        Vector y[kCount], z[kPoints];
#pragma GCC unroll 8
        for (int r = 0; r < kCount; ++r) y[r] = rows[r][j];
        evaluate<kCount>(y, z);
#pragma GCC unroll 8
        for (int i = 0; i < kPoints; ++i) {
            const Vector scaled = scale(i, j, z[i]);
            storeTo(values + (i * kPoints + j) * step, scaled);
        }
    }
}

/// The adjoint of spreadPlane(): store(row, values of the row).
template <int kCount, class Scale, class Store>
PEWTER_INLINE void gatherPlane(const float* values, std::int64_t step, Scale scale, Store store) {
    Vector columns[kCount][kPoints];
    for (int j = 0; j < kPoints; ++j) {
        Vector z[kPoints], y[kCount];
#pragma GCC unroll 8
        for (int i = 0; i < kPoints; ++i) {
            loadFrom(values + (i * kPoints + j) * step, z[i]);
            z[i] = scale(i, j, z[i]);
        }
        gather<kCount>(z, y);
#pragma GCC unroll 8
        for (int r = 0; r < kCount; ++r) columns[r][j] = y[r];
    }
    for (int r = 0; r < kCount; ++r) {
        Vector y[kCount];
        gather<kCount>(columns[r], y);
        store(r, y);
    }
}

constexpr auto kNoScale = [](int, int, const Vector& v) __attribute__((always_inline)) { return v; };
constexpr auto kScaleOfTaps = [](int i, int j, const Vector& v) __attribute__((always_inline)) { return kTapScale[i] * kTapScale[j] * v; };

/// Where a tile of the result lies, and how much of it is inside.
struct Place {
    std::int64_t image, y, x, height, width;
    float* corner;
    Place(const WinogradPlan& p, std::int64_t tile)
        : image(tile / (p.tilesY * p.tilesX)),
          y(tile / p.tilesX % p.tilesY * kTile),
          x(tile % p.tilesX * kTile),
          height(p.outH - y),
          width(p.outW - x),
          corner(p.dst + ((image * p.outH + y) * p.outW + x) * p.outC) {}
};

alignas(64) constexpr float kZeros[kWinogradChannels] = {};

/// One tile of the source, all channels.
void spreadSource(const WinogradPlan& p, std::int64_t tile, float* values, std::int64_t step) {
    const Place place(p, tile);
    const std::int64_t top = place.y - p.padTop, left = place.x - p.padLeft;
    const float* const image = p.src + place.image * p.h * p.w * p.c;
    for (std::int64_t c = 0; c < p.c; c += kLanes) {
        Vector rows[kPoints][kPoints];
        for (int r = 0; r < kPoints; ++r) {
            if (top + r < 0 || top + r >= p.h) {
#pragma GCC unroll 8
                for (int j = 0; j < kPoints; ++j) rows[r][j] = Vector{};
                continue;
            }
            const float* const row = image + ((top + r) * p.w + left) * p.c + c;
            Vector d[kPoints];
#pragma GCC unroll 8
            for (int q = 0; q < kPoints; ++q)
                loadFrom(left + q >= 0 && left + q < p.w ? row + q * p.c : kZeros, d[q]);
            transformSource(d, rows[r]);
        }
        for (int j = 0; j < kPoints; ++j) {
            Vector d[kPoints], v[kPoints];
#pragma GCC unroll 8
            for (int r = 0; r < kPoints; ++r) d[r] = rows[r][j];
            transformSource(d, v);
#pragma GCC unroll 8
            for (int i = 0; i < kPoints; ++i) storeTo(values + (i * kPoints + j) * step + c, v[i]);
        }
    }
}

/// One tile of the result from its values, all channels.
void gatherResult(const WinogradPlan& p, std::int64_t tile, const float* values, std::int64_t step) {
    const Place place(p, tile);
    for (std::int64_t c = 0; c < p.outC; c += kLanes) {
        Vector bias = {};
        if (p.bias) loadFrom(p.bias + c, bias);
        gatherPlane<kTile>(values + c, step, kNoScale, [&](int r, const Vector* y) __attribute__((always_inline)) {
            if (r >= place.height) return;
            float* const row = place.corner + r * p.outW * p.outC + c;
#pragma GCC unroll 4
            for (int q = 0; q < kTile; ++q) {
                if (q >= place.width) return;
                Vector sum = bias;
                if (p.accumulate) loadFrom(row + q * p.outC, sum);
                storeTo(row + q * p.outC, sum + y[q]);
            }
        });
    }
}

/// One tile of the result's gradient, all channels: the adjoint of gatherResult().
void spreadResult(const WinogradPlan& p, std::int64_t tile, float* values, std::int64_t step) {
    const Place place(p, tile);
    for (std::int64_t c = 0; c < p.outC; c += kLanes)
        spreadPlane<kTile>(
            [&](int r, Vector* y) __attribute__((always_inline)) {
                const float* const row = place.corner + r * p.outW * p.outC + c;
#pragma GCC unroll 4
                for (int q = 0; q < kTile; ++q) loadFrom(r < place.height && q < place.width ? row + q * p.outC : kZeros, y[q]);
            },
            kNoScale, values + c, step);
}

}  // namespace

void winogradTaps(const float* taps, WinogradTaps at, std::int64_t rows, std::int64_t columns, std::int64_t from,
                  std::int64_t to, float* values) {
    for (std::int64_t row = from; row < to; ++row)
        for (std::int64_t c = 0; c < columns; c += kLanes)
            spreadPlane<kTaps>(
                [&](int r, Vector* y) __attribute__((always_inline)) {
#pragma GCC unroll 5
                    for (int q = 0; q < kTaps; ++q) loadFrom(taps + (r * kTaps + q) * at.tap + row * at.row + c, y[q]);
                },
                kScaleOfTaps, values + row * columns + c, rows * columns);
}

void winogradTapSums(const float* sums, WinogradTaps at, std::int64_t rows, std::int64_t columns, std::int64_t from,
                     std::int64_t to, bool accumulate, float* taps) {
    for (std::int64_t row = from; row < to; ++row)
        for (std::int64_t c = 0; c < columns; c += kLanes)
            gatherPlane<kTaps>(sums + row * columns + c, rows * columns, kScaleOfTaps,
                               [&](int r, const Vector* y) __attribute__((always_inline)) {
#pragma GCC unroll 5
                                   for (int q = 0; q < kTaps; ++q) {
                                       float* const tap = taps + (r * kTaps + q) * at.tap + row * at.row + c;
                                       Vector sum = {};
                                       if (accumulate) loadFrom(tap, sum);
                                       storeTo(tap, sum + y[q]);
                                   }
                               });
}

void winogradTiles(const WinogradPlan& p, const float* values, std::int64_t from, std::int64_t to, float* source,
                   float* result) {
    const std::int64_t sourceStep = WinogradPlan::step(p.together, p.c), resultStep = WinogradPlan::step(p.together, p.outC);
    for (std::int64_t first = from; first < to; first += p.together) {
        const std::int64_t count = p.together < to - first ? p.together : to - first;
        for (std::int64_t t = 0; t < count; ++t) spreadSource(p, first + t, source + t * p.c, sourceStep);
        for (std::int64_t k = 0; k < kWinogradValues; ++k)
            product({source + k * sourceStep, p.c, 1}, {values + k * p.c * p.outC, p.outC}, count, p.outC, p.c, Store::Plain,
                    result + k * resultStep, p.outC);
        for (std::int64_t t = 0; t < count; ++t) gatherResult(p, first + t, result + t * p.outC, resultStep);
    }
}

void winogradSums(const WinogradPlan& p, std::int64_t from, std::int64_t to, float* source, float* result, float* sums,
                  float* sumsOfBias) {
    const std::int64_t sourceStep = WinogradPlan::step(p.together, p.c), resultStep = WinogradPlan::step(p.together, p.outC);
    for (std::int64_t first = from; first < to; first += p.together) {
        const std::int64_t count = p.together < to - first ? p.together : to - first;
        for (std::int64_t t = 0; t < count; ++t) {
            spreadSource(p, first + t, source + t * p.c, sourceStep);
            spreadResult(p, first + t, result + t * p.outC, resultStep);
        }
        for (std::int64_t k = 0; k < kWinogradValues; ++k)
            product({result + k * resultStep, 1, p.outC}, {source + k * sourceStep, p.c}, p.outC, p.c, count, Store::Added,
                    sums + k * p.c * p.outC, p.c);
        if (!sumsOfBias) continue;
        // The value at (1, 1) is the sum of the tile.
        const float* const ones = result + (kWinogradPoints + 1) * resultStep;
        for (std::int64_t t = 0; t < count; ++t)
            for (std::int64_t o = 0; o < p.outC; ++o) sumsOfBias[o] += ones[t * p.outC + o];
    }
}

}  // namespace pewter::cpu::PEWTER_ISA
