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

/// Two registers' lanes added up in pairs of blocks: block 2 i of the result is a's blocks 2 i + those next to them,
/// block 2 i + 1 those of b.
template <int Block>
PEWTER_INLINE Floats pairs(Floats a, Floats b) {
    using Indices = std::int32_t __attribute__((vector_size(kVectorBytes)));
    Indices even, odd;
    for (int i = 0; i < kLanes; ++i) {
        const int at = (i / (2 * Block)) * 2 * Block + i % Block, of = (i / Block) % 2 == 0 ? 0 : static_cast<int>(kLanes);
        even[i] = at + of;
        odd[i] = at + Block + of;
    }
    return __builtin_shuffle(a, b, even) + __builtin_shuffle(a, b, odd);
}

/// sums[i] = the sum of the lanes of v[i], for as many registers as each has lanes; v is used up.
PEWTER_INLINE void totals(Floats* v, float* sums) {
#pragma GCC unroll 16
    for (int i = 0; i < kLanes / 2; ++i) v[i] = pairs<1>(v[2 * i], v[2 * i + 1]);
#pragma GCC unroll 16
    for (int i = 0; i < kLanes / 4; ++i) v[i] = pairs<2>(v[2 * i], v[2 * i + 1]);
    if constexpr (kLanes >= 8) {
#pragma GCC unroll 16
        for (int i = 0; i < kLanes / 8; ++i) v[i] = pairs<4>(v[2 * i], v[2 * i + 1]);
    }
    if constexpr (kLanes >= 16) v[0] = pairs<8>(v[0], v[1]);
    storeLanes(sums, v[0]);
}

constexpr std::int64_t kShifts = 4;
/// Pixels whose products with kShifts shifts have as many sums as a register has lanes.
constexpr std::int64_t kPixels = kLanes / kShifts;

/// Dot products of kPixels pixels `step` apart with up to kShifts shifts: neighbours share what they read, since pixel
/// j + 1 under shift m lies on pixel j under shift m + 1.
template <int Shifts>
PEWTER_INLINE void block(const float* a, const float* const* b, std::int64_t step, std::int64_t c, float* dst,
                         std::int64_t pixelStep) {
    constexpr int kReads = static_cast<int>(kPixels) + Shifts - 1;
    const float* at[kReads];
#pragma GCC unroll 16
    for (int i = 0; i < kReads; ++i) at[i] = b[i * step];
    Floats sums[kLanes] = {};
    std::int64_t z = 0;
    for (; z + kLanes <= c; z += kLanes) {
        Floats x[kPixels];
#pragma GCC unroll 4
        for (int j = 0; j < kPixels; ++j) x[j] = loadLanes<Floats>(a + j * step * c + z);
#pragma GCC unroll 16
        for (int i = 0; i < kReads; ++i) {
            const Floats y = loadLanes<Floats>(at[i] + z);
#pragma GCC unroll 4
            for (int j = 0; j < kPixels; ++j)
                if (i >= j && i - j < Shifts) sums[j * kShifts + i - j] += x[j] * y;
        }
    }
    float all[kLanes];
    totals(sums, all);
    for (; z < c; ++z)
        for (int j = 0; j < kPixels; ++j)
            for (int m = 0; m < Shifts; ++m) all[j * kShifts + m] += a[j * step * c + z] * at[j + m][z];
    for (int j = 0; j < kPixels; ++j)
        for (int m = 0; m < Shifts; ++m) dst[j * step * pixelStep + m] = all[j * kShifts + m];
}

using Eight = float __attribute__((vector_size(32)));

/// One pixel under 8 Blocks neighbouring shifts in Rows rows of the secondary: a lane a shift. Keeps `count` of them, or
/// writes Whole blocks where the next row's shifts come after.
template <int Rows, int Blocks, bool Whole>
PEWTER_INLINE void shiftsOf(const ShiftedRow& r, const float* a, const float* const* planes, std::int64_t at,
                            std::int64_t count, float* dst) {
    Eight sums[Rows][Blocks] = {};
    for (std::int64_t z = 0; z < r.c; ++z)
#pragma GCC unroll 4
        for (int n = 0; n < Rows; ++n)
#pragma GCC unroll 2
            for (int k = 0; k < Blocks; ++k) {
                Eight read;  // not by value: how it is passed depends on the instruction set
                std::memcpy(&read, planes[n] + z * r.plane + at + 8 * k, sizeof read);
                sums[n][k] += a[z] * read;
            }
    for (int n = 0; n < Rows; ++n) {
        if (Whole) {
            std::memcpy(dst + n * r.shifts, sums[n], sizeof sums[n]);
            continue;
        }
        float all[8 * Blocks];
        std::memcpy(all, sums[n], sizeof all);
        for (std::int64_t m = 0; m < count; ++m) dst[n * r.shifts + m] = all[m];
    }
}

