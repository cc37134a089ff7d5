#include "backends/cpu/vector/ImageScale.h"

#include "backends/cpu/vector/CopyOut.h"
#include "backends/cpu/vector/ResampleRows.h"

namespace pewter::cpu::PEWTER_ISA {
namespace {

/// A line along x, a pixel at a time: registers of channels. Taps is 0 for any number.
template <int Taps>
void pixelsOf(const ScalePlan& p, const float* line, float* dst) {
    const std::int64_t c = p.c, taps = Taps > 0 ? Taps : p.taps;
    for (std::int64_t x = 0; x < p.outW; ++x, dst += c) {
        const float *from = line + p.first[x] * c, *weights = p.weights + x * taps;
        std::int64_t k = 0;
        for (; k + kLanes <= c; k += kLanes) {
            Vector sum = {};
#pragma GCC unroll 12
            for (std::int64_t t = 0; t < taps; ++t) {
                Vector value;
                loadFrom(from + t * c + k, value);
                sum += weights[t] * value;
            }
            storeTo(dst + k, sum);
        }
        for (; k < c; ++k) {
            float sum = 0;
            for (std::int64_t t = 0; t < taps; ++t) sum += weights[t] * from[t * c + k];
            dst[k] = sum;
        }
    }
}

void pixels(const ScalePlan& p, const float* line, float* dst) {
    switch (p.taps) {
        case 6:
            return pixelsOf<6>(p, line, dst);
        case 7:
            return pixelsOf<7>(p, line, dst);
        case 9:
            return pixelsOf<9>(p, line, dst);
        case 10:
            return pixelsOf<10>(p, line, dst);
        case 12:
            return pixelsOf<12>(p, line, dst);
        default:
            return pixelsOf<0>(p, line, dst);
    }
}

std::int64_t padded(std::int64_t count) { return (count + 15) / 16 * 16; }

/// Planes of Channels channels, `plane` floats apart, along x: windows of Registers registers, out of which
/// every tap takes its pixels by a shuffle.
template <int Channels, int Registers>
void planesOf(const ScalePlan& p, const float* planes, std::int64_t plane, float* dst,
              std::int64_t dstPlane) {
    for (std::int64_t x = 0, block = 0; x < p.outW; x += kLanes, ++block) {
        Vector window[Channels][Registers], sums[Channels] = {};
        for (int k = 0; k < Channels; ++k)
            for (int r = 0; r < Registers; ++r)
                loadFrom(planes + k * plane + p.windows[block] + r * kLanes, window[k][r]);
        Number place;
        std::memcpy(&place, p.places + block * kLanes, sizeof place);
        const float* weights = p.blocks + block * p.taps * kLanes;
        for (std::int64_t t = 0; t < p.taps; ++t, weights += kLanes, place += 1) {
            Vector weight;
            loadFrom(weights, weight);
#pragma GCC unroll 4
            for (int k = 0; k < Channels; ++k) {
                Vector value = __builtin_shuffle(window[k][0], window[k][1], place);
                if constexpr (Registers > 2) {
                    const Vector high = __builtin_shuffle(window[k][2], window[k][3], place);
                    value = place < static_cast<std::int32_t>(2 * kLanes) ? value : high;
                }
                sums[k] += weight * value;
            }
        }
        for (int k = 0; k < Channels; ++k) storeTo(dst + k * dstPlane + x, sums[k]);
    }
}

/// A line of few channels: parted into planes and put together again.
template <int Channels>
void planar(const ScalePlan& p, const float* line, float* dst, float* memory) {
    const std::int64_t plane = padded(p.w) + 4 * kLanes, dstPlane = padded(p.outW);
    float *const planes = memory, *const results = memory + Channels * plane;
    if constexpr (Channels > 1) {
        PEWTER_VECTORIZE
        for (std::int64_t x = 0; x < p.w; ++x)
            for (int k = 0; k < Channels; ++k) planes[k * plane + x] = line[x * Channels + k];
    }
    const float* const from = Channels > 1 ? planes : line;
    float* const to = Channels > 1 ? results : dst;
    if (p.registers == 2)
        planesOf<Channels, 2>(p, from, plane, to, dstPlane);
    else
        planesOf<Channels, 4>(p, from, plane, to, dstPlane);
    if constexpr (Channels > 1) {
        PEWTER_VECTORIZE
        for (std::int64_t x = 0; x < p.outW; ++x)
            for (int k = 0; k < Channels; ++k) dst[x * Channels + k] = results[k * dstPlane + x];
    }
}

void alongX(const ScalePlan& p, const float* line, float* dst, float* memory) {
    if (p.registers == 0) return pixels(p, line, dst);
    switch (p.c) {
        case 1:
            return planar<1>(p, line, dst, memory);
        case 2:
            return planar<2>(p, line, dst, memory);
        case 3:
            return planar<3>(p, line, dst, memory);
        default:
            return planar<4>(p, line, dst, memory);
    }
}

/// Asks for `count` floats from `first` on of the source rows that a row of the result is the first to read.
void askFor(const ScalePlan& p, std::int64_t row, std::int64_t first, std::int64_t count) {
    constexpr std::int64_t kLine = 16;
    const std::int64_t length = p.w * p.c, y = row % p.outH;
    const auto behind = [&](std::int64_t of) { return p.rows.output[p.rows.start[of + 1] - 1] + 1; };
    const float* image = p.src + row / p.outH * p.h * length;
    for (std::int64_t v = y > 0 ? behind(y - 1) : 0; v < behind(y); ++v)
        for (std::int64_t i = 0; i < count; i += kLine)
            __builtin_prefetch(image + v * length + first + i);
}

}  // namespace

// Strips of a few rows: what rows share of the source is still in the first-level cache.
void scaleRows(const ScalePlan& p, std::int64_t from, std::int64_t to, float* memory) {
    constexpr std::int64_t kStrip = 512;
    const std::int64_t length = p.w * p.c, outLength = p.outW * p.c;
    // Whole registers may be written and read: a row's end is not always theirs.
    const std::int64_t lineRoom = padded(length) + 4 * kLanes;
    float *const lines = memory, *const result = lines + kScaledTogether * lineRoom;
    float* const rest = result + padded(outLength);
    for (std::int64_t r = 0; r < kScaledTogether; ++r)
        for (std::int64_t i = length; i < lineRoom; ++i) lines[r * lineRoom + i] = 0;
    for (std::int64_t row = from; row < to; row += kScaledTogether) {
        const std::int64_t rows = to - row < kScaledTogether ? to - row : kScaledTogether;
        for (std::int64_t k = 0; k < length; k += kStrip) {
            const std::int64_t count = length - k < kStrip ? length - k : kStrip;
            for (std::int64_t r = row; r < row + rows; ++r) {
                if (r + kScaledTogether < to) askFor(p, r + kScaledTogether, k, count);
                const std::int64_t* start = p.rows.start + r % p.outH;
                sumRows(p.src + r / p.outH * p.h * length + k, length, p.rows.output, p.rows.weight, start[0],
                        start[1], lines + (r - row) * lineRoom + k, count);
            }
        }
        for (std::int64_t r = 0; r < rows; ++r) {
            alongX(p, lines + r * lineRoom, result, rest);
            copyOut(result, outLength, p.streaming, p.dst + (row + r) * outLength);
        }
    }
    if (p.streaming) streamEnd();
}

}  // namespace pewter::cpu::PEWTER_ISA
