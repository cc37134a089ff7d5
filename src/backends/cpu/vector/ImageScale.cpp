#include "backends/cpu/vector/ImageScale.h"

#include "backends/cpu/vector/CopyOut.h"
#include "backends/cpu/vector/ResampleRows.h"
#include "backends/cpu/vector/TurnedSquare.h"

// Rows of the result are made several at a time: source rows are summed into as many lines, which are then
// resampled along x together, each weight loaded once for all of them. Pixels of many channels are registers
// of channels. Few channels are turned, so that a register holds one element of every line.

namespace pewter::cpu::PEWTER_ISA {
namespace {

/// Lines of many channels that are resampled together.
constexpr std::int64_t kLines = 4;
/// Elements of lines of few channels that are turned at a time.
constexpr std::int64_t kTurnedStrip = 256;

std::int64_t smaller(std::int64_t a, std::int64_t b) { return a < b ? a : b; }
std::int64_t padded(std::int64_t count) { return (count + 15) / 16 * 16; }

/// A result row, or the line it is put together in before it leaves the caches.
struct Target {
    float* first;
    std::int64_t step;
};

/// One register of channels, or one channel, of a pixel of kLines lines. Taps is 0 for any number.
template <int Taps, class V>
PEWTER_INLINE void pixelOf(const float* from, std::int64_t lineStep, std::int64_t c, const float* weights,
                           std::int64_t number, V (&sums)[kLines]) {
    const std::int64_t taps = Taps > 0 ? Taps : number;
    for (auto& sum : sums) sum = V{};
#pragma GCC unroll 12
    for (std::int64_t t = 0; t < taps; ++t)
#pragma GCC unroll 4
        for (int r = 0; r < kLines; ++r) {
            V value;
            loadFrom(from + r * lineStep + t * c, value);
            sums[r] += weights[t] * value;
        }
}

/// kLines lines along x, of which the first `rows` are results.
template <int Taps>
void pixelsOf(const ScalePlan& p, const float* lines, std::int64_t lineStep, std::int64_t rows, bool streaming,
              Target to, Soon& soon) {
    const std::int64_t c = p.c, taps = Taps > 0 ? Taps : p.taps;
    for (std::int64_t x = 0; x < p.outW; ++x, to.first += c) {
        const float *from = lines + p.first[x] * c, *weights = p.weights + x * taps;
        soon.step();
        std::int64_t k = 0;
        for (; k + kLanes <= c; k += kLanes) {
            Vector sums[kLines];
            pixelOf<Taps>(from + k, lineStep, c, weights, taps, sums);
#pragma GCC unroll 4
            for (int r = 0; r < kLines; ++r) {
                if (r >= rows) break;
                if (streaming)
                    streamTo(to.first + r * to.step + k, sums[r]);
                else
                    storeTo(to.first + r * to.step + k, sums[r]);
            }
        }
        for (; k < c; ++k) {
            float sums[kLines];
            pixelOf<Taps>(from + k, lineStep, c, weights, taps, sums);
            for (std::int64_t r = 0; r < rows; ++r) to.first[r * to.step + k] = sums[r];
        }
    }
}

void pixels(const ScalePlan& p, const float* lines, std::int64_t lineStep, std::int64_t rows, bool streaming,
            Target to, Soon& soon) {
    switch (p.taps) {
        case 6:
            return pixelsOf<6>(p, lines, lineStep, rows, streaming, to, soon);
        case 7:
            return pixelsOf<7>(p, lines, lineStep, rows, streaming, to, soon);
        case 9:
            return pixelsOf<9>(p, lines, lineStep, rows, streaming, to, soon);
        case 10:
            return pixelsOf<10>(p, lines, lineStep, rows, streaming, to, soon);
        default:
            return pixelsOf<0>(p, lines, lineStep, rows, streaming, to, soon);
    }
}

/// Registers of turned lines: eight lines and what they read of the source fit into the first-level cache.
constexpr std::int64_t kTurned = kLanes < kScaledTogether ? kLanes : kScaledTogether;
using Turned = std::int32_t __attribute__((vector_size(kTurned * sizeof(float))));
using TurnedFloats = float __attribute__((vector_size(kTurned * sizeof(float))));

/// An element of kTurned lines: those of Channels channels of a pixel, whose taps share their weights.
template <int Channels>
PEWTER_INLINE void turnedPixel(const float* from, std::int64_t c, const float* weights, std::int64_t taps,
                               float* to) {
    TurnedFloats sums[Channels] = {};
    for (std::int64_t t = 0; t < taps; ++t, from += c * kTurned)
#pragma GCC unroll 4
        for (int k = 0; k < Channels; ++k) {
            TurnedFloats value;
            loadFrom(from + k * kTurned, value);
            sums[k] += weights[t] * value;
        }
    for (int k = 0; k < Channels; ++k) storeTo(to + k * kTurned, sums[k]);
}

/// kTurned lines of few channels, turned, of which a window slides along x while results are made and turned
/// back: squares of kTurned elements of as many rows. What it works on stays in the first-level cache.
class TurnedLines {
public:
    static constexpr std::int64_t kStripStep = kTurnedStrip + 16;

