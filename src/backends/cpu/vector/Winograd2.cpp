#include "backends/cpu/vector/Winograd2.h"

#include "backends/cpu/vector/BFloat16.h"

// F(2x2, 3x3) with the points 0, 1, -1 and infinity (Lavin and Gray, Fast Algorithms for Convolutional Neural Networks, 2016):
//   results = A^T ((G taps G^T) * (B^T source B)) A
// with a product over channels for each of the 16 values. Transformations are sums of at most four values in float32; what is
// multiplied is rounded to bfloat16. Larger tiles need fewer products but larger factors, which cost bfloat16 its digits.

namespace pewter::cpu::PEWTER_ISA {
namespace {

constexpr std::int64_t kTaps = kWinograd2Taps * kWinograd2Taps;

/// B^T x of one row or column.
PEWTER_INLINE void sourceRow(Vector& a, Vector& b, Vector& c, Vector& d) {
    const Vector first = a - c, second = b + c, third = c - b;
    d = b - d;
    a = first, b = second, c = third;
}

/// G x.
PEWTER_INLINE void tapRow(const Vector& a, const Vector& b, const Vector& c, Vector* to, int step) {
    const Vector ends = 0.5f * (a + c), middle = 0.5f * b;
    to[0] = a, to[step] = ends + middle, to[2 * step] = ends - middle, to[3 * step] = c;
}

/// G taps G^T of kLanes inputs; taps lie `tap` apart.
PEWTER_INLINE void transformTaps(const float* taps, std::int64_t tap, Vector (&values)[16]) {
    Vector columns[12];
    for (int q = 0; q < 3; ++q) {
        Vector g[3];
        for (int r = 0; r < 3; ++r) loadFrom(taps + (3 * r + q) * tap, g[r]);
        tapRow(g[0], g[1], g[2], columns + q, 3);
    }
    for (int r = 0; r < 4; ++r) tapRow(columns[3 * r], columns[3 * r + 1], columns[3 * r + 2], values + 4 * r, 1);
}

/// Where column `column` of transformed taps with `rows` rows begins, and how many columns its block has.
struct Place {
    std::uint32_t* data;
    std::int64_t width;
};
Place placeOf(std::uint32_t* values, std::int64_t rows, std::int64_t columns, std::int64_t column) {
    const std::int64_t block = column / kWinograd2Block, first = block * kWinograd2Block, left = columns - first;
    return {values + first * kWinograd2Values * (rows / 2) + column % kWinograd2Block,
            left < kWinograd2Block ? left : kWinograd2Block};
}

/// The first pixel of a tile's source and results.
struct Corner {
    std::int64_t image, y, x;
};
Corner cornerOf(const Winograd2Plan& plan, std::int64_t tile) {
    const std::int64_t inImage = tile % (plan.tilesY * plan.tilesX);
    return {tile / (plan.tilesY * plan.tilesX), kWinograd2Tile * (inImage / plan.tilesX),
            kWinograd2Tile * (inImage % plan.tilesX)};
}

/// The 16 source pixels of a tile; `outside` for those beyond the border.
void sourcePixels(const Winograd2Plan& plan, std::int64_t tile, const std::uint16_t* outside,
                  const std::uint16_t* (&pixels)[16]) {
    const Corner at = cornerOf(plan, tile);
    const std::uint16_t* const image = plan.src + at.image * plan.h * plan.w * plan.c;
    for (std::int64_t i = 0; i < 16; ++i) {
        const std::int64_t y = at.y - plan.padTop + i / 4, x = at.x - plan.padLeft + i % 4;
        const bool inside = y >= 0 && y < plan.h && x >= 0 && x < plan.w;
        pixels[i] = inside ? image + (y * plan.w + x) * plan.c : outside;
    }
}

/// The 4 results of a tile; `outside` for those beyond the border.
void resultPixels(const Winograd2Plan& plan, std::int64_t tile, std::uint16_t* outside, std::uint16_t* (&pixels)[4]) {
    const Corner at = cornerOf(plan, tile);
    std::uint16_t* const image = plan.dst + at.image * plan.outH * plan.outW * plan.outC;
    for (std::int64_t i = 0; i < 4; ++i) {
        const std::int64_t y = at.y + i / 2, x = at.x + i % 2;
        const bool inside = y < plan.outH && x < plan.outW;
        pixels[i] = inside ? image + (y * plan.outW + x) * plan.outC : outside;
    }
}

/// B^T source B of kLanes channels.
PEWTER_INLINE void transformSource(const std::uint16_t* const (&pixels)[16], std::int64_t channel, Vector (&d)[16]) {
    for (int i = 0; i < 16; ++i) widen(pixels[i] + channel, d[i]);
    for (int q = 0; q < 4; ++q) sourceRow(d[q], d[4 + q], d[8 + q], d[12 + q]);
    for (int r = 0; r < 4; ++r) sourceRow(d[4 * r], d[4 * r + 1], d[4 * r + 2], d[4 * r + 3]);
}

/// A results A^T of kLanes channels.
PEWTER_INLINE void transformResult(std::uint16_t* const (&pixels)[4], std::int64_t channel, Vector (&z)[16]) {
    const auto row = [&](const Vector& a, const Vector& b, Vector* to, int step) {
        to[0] = a, to[step] = a + b, to[2 * step] = a - b, to[3 * step] = -b;
    };
    Vector y[4], columns[8];
    for (int i = 0; i < 4; ++i) widen(pixels[i] + channel, y[i]);
    for (int q = 0; q < 2; ++q) row(y[q], y[2 + q], columns + q, 2);
    for (int r = 0; r < 4; ++r) row(columns[2 * r], columns[2 * r + 1], z + 4 * r, 1);
}

/// results = A^T products A + bias, of one tile and kLanes channels.
PEWTER_INLINE void finishTile(const float* products, std::int64_t step, const float* bias, bool accumulate,
                              std::uint16_t* const (&pixels)[4], std::int64_t channel) {
    Vector m[16], columns[8], add{};
    for (int i = 0; i < 16; ++i) loadFrom(products + i * step, m[i]);
    for (int q = 0; q < 4; ++q) {
        columns[q] = m[q] + m[4 + q] + m[8 + q];
        columns[4 + q] = m[4 + q] - m[8 + q] - m[12 + q];
    }
    if (bias) loadFrom(bias, add);
    for (int r = 0; r < 2; ++r) {
        const Vector* const c = columns + 4 * r;
        Vector y[2] = {c[0] + c[1] + c[2] + add, c[1] - c[2] - c[3] + add};
        for (int q = 0; q < 2; ++q) {
            std::uint16_t* const to = pixels[2 * r + q] + channel;
            Vector before{};
            if (accumulate) widen(to, before);
            roundTo(to, y[q] + before);
        }
    }
}

}  // namespace

void winograd2Taps(const float* weights, std::int64_t inputs, std::int64_t outputs, std::int64_t from, std::int64_t to,
                   std::uint32_t* values) {
    constexpr std::int64_t kTogether = 16, kPairs = kLanes / 2;
    // Outputs become columns: a square of them is turned in the first-level cache.
    alignas(64) std::uint32_t square[kWinograd2Values][kTogether][kPairs];
    for (std::int64_t chunk = from; chunk < to; ++chunk) {
        const std::int64_t output = chunk * kTogether;
        const Place place = placeOf(values, inputs, outputs, output);
        for (std::int64_t c = 0; c < inputs; c += kLanes) {
            for (std::int64_t o = 0; o < kTogether; ++o) {
                Vector u[16];
                transformTaps(weights + (output + o) * kTaps * inputs + c, inputs, u);
                for (int p = 0; p < 16; ++p) roundTo(reinterpret_cast<std::uint16_t*>(square[p][o]), u[p]);
            }
            for (int p = 0; p < 16; ++p)
                for (std::int64_t j = 0; j < kPairs; ++j) {
                    std::uint32_t* const row = place.data + (p * (inputs / 2) + c / 2 + j) * place.width;
                    for (std::int64_t o = 0; o < kTogether; ++o) row[o] = square[p][o][j];
                }
        }
    }
}

void winograd2TurnedTaps(const float* weights, std::int64_t inputs, std::int64_t outputs, std::int64_t from,
                         std::int64_t to, std::uint32_t* values) {
    for (std::int64_t pair = from; pair < to; ++pair)
        for (std::int64_t c = 0; c < inputs; c += kLanes) {
            const Place place = placeOf(values, outputs, inputs, c);
            // From the last tap to the first.
            const float* const last = weights + (2 * pair * kTaps + kTaps - 1) * inputs + c;
            Vector low[16], high[16];
            transformTaps(last, -inputs, low);
            transformTaps(last + kTaps * inputs, -inputs, high);
            for (int p = 0; p < 16; ++p) {
                Words first, second;
                round(low[p], first);
                round(high[p], second);
                pairTo(place.data + (p * (outputs / 2) + pair) * place.width, first, second);
            }
        }
}

void winograd2Tiles(const Winograd2Plan& plan, const std::uint32_t* values, std::int64_t from, std::int64_t to,
                    float* room) {
    const std::int64_t c = plan.c, pairs = c / 2;
    const std::int64_t sourceStep = Winograd2Plan::step(plan.together * pairs);
    const std::int64_t resultStep = Winograd2Plan::step(plan.together * kWinograd2Block);
    auto* const source = reinterpret_cast<std::uint32_t*>(room);
    float* const products = room + kWinograd2Values * sourceStep;
    auto* const outside = reinterpret_cast<std::uint16_t*>(products + kWinograd2Values * resultStep);
    std::uint16_t* const beyond = outside + c;
    std::memset(outside, 0, static_cast<std::size_t>(c + plan.outC) * sizeof(std::uint16_t));
    for (std::int64_t first = from; first < to; first += plan.together) {
        const std::int64_t count = to - first < plan.together ? to - first : plan.together;
        for (std::int64_t t = 0; t < count; ++t) {
            const std::uint16_t* pixels[16];
            sourcePixels(plan, first + t, outside, pixels);
            for (std::int64_t k = 0; k < c; k += kLanes) {
                Vector d[16];
                transformSource(pixels, k, d);
                for (int p = 0; p < 16; ++p)
                    roundTo(reinterpret_cast<std::uint16_t*>(source + p * sourceStep + t * pairs) + k, d[p]);
            }
        }
        for (std::int64_t block = 0; block < plan.outC; block += kWinograd2Block) {
            const std::int64_t left = plan.outC - block, width = left < kWinograd2Block ? left : kWinograd2Block;
            const std::uint32_t* const taps = values + block * kWinograd2Values * pairs;
            for (std::int64_t p = 0; p < kWinograd2Values; ++p)
                multiplyPairs({source + p * sourceStep, pairs, 1}, {taps + p * pairs * width, width}, count, width, pairs,
                              false, {products + p * resultStep, kWinograd2Block});
            for (std::int64_t t = 0; t < count; ++t) {
                std::uint16_t* pixels[4];
                resultPixels(plan, first + t, beyond, pixels);
                for (std::int64_t k = 0; k < width; k += kLanes)
                    finishTile(products + t * kWinograd2Block + k, resultStep, plan.bias ? plan.bias + block + k : nullptr,
                               plan.accumulate, pixels, block + k);
            }
        }
    }
}

void winograd2Pairs(const Winograd2Plan& plan, std::int64_t first, std::int64_t last, std::int64_t from, std::int64_t to,
                    std::uint32_t* source, std::uint32_t* result) {
    const std::int64_t sourceStep = Winograd2Plan::step(plan.together / 2 * plan.c);
    const std::int64_t resultStep = Winograd2Plan::step(plan.together / 2 * plan.outC);
    alignas(64) std::uint16_t zeros[kLanes] = {};
    const auto write = [&](const auto& transform, std::int64_t channels, std::int64_t step, std::int64_t pair,
                           std::uint32_t* values) {
        for (std::int64_t k = 0; k < channels; k += kLanes) {
            Vector low[16], high[16];
            transform(0, k, low);
            transform(1, k, high);
            for (int p = 0; p < 16; ++p) {
                Words one, other;
                round(low[p], one);
                round(high[p], other);
                pairTo(values + p * step + pair * channels + k, one, other);
            }
        }
    };
    for (std::int64_t pair = from; pair < to; ++pair) {
        const std::uint16_t* sources[2][16];
        std::uint16_t* results[2][4];
        for (std::int64_t i = 0; i < 2; ++i) {
            // What lies beyond an image, or past the last tile, is zero wherever it is read.
            const std::int64_t tile = first + 2 * pair + i;
            for (auto& pixel : sources[i]) pixel = nullptr;
            for (auto& pixel : results[i]) pixel = nullptr;
            if (tile >= last) continue;
            sourcePixels(plan, tile, nullptr, sources[i]);
            resultPixels(plan, tile, nullptr, results[i]);
        }
        write(
            [&](int i, std::int64_t k, Vector(&values)[16]) {
                const std::uint16_t* pixels[16];
                for (int j = 0; j < 16; ++j) pixels[j] = sources[i][j] ? sources[i][j] + k : zeros;
                transformSource(pixels, 0, values);
            },
            plan.c, sourceStep, pair, source);
        write(
            [&](int i, std::int64_t k, Vector(&values)[16]) {
                std::uint16_t* pixels[4];
                for (int j = 0; j < 4; ++j) pixels[j] = results[i][j] ? results[i][j] + k : zeros;
                transformResult(pixels, 0, values);
            },
            plan.outC, resultStep, pair, result);
    }
}

void winograd2Sums(const Winograd2Plan& plan, const std::uint32_t* source, const std::uint32_t* result, std::int64_t pairs,
                   bool accumulate, std::int64_t from, std::int64_t to, float* sums) {
    const std::int64_t sourceStep = Winograd2Plan::step(plan.together / 2 * plan.c);
    const std::int64_t resultStep = Winograd2Plan::step(plan.together / 2 * plan.outC);
    for (std::int64_t p = from; p < to; ++p)
        multiplyPairs({result + p * resultStep, 1, plan.outC}, {source + p * sourceStep, plan.c}, plan.outC, plan.c, pairs,
                      accumulate, {sums + p * plan.outC * plan.c, plan.c});
}

void winograd2TapSums(const float* sums, std::int64_t inputs, std::int64_t outputs, bool accumulate, std::int64_t from,
                      std::int64_t to, float* weights) {
    const std::int64_t step = inputs * outputs;
    // G^T x.
    const auto row = [](const Vector& a, const Vector& b, const Vector& c, const Vector& d, Vector* values, int apart) {
        const Vector ends = 0.5f * (b + c);
        values[0] = a + ends, values[apart] = 0.5f * (b - c), values[2 * apart] = ends + d;
    };
    for (std::int64_t o = from; o < to; ++o)
        for (std::int64_t c = 0; c < inputs; c += kLanes) {
            Vector s[16], columns[12], taps[9];
            for (int p = 0; p < 16; ++p) loadFrom(sums + p * step + o * inputs + c, s[p]);
            for (int q = 0; q < 4; ++q) row(s[q], s[4 + q], s[8 + q], s[12 + q], columns + q, 4);
            for (int r = 0; r < 3; ++r)
                row(columns[4 * r], columns[4 * r + 1], columns[4 * r + 2], columns[4 * r + 3], taps + 3 * r, 1);
            for (int k = 0; k < 9; ++k) {
                float* const at = weights + (o * kTaps + k) * inputs + c;
                Vector before{};
                if (accumulate) loadFrom(at, before);
                storeTo(at, taps[k] + before);
            }
        }
}

}  // namespace pewter::cpu::PEWTER_ISA

PEWTER_BFLOAT16_END