template <int Blocks, bool Whole>
PEWTER_INLINE void shiftedPixel(const ShiftedRow& r, const float* a, const float* const* planes, std::int64_t rows,
                                std::int64_t at, std::int64_t count, float* dst) {
    std::int64_t n = 0;
    for (; n + 4 <= rows; n += 4) shiftsOf<4, Blocks, Whole>(r, a, planes + n, at, count, dst + n * r.shifts);
    switch (rows - n) {
        case 3:
            return shiftsOf<3, Blocks, Whole>(r, a, planes + n, at, count, dst + n * r.shifts);
        case 2:
            return shiftsOf<2, Blocks, Whole>(r, a, planes + n, at, count, dst + n * r.shifts);
        case 1:
            return shiftsOf<1, Blocks, Whole>(r, a, planes + n, at, count, dst + n * r.shifts);
        default:
            return;
    }
}

template <int Blocks>
void shiftedRows(const ShiftedRow& r, const float* const* planes, std::int64_t rows, std::int64_t first,
                 std::int64_t count, float* dst) {
    std::int64_t column = first, phase = 0;  // of pixel x: first + x / step and x % step
    dst += first;
    // What a whole block writes too far is written again, by the pixel's next row or by the next pixel.
    const std::int64_t whole = r.shifts <= 8 * Blocks ? r.pixels - (8 * Blocks + r.pixelStep - 1) / r.pixelStep : 0;
    for (std::int64_t x = 0; x < r.pixels; ++x, dst += r.pixelStep) {
        const float* a = r.a + x * r.c;
        const std::int64_t at = phase * r.phase + column;
        if (x < whole)
            shiftedPixel<Blocks, true>(r, a, planes, rows, at, count, dst);
        else
            shiftedPixel<Blocks, false>(r, a, planes, rows, at, count, dst);
        if (++phase == r.step) phase = 0, ++column;
    }
}

}  // namespace

void dotProducts(const float* a, const float* const* b, std::int64_t pixels, std::int64_t c,
                 std::int64_t shifts, std::int64_t step, float* dst, std::int64_t pixelStep) {
    const std::int64_t together = kPixels * step;
    std::int64_t x = 0;
    for (; x + together <= pixels; x += together)
        for (std::int64_t phase = 0; phase < step; ++phase) {
            const float* of = a + (x + phase) * c;
            const float* const* by = b + x + phase;
            float* to = dst + (x + phase) * pixelStep;
            std::int64_t m = 0;
            for (; m + kShifts <= shifts; m += kShifts) block<kShifts>(of, by + m * step, step, c, to + m, pixelStep);
            switch (shifts - m) {
                case 3:
                    block<3>(of, by + m * step, step, c, to + m, pixelStep);
                    break;
                case 2:
                    block<2>(of, by + m * step, step, c, to + m, pixelStep);
                    break;
                case 1:
                    block<1>(of, by + m * step, step, c, to + m, pixelStep);
                    break;
                default:
                    break;
            }
        }
    for (; x < pixels; ++x)
        for (std::int64_t m = 0; m < shifts; ++m) dst[x * pixelStep + m] = dot(a + x * c, b[x + m * step], c);
}

void shiftedProducts(const ShiftedRow& r, const float* const* planes, std::int64_t rows, float* dst) {
    for (std::int64_t first = 0; first < r.shifts; first += kShiftsAtOnce) {
        const std::int64_t count = r.shifts - first < kShiftsAtOnce ? r.shifts - first : kShiftsAtOnce;
        if (count <= kShiftsAtOnce / 2)
            shiftedRows<1>(r, planes, rows, first, count, dst);
        else
            shiftedRows<2>(r, planes, rows, first, count, dst);
    }
}

}  // namespace pewter::cpu::PEWTER_ISA