    TurnedLines(const ScalePlan& plan, float* window) : p_(plan), window_(window) {}

    /// Before a group of `rows` rows.
    void start(std::int64_t rows, Target to) { rows_ = rows, to_ = to, origin_ = end_ = x_ = filled_ = 0; }
    float* strip() { return strip_; }
    /// `count` elements more are in the strip; makes what can be made of them.
    void add(std::int64_t count, bool streaming, Soon& soon) {
        for (std::int64_t i = 0; i < count; i += kTurned)
            turnSquare<Turned>(strip_ + i, kStripStep, window_ + (end_ - origin_ + i) * kTurned, kTurned);
        end_ += count;
        const std::int64_t c = p_.c;
        for (; x_ < p_.outW && (p_.wholeWindow ? end_ == p_.w * c : (p_.first[x_] + p_.taps) * c <= end_); ++x_) {
            pixel(window_ + (p_.first[x_] * c - origin_) * kTurned, p_.weights + x_ * p_.taps);
            for (filled_ += c; filled_ >= kLanes; filled_ -= kLanes) {
                leave(kLanes, streaming);
                soon.step();
                std::memmove(square_, square_ + kLanes * kTurned,
                             static_cast<std::size_t>((filled_ - kLanes) * kTurned) * sizeof(float));
            }
        }
        if (x_ == p_.outW) {
            if (filled_ > 0) leave(filled_, streaming);
            filled_ = 0;
        } else if (!p_.wholeWindow) {
            const std::int64_t keep = p_.first[x_] * c < end_ ? p_.first[x_] * c : end_;
            std::memmove(window_, window_ + (keep - origin_) * kTurned,
                         static_cast<std::size_t>((end_ - keep) * kTurned) * sizeof(float));
            origin_ = keep;
        }
    }

private:
    PEWTER_INLINE void pixel(const float* from, const float* weights) {
        const std::int64_t c = p_.c, taps = p_.taps;
        float* const into = square_ + filled_ * kTurned;
        std::int64_t k = 0;
        for (; k + 4 <= c; k += 4) turnedPixel<4>(from + k * kTurned, c, weights, taps, into + k * kTurned);
        if (c - k == 1) turnedPixel<1>(from + k * kTurned, c, weights, taps, into + k * kTurned);
        if (c - k == 2) turnedPixel<2>(from + k * kTurned, c, weights, taps, into + k * kTurned);
        if (c - k == 3) turnedPixel<3>(from + k * kTurned, c, weights, taps, into + k * kTurned);
    }
    void leave(std::int64_t count, bool streaming) {
        alignas(64) float back[kTurned * kLanes];
        for (std::int64_t i = 0; i < kLanes; i += kTurned)
            turnSquare<Turned>(square_ + i * kTurned, kTurned, back + i, kLanes);
        for (std::int64_t r = 0; r < rows_; ++r) {
            float* const row = to_.first + r * to_.step;
            if (count < kLanes) {
                std::memcpy(row, back + r * kLanes, static_cast<std::size_t>(count) * sizeof(float));
                continue;
            }
            Vector value;
            loadFrom(back + r * kLanes, value);
            if (streaming)
                streamTo(row, value);
            else
                storeTo(row, value);
        }
        to_.first += kLanes;
    }

