#pragma once

#include <algorithm>
#include <cstdint>

#include "backends/cpu/Runs.h"
#include "backends/cpu/vector/BatchNormalization.h"

// Sums over pixels, a channel a sum, as batch, instance and group normalisation take them: block by block, in
// float32 over few numbers and in float64 over those.

namespace pewter::cpu {

/// Elements of a block: as many as converted operands may take of the second-level cache.
constexpr std::int64_t kSumBlock = 32768;
/// Elements of a first block, which is read twice.
constexpr std::int64_t kFirstBlock = 8192;

inline double* doubles(Scratch::Frame& frame, std::int64_t count) {
    return static_cast<double*>(frame.bytes(static_cast<std::size_t>(count) * sizeof(double)));
}

/// What one worker needs to sum over pixels of c channels.
struct SumRoom {
    /// `operands` views that may have to be converted; `run`: elements that shift serves at once.
    SumRoom(std::int64_t c, std::int64_t operands, Scratch::Frame& frame, std::int64_t run = 0)
        : channels(c),
          pixels(std::max<std::int64_t>(1, kSumBlock / c)),
          shift(c, frame, std::max<std::int64_t>({c, 256, run})),
          sums(doubles(frame, 4 * c)),
          buffer(frame.floats(operands * pixels * c)),
          lanes(frame.floats(2 * std::max<std::int64_t>(c, 256))) {}

    float* operand(std::int64_t i) const { return buffer + i * pixels * channels; }

    std::int64_t channels;
    std::int64_t pixels;  ///< of a block
    /// What is subtracted before summing, a value a channel.
    ChannelTile shift;
    double* sums;
    float* buffer;
    float* lanes;
};

/// Joins the pixels [from, to) of a view to mean and squared deviations of `before` others. They are read once, with
/// differences to the mean so far. No block is longer than what came before it, so what the two sums of such a block share
/// (its distance to that mean) is at most twice what is in the result: nothing cancels.
inline void mergePixels(const Source& src, std::int64_t from, std::int64_t to, std::int64_t before, double* mean,
                        double* squares, SumRoom& room) {
    const std::int64_t c = room.channels;
    double *const blockMean = room.sums + 2 * c, *const blockSquares = blockMean + c;
    for (std::int64_t p = from; p < to;) {
        const std::int64_t count = std::min({room.pixels, before, to - p});
        room.shift.fill([&](std::int64_t k) { return static_cast<float>(mean[k]); });
        PEWTER_VECTOR(shiftedStatistics)
        (src.read(p * c, count * c, room.buffer), count, c, room.shift.of(0), blockMean, blockSquares,
         room.lanes);
        PEWTER_VECTOR(mergeStatistics)
        (blockMean, blockSquares, static_cast<double>(count), mean, squares, static_cast<double>(before), c);
        p += count;
        before += count;
    }
}

/// Mean and squared deviations of the pixels [from, to) of a view, into sums[0, c) and sums[c, 2c).
///
/// The first block is read twice, with differences to a pixel and then to its mean; constant channels give
/// exactly 0. Later ones are joined to it.
inline void channelStatistics(const Source& src, std::int64_t from, std::int64_t to, SumRoom& room) {
    const std::int64_t c = room.channels;
    double *const mean = room.sums, *const squares = mean + c;
    const std::int64_t first = std::min(to - from, std::max<std::int64_t>(1, kFirstBlock / c));
    room.shift.set(src.read(from * c, c, room.buffer));
    PEWTER_VECTOR(blockStatistics)
    (src.read(from * c, first * c, room.buffer), first, c, room.shift.of(0), mean, squares, room.lanes);
    mergePixels(src, from + first, to, first, mean, squares, room);
}

}  // namespace pewter::cpu
