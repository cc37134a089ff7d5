#include "backends/cpu/vector/LocalCorrelation.h"

#include "backends/cpu/vector/CopyOut.h"
#include "backends/cpu/vector/Lanes.h"

namespace pewter::cpu::PEWTER_ISA {
namespace {

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

/// Keeps the compiler from reading the value once more for every product.
PEWTER_INLINE void keep([[maybe_unused]] Floats& value) {
#if defined(__AVX512F__)
    __asm__("" : "+v"(value));
#endif
}

/// Two registers' lanes added up in pairs of blocks: block 2 i of the result is a's blocks 2 i + those next
/// to them, block 2 i + 1 those of b.
template <int Block>
PEWTER_INLINE Floats pairs(Floats a, Floats b) {
    using Indices = std::int32_t __attribute__((vector_size(kVectorBytes)));
    Indices even, odd;
    for (int i = 0; i < kLanes; ++i) {
        const int at = (i / (2 * Block)) * 2 * Block + i % Block,
                  of = (i / Block) % 2 == 0 ? 0 : static_cast<int>(kLanes);
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

/// Dot products of kPixels pixels `step` apart with up to kShifts + 1 shifts: neighbours share what they
/// read, since pixel j + 1 under shift m lies on pixel j under shift m + 1. Asks for the kPixels pixels at
/// `ahead` meanwhile.
template <int Shifts>
void block(const float* a, const float* const* b, std::int64_t step, std::int64_t c,
           const float* const* ahead, float* dst, std::int64_t pixelStep) {
    constexpr int kReads = static_cast<int>(kPixels) + Shifts - 1;
    const float* at[kReads];
#pragma GCC unroll 16
    for (int i = 0; i < kReads; ++i) at[i] = b[i * step];
    // Of the shifts in front, and of one more.
    Floats sums[kLanes] = {}, last[kLanes] = {};
    std::int64_t z = 0;
    for (; z + kLanes <= c; z += kLanes) {
        Floats x[kPixels];
#pragma GCC unroll 4
        for (int j = 0; j < kPixels; ++j) {
            __builtin_prefetch(ahead[j] + z);
            x[j] = loadLanes<Floats>(a + j * step * c + z);
        }
#pragma GCC unroll 16
        for (int i = 0; i < kReads; ++i) {
            Floats y = loadLanes<Floats>(at[i] + z);
            keep(y);
#pragma GCC unroll 4
            for (int j = 0; j < kPixels; ++j) {
                const int m = i - j;
                if (m >= 0 && m < Shifts)
                    (m < kShifts ? sums[j * kShifts + m] : last[j * kShifts]) += x[j] * y;
            }
        }
    }
    float all[kLanes], more[kLanes];
    totals(sums, all);
    if constexpr (Shifts > kShifts) totals(last, more);
    for (; z < c; ++z)
        for (int j = 0; j < kPixels; ++j)
            for (int m = 0; m < Shifts; ++m)
                (m < kShifts ? all[j * kShifts + m] : more[j * kShifts]) +=
                    a[j * step * c + z] * at[j + m][z];
    for (int j = 0; j < kPixels; ++j)
        for (int m = 0; m < Shifts; ++m)
            dst[j * step * pixelStep + m] = m < kShifts ? all[j * kShifts + m] : more[j * kShifts];
}

using Block = void (*)(const float*, const float* const*, std::int64_t, std::int64_t, const float* const*,
                       float*, std::int64_t);
constexpr Block kBlocks[] = {block<1>, block<2>, block<3>, block<4>, block<5>};

/// Swaps odd blocks of lanes of every register with the even ones of the register Block further on.
template <int Block>
PEWTER_INLINE void swapBlocks(Floats* v) {
    using Indices = std::int32_t __attribute__((vector_size(kVectorBytes)));
    Indices low, high;
    for (int i = 0; i < kLanes; ++i) {
        const bool odd = i / Block % 2 != 0;
        low[i] = odd ? static_cast<int>(kLanes) + i - Block : i;
        high[i] = odd ? static_cast<int>(kLanes) + i : i + Block;
    }
#pragma GCC unroll 8
    for (int k = 0; k < kLanes / 2; ++k) {
        const int i = k / Block * 2 * Block + k % Block;
        const Floats a = v[i], b = v[i + Block];
        v[i] = __builtin_shuffle(a, b, low);
        v[i + Block] = __builtin_shuffle(a, b, high);
    }
}

/// Rows and columns of a square of kLanes registers.
PEWTER_INLINE void transpose(Floats* v) {
    swapBlocks<1>(v);
    swapBlocks<2>(v);
    if constexpr (kLanes >= 8) swapBlocks<4>(v);
    if constexpr (kLanes >= 16) swapBlocks<8>(v);
}

/// Shifts that are computed together: each keeps a register, and one more that moves lanes.
constexpr std::int64_t kShiftsAtOnce = 11;

/// Products of kLanes pixels from x on, plane by plane, with those first + m further on, m < Shifts, in every
/// row.
template <int Shifts>
void shiftsOf(const ShiftedPixels& p, const float* const* rows, std::int64_t count, std::int64_t x,
              std::int64_t first, float* sums) {
    for (std::int64_t n = 0; n < count; ++n) {
        const float *a = p.a + x, *b = rows[n] + p.offsetB + x + first;
        Floats sum[Shifts] = {};
        for (std::int64_t z = 0; z < p.c; ++z, a += p.planeA, b += p.planeB) {
            const Floats pixels = loadLanes<Floats>(a);
#if defined(__AVX512F__)
            // Most shifted reads would lie across two cache lines: every third one keeps those units busy
            // that read, the others those that move lanes.
            const Floats low = loadLanes<Floats>(b), high = loadLanes<Floats>(b + kLanes);
            using Indices = std::int32_t __attribute__((vector_size(kVectorBytes)));
#pragma GCC unroll 16
            for (int m = 0; m < Shifts; ++m) {
                if (m % 3 == 2) {
                    sum[m] += pixels * loadLanes<Floats>(b + m);
                    continue;
                }
                Indices from;
                for (int i = 0; i < kLanes; ++i) from[i] = i + m;
                sum[m] += pixels * __builtin_shuffle(low, high, from);
            }
#else
#pragma GCC unroll 16
            for (int m = 0; m < Shifts; ++m) sum[m] += pixels * loadLanes<Floats>(b + m);
#endif
        }
#pragma GCC unroll 16
        for (int m = 0; m < Shifts; ++m) storeLanes(sums + (n * p.shifts + first + m) * kLanes, sum[m]);
    }
}

using ShiftsOf = void (*)(const ShiftedPixels&, const float* const*, std::int64_t, std::int64_t, std::int64_t,
                          float*);
constexpr ShiftsOf kShiftsOf[] = {shiftsOf<1>, shiftsOf<2>,  shiftsOf<3>, shiftsOf<4>,
                                  shiftsOf<5>, shiftsOf<6>,  shiftsOf<7>, shiftsOf<8>,
                                  shiftsOf<9>, shiftsOf<10>, shiftsOf<11>};

/// dst[i * pixelStep + k] = sums[k * kLanes + i] for k < count and i < pixels, at most kLanes of either.
void turned(const float* sums, std::int64_t count, std::int64_t pixels, float* dst, std::int64_t pixelStep) {
    Floats v[kLanes];
    for (std::int64_t k = 0; k < kLanes; ++k) v[k] = loadLanes<Floats>(sums + (k < count ? k : 0) * kLanes);
    transpose(v);
    for (std::int64_t i = 0; i < pixels; ++i, dst += pixelStep) {
        if (count == kLanes)
            storeLanes(dst, v[i]);
        else
            std::memcpy(dst, &v[i], static_cast<std::size_t>(count) * sizeof(float));
    }
}

/// Asks for the next rows' part of a tile.
void askFor(const float* row, std::int64_t first, std::int64_t count) {
    constexpr std::int64_t kLine = 16;
    if (!row) return;
    for (std::int64_t i = 0; i < count; i += kLine) __builtin_prefetch(row + first + i);
}

}  // namespace

void dotProducts(const float* a, const float* const* b, std::int64_t pixels, std::int64_t c,
                 std::int64_t shifts, std::int64_t step, float* dst, std::int64_t pixelStep) {
    // Pixel by pixel of one phase: most of what a group reads is still in the first-level cache for the next
    // one.
    const std::int64_t together = kPixels * step, whole = pixels / together * together;
    for (std::int64_t phase = 0; phase < step; ++phase)
        for (std::int64_t x = phase; x < whole; x += together) {
            const float* of = a + x * c;
            const float* const* by = b + x;
            float* to = dst + x * pixelStep;
            // What the next group reads and this one does not.
            const std::int64_t next = x + together < whole ? together : 0;
            const float *aheadA[kPixels], *aheadB[kPixels];
            for (std::int64_t j = 0; j < kPixels; ++j) {
                aheadA[j] = of + (next + j * step) * c;
                aheadB[j] = by[next + (shifts - 1 + j) * step];
            }
            for (std::int64_t m = 0; m < shifts;) {
                const std::int64_t left = shifts - m, some = left <= kShifts + 1 ? left : kShifts;
                kBlocks[some - 1](of, by + m * step, step, c, m == 0 ? aheadA : aheadB, to + m, pixelStep);
                m += some;
            }
        }
    for (std::int64_t x = whole; x < pixels; ++x)
        for (std::int64_t m = 0; m < shifts; ++m) dst[x * pixelStep + m] = dot(a + x * c, b[x + m * step], c);
}

void channelPlanes(const PixelRow& row, std::int64_t count, std::int64_t step, std::int64_t c, float* planes,
                   std::int64_t plane) {
    const auto pixel = [&](std::int64_t i) PEWTER_LAMBDA {
        const std::int64_t at = row.columns[i * step];
        return at < 0 ? row.zeros : row.pixels + at;
    };
    std::int64_t z = 0;
    for (; z + kLanes <= c; z += kLanes)
        for (std::int64_t i = 0; i < count; i += kLanes) {
            // The last register takes pixels a second time, or planes have room for more of them.
            const std::int64_t first = i + kLanes <= count || count < kLanes ? i : count - kLanes;
            Floats v[kLanes];
#pragma GCC unroll 16
            for (std::int64_t k = 0; k < kLanes; ++k)
                v[k] = loadLanes<Floats>(pixel(first + k < count ? first + k : first) + z);
            transpose(v);
#pragma GCC unroll 16
            for (std::int64_t k = 0; k < kLanes; ++k) storeLanes(planes + (z + k) * plane + first, v[k]);
        }
    for (; z < c; ++z)
        for (std::int64_t i = 0; i < count; ++i) planes[z * plane + i] = pixel(i)[z];
}

void shiftedProducts(const ShiftedPixels& p, const float* const* rows, std::int64_t count, float* sums,
                     float* dst) {
    const std::int64_t all = count * p.shifts, groups = (p.shifts + kShiftsAtOnce - 1) / kShiftsAtOnce;
    // Results that lie back to back are put together in the cache and leave it in whole lines.
    float* const tile = p.pixelStep == all ? sums + all * kLanes : nullptr;
    for (std::int64_t x = 0; x < p.pixels; x += kLanes) {
        for (const float* row : p.next) askFor(row, x * p.c, kLanes * p.c);
        for (std::int64_t i = 0, m = 0; i < groups; ++i) {
            const std::int64_t some = p.shifts * (i + 1) / groups - m;
            kShiftsOf[some - 1](p, rows, count, x, m, sums);
            m += some;
        }
        const std::int64_t pixels = p.pixels - x < kLanes ? p.pixels - x : kLanes;
        float* const place = dst + x * p.pixelStep;
        float* const of = tile ? tile : place;
        std::int64_t k = 0;
        for (; k + kLanes <= all; k += kLanes) turned(sums + k * kLanes, kLanes, pixels, of + k, p.pixelStep);
        // The last ones, some of them a second time.
        if (k < all && all >= kLanes)
            turned(sums + (all - kLanes) * kLanes, kLanes, pixels, of + all - kLanes, p.pixelStep);
        else if (k < all)
            turned(sums, all, pixels, of, p.pixelStep);
        if (tile) copyOut(tile, pixels * all, p.streaming, place);
    }
    if (p.streaming) streamEnd();
}

}  // namespace pewter::cpu::PEWTER_ISA