    const ScalePlan& p_;
    /// Elements [origin_, end_) of the lines, kTurned floats each.
    float* window_;
    std::int64_t origin_ = 0, end_ = 0;
    /// The next result pixel, and elements of the square that is being filled.
    std::int64_t x_ = 0, filled_ = 0, rows_ = 0;
    Target to_{};
    alignas(64) float strip_[kTurned * kStripStep] = {};
    alignas(64) float square_[(kLanes + kManyChannels) * kTurned];
};

/// Elements [k, k + count) of the lines of rows [row, row + rows) of the result, `step` floats apart.
void sumStrip(const ScalePlan& p, std::int64_t row, std::int64_t rows, std::int64_t k, std::int64_t count,
              float* lines, std::int64_t step) {
    const std::int64_t length = p.w * p.c;
    for (std::int64_t r = row; r < row + rows; ++r) {
        const std::int64_t* start = p.rows.start + r % p.outH;
        sumRows(p.src + r / p.outH * p.h * length + k, length, p.rows.output, p.rows.weight, start[0], start[1],
                lines + (r - row) * step, count);
    }
}

}  // namespace

// Strips of a few rows: what rows share of the source is still in the first-level cache.
void scaleRows(const ScalePlan& p, std::int64_t from, std::int64_t to, float* memory) {
    constexpr std::int64_t kStrip = 512;
    const bool few = p.c < kManyChannels;
    const std::int64_t length = p.w * p.c, outLength = p.outW * p.c;
    const std::int64_t together = few ? kTurned : kScaledTogether, lineStep = padded(length);
    float *const lines = memory, *const results = lines + together * lineStep;
    // Registers go past the caches one by one where each is a whole line of memory; else rows do.
    const bool whole = (few ? outLength : p.c) % kLanes == 0 && unaligned(p.dst, kLanes) == 0;
    const bool streaming = p.streaming && whole, buffered = p.streaming && !whole;
    TurnedLines turned(p, lines);

    const auto endOf = [&](std::int64_t row) {
        const std::int64_t last = p.rows.output[p.rows.start[row % p.outH + 1] - 1];
        return p.src + (row / p.outH * p.h + last + 1) * length;
    };
    Soon soon(endOf(from));
    for (std::int64_t row = from; row < to; row += together) {
        const std::int64_t rows = smaller(together, to - row);
        const float* const asked = endOf(smaller(row + 2 * together, to) - 1);
        const Target target =
            buffered ? Target{results, padded(outLength)} : Target{p.dst + row * outLength, outLength};
        if (few) {
            soon.upTo(asked, outLength / kLanes + 1);
            turned.start(rows, target);
            for (std::int64_t k = 0; k < length; k += kTurnedStrip) {
                const std::int64_t count = smaller(kTurnedStrip, length - k);
                sumStrip(p, row, rows, k, count, turned.strip(), TurnedLines::kStripStep);
                turned.add(count, streaming, soon);
            }
        } else {
            soon.upTo(asked, (rows + kLines - 1) / kLines * p.outW);
            for (std::int64_t k = 0; k < length; k += kStrip)
                sumStrip(p, row, rows, k, smaller(kStrip, length - k), lines + k, lineStep);
            for (std::int64_t r = 0; r < rows; r += kLines)
                pixels(p, lines + r * lineStep, lineStep, smaller(kLines, rows - r), streaming,
                       {target.first + r * target.step, target.step}, soon);
        }
        for (std::int64_t r = 0; buffered && r < rows; ++r)
            copyOut(results + r * target.step, outLength, true, p.dst + (row + r) * outLength);
    }
    if (p.streaming) streamEnd();
}

}  // namespace pewter::cpu::PEWTER_ISA
