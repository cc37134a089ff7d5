#include "backends/cpu/vector/BlockedLayout.h"

#include "backends/cpu/vector/Register.h"

namespace pewter::cpu::PEWTER_ISA {
namespace {

/// Channels of a block: a line of the cache.
constexpr std::int64_t kBlock = 16;
/// Blocks that are written side by side: more are more streams than the processor follows.
constexpr std::int64_t kStreams = 8;
constexpr std::int64_t kRun = 32;  // pixels

/// Calls line(line of the image, line of the blocks) for all of them.
template <class Line>
inline void alongLines(std::int64_t pixels, std::int64_t c, std::int64_t step, std::int64_t blockStride, Line line) {
    const std::int64_t blocks = c / kBlock;
    for (std::int64_t from = 0; from < pixels; from += kRun) {
        const std::int64_t to = from + kRun < pixels ? from + kRun : pixels;
        for (std::int64_t first = 0; first < blocks; first += kStreams) {
            const std::int64_t last = first + kStreams < blocks ? first + kStreams : blocks;
            for (std::int64_t p = from; p < to; ++p)
                for (std::int64_t b = first; b < last; ++b) line(p * step + b * kBlock, b * blockStride + p * kBlock);
        }
    }
}

inline void copyLine(const float* from, float* to) {
    for (std::int64_t i = 0; i < kBlock; i += kLanes) {
        Vector value;
        loadFrom(from + i, value);
        storeTo(to + i, value);
    }
}

inline void streamLine(const float* from, float* to) {
    for (std::int64_t i = 0; i < kBlock; i += kLanes) {
        Vector value;
        loadFrom(from + i, value);
        streamTo(to + i, value);
    }
}

inline void addLine(const float* from, float* to) {
    for (std::int64_t i = 0; i < kBlock; i += kLanes) {
        Vector value, sum;
        loadFrom(from + i, value);
        loadFrom(to + i, sum);
        sum += value;
        storeTo(to + i, sum);
    }
}

/// to[j * toStride + i] = from[i * fromStride + j], or its sum with what is there.
inline void turn(const float* from, std::int64_t fromStride, float* to, std::int64_t toStride, bool add, bool past) {
#if defined(__AVX512F__)
    // Masks of what the instructions on pairs of registers do: element i of the first is i, of the second 16 + i.
    constexpr Number kLow = {0, 16, 1, 17, 4, 20, 5, 21, 8, 24, 9, 25, 12, 28, 13, 29};
    constexpr Number kHigh = {2, 18, 3, 19, 6, 22, 7, 23, 10, 26, 11, 27, 14, 30, 15, 31};
    constexpr Number kLowPairs = {0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28, 29};
    constexpr Number kHighPairs = {2, 3, 18, 19, 6, 7, 22, 23, 10, 11, 26, 27, 14, 15, 30, 31};
    constexpr Number kEven = {0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19, 24, 25, 26, 27};
    constexpr Number kOdd = {4, 5, 6, 7, 12, 13, 14, 15, 20, 21, 22, 23, 28, 29, 30, 31};
    Vector a[16], b[16];
    for (int i = 0; i < 16; ++i) loadFrom(from + i * fromStride, a[i]);
    for (int i = 0; i < 16; i += 2) {
        b[i] = __builtin_shuffle(a[i], a[i + 1], kLow);
        b[i + 1] = __builtin_shuffle(a[i], a[i + 1], kHigh);
    }
    for (int i = 0; i < 16; i += 4)
        for (int k = 0; k < 2; ++k) {
            a[i + 2 * k] = __builtin_shuffle(b[i + k], b[i + 2 + k], kLowPairs);
            a[i + 2 * k + 1] = __builtin_shuffle(b[i + k], b[i + 2 + k], kHighPairs);
        }
    // a[4 g + k] has columns k, k + 4, k + 8, k + 12 of rows 4 g to 4 g + 3.
    for (int k = 0; k < 4; ++k) {
        b[k] = __builtin_shuffle(a[k], a[4 + k], kEven);
        b[4 + k] = __builtin_shuffle(a[k], a[4 + k], kOdd);
        b[8 + k] = __builtin_shuffle(a[8 + k], a[12 + k], kEven);
        b[12 + k] = __builtin_shuffle(a[8 + k], a[12 + k], kOdd);
    }
    for (int k = 0; k < 4; ++k) {
        a[k] = __builtin_shuffle(b[k], b[8 + k], kEven);
        a[8 + k] = __builtin_shuffle(b[k], b[8 + k], kOdd);
        a[4 + k] = __builtin_shuffle(b[4 + k], b[12 + k], kEven);
        a[12 + k] = __builtin_shuffle(b[4 + k], b[12 + k], kOdd);
    }
    for (int j = 0; j < 16; ++j) {
        float* const row = to + j * toStride;
        if (add) {
            Vector sum;
            loadFrom(row, sum);
            a[j] += sum;
        }
        if (past)
            streamTo(row, a[j]);
        else
            storeTo(row, a[j]);
    }
#else
    (void)past;
    for (std::int64_t j = 0; j < kBlock; ++j)
        for (std::int64_t i = 0; i < kBlock; ++i)
            to[j * toStride + i] = from[i * fromStride + j] + (add ? to[j * toStride + i] : 0.0f);
#endif
}

}  // namespace

void imageToBlocks(const float* plain, std::int64_t pixels, std::int64_t c, std::int64_t step, std::int64_t blockStride,
                   float* blocked) {
    alongLines(pixels, c, step, blockStride,
               [=](std::int64_t line, std::int64_t block) { copyLine(plain + line, blocked + block); });
}

void imageFromBlocks(const float* blocked, std::int64_t pixels, std::int64_t c, std::int64_t step,
                     std::int64_t blockStride, bool past, float* plain) {
    if (past && unaligned(plain, kLanes) == 0)
        alongLines(pixels, c, step, blockStride,
                   [=](std::int64_t line, std::int64_t block) { streamLine(blocked + block, plain + line); });
    else
        alongLines(pixels, c, step, blockStride,
                   [=](std::int64_t line, std::int64_t block) { copyLine(blocked + block, plain + line); });
    if (past) streamEnd();
}

void imageAddBlocks(const float* blocked, std::int64_t pixels, std::int64_t c, std::int64_t step, std::int64_t blockStride,
                    float* plain) {
    alongLines(pixels, c, step, blockStride,
               [=](std::int64_t line, std::int64_t block) { addLine(blocked + block, plain + line); });
}

void weightsToBlocks(const float* plain, std::int64_t taps, std::int64_t inputs, std::int64_t step, bool past,
                     float* blocked) {
    for (std::int64_t t = 0; t < taps; ++t)
        for (std::int64_t b = 0; b < inputs / kBlock; ++b)
            turn(plain + t * step + b * kBlock, taps * step, blocked + (b * taps + t) * kBlock * kBlock, kBlock,
                 false, past);
    if (past) streamEnd();
}

void weightsFromBlocks(const float* blocked, std::int64_t taps, std::int64_t inputs, std::int64_t step, bool add,
                       float* plain) {
    for (std::int64_t t = 0; t < taps; ++t)
        for (std::int64_t b = 0; b < inputs / kBlock; ++b)
            turn(blocked + (b * taps + t) * kBlock * kBlock, kBlock, plain + t * step + b * kBlock, taps * step,
                 add, false);
}

}  // namespace pewter::cpu::PEWTER_ISA
