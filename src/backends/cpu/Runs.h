#pragma once

#include <algorithm>
#include <cstdint>

#include "backends/cpu/Parallel.h"
#include "backends/cpu/Staging.h"
#include "ops/Neuron.h"
#include "ops/Tensor.h"

// Element-wise families walk over runs of elements in N,H,W,C order, short enough that the operands of a run
// stay in the first-level cache. Dense float32 is used where it lies; any other type or stride is converted a
// run at a time.

namespace pewter::cpu {

/// Elements in a run.
constexpr std::int64_t kRun = 2048;
/// Parts begin at multiples of this, so that no two threads write to one cache line of a dense operand.
constexpr std::int64_t kRunAlignment = 64;

/// A view read as float32.
class Source {
public:
    Source() = default;
    explicit Source(const ops::Tensor& view);
    /// The view with every extent of 1 stretched to those of `extents`.
    static Source broadcast(ops::Tensor view, const ops::Tensor& extents);

    bool isNull() const { return view_.isNull(); }
    /// Elements first .. first+count-1: where they lie, or converted into buffer.
    const float* read(std::int64_t first, std::int64_t count, float* buffer) const;

private:
    friend class Sink;
    const std::byte* rowAt(std::int64_t row) const;
    /// Where float32 elements lie back to back; null where they do not.
    const float* direct(std::int64_t first, std::int64_t count) const;
    void readRow(const std::byte* row, std::int64_t first, std::int64_t count, float* buffer) const;

    ops::Tensor view_;
    std::int64_t rowLength_ = 1;
    /// Distance of neighbours of a row where it is the same for all; uniform_ says whether it is.
    std::int64_t stride_ = 1;
    bool uniform_ = true;
};

/// A view written as float32.
class Sink {
public:
    Sink() = default;
    explicit Sink(const ops::Tensor& view) : layout_(view) {}

    bool isNull() const { return layout_.isNull(); }
    /// Where the caller writes the elements: their own place, or buffer.
    float* room(std::int64_t first, std::int64_t count, float* buffer) const;
    /// Converts what was written to room() to its place, if it is not there.
    void write(std::int64_t first, std::int64_t count, const float* values) const;

private:
    Source layout_;
};

/// Elements from which on a result goes past the caches: its reader would not find it there, and memory need not be read
/// before it is written over. 8 MiB: measured with a reader after it, docs/performance.md.
constexpr std::int64_t kStreamedElements = std::int64_t{2} << 20;
inline bool isStreamed(const ops::Tensor& dst) { return isPlain(dst) && dst.count() >= kStreamedElements; }

/// fn(first, count) for runs of up to `run` elements that cover `count`, on all threads.
template <typename Fn>
void forRuns(std::int64_t count, Fn&& fn, std::int64_t run = kRun) {
    const std::int64_t units = (count + kRunAlignment - 1) / kRunAlignment;
    parallelFor(0, units, std::max<std::int64_t>(1, kElementGrain / kRunAlignment),
                [&](std::int64_t from, std::int64_t to) {
                    const std::int64_t end = std::min(to * kRunAlignment, count);
                    for (std::int64_t first = from * kRunAlignment; first < end; first += run)
                        fn(first, std::min(run, end - first));
                });
}

/// Parts to cut a sum over `count` elements into. They depend on the number of threads alone, so sums repeat.
inline std::int64_t partsOf(std::int64_t count, std::int64_t grain = kElementGrain) {
    return std::min<std::int64_t>(maxThreads(),
                                  std::max<std::int64_t>(1, count / std::max<std::int64_t>(1, grain)));
}

/// fn(part, from, to) for `parts` ranges that cover [0, count), on all threads.
template <typename Fn>
void forParts(std::int64_t parts, std::int64_t count, Fn&& fn) {
    parallelFor(0, parts, 1, [&](std::int64_t from, std::int64_t to) {
        for (std::int64_t part = from; part < to; ++part)
            fn(part, count * part / parts, count * (part + 1) / parts);
    });
}

/// Elements of a plane of an image in blocks of channels; 0 for other images.
inline std::int64_t planeOf(const ops::Tensor& t) { return t.inBlocks() ? t.h * t.w * ops::kChannelBlock : 0; }

/// An image in blocks as what it is, an image N,H,W,C of 16 channels and as many pictures as there are planes; others as they
/// are.
inline ops::Tensor planesOf(const ops::Tensor& t) {
    if (!t.inBlocks()) return t;
    return ops::Tensor::dense(t.data, t.type, t.n * t.c / ops::kChannelBlock, t.h, t.w, ops::kChannelBlock);
}

/// A value a channel, repeated so that a run that starts at any element finds its channels at of(first).
class ChannelTile {
public:
    ChannelTile() = default;
    /// Room for runs of up to `run` elements; filled by set(). plane: of an image in blocks, whose runs lie in one plane.
    ChannelTile(std::int64_t channels, Scratch::Frame& frame, std::int64_t run = kRun, std::int64_t plane = 0);

    void set(const float* values);
    /// fn(channel) is the value.
    template <typename Fn>
    void fill(Fn&& fn) {
        for (std::int64_t block = 0; block < blocks_; ++block) {
            for (std::int64_t c = 0; c < channels_; ++c) tile_[block * length_ + c] = fn(block * channels_ + c);
            repeat(tile_ + block * length_);
        }
    }
    const float* of(std::int64_t first) const {
        if (!tile_) return nullptr;
        return tile_ + (plane_ > 0 ? first / plane_ % blocks_ * length_ : 0) + first % channels_;
    }

private:
    void repeat(float* tile) const;

    float* tile_ = nullptr;
    /// A tile of `length_` values for each block of channels; for an image N,H,W,C all channels are one block.
    std::int64_t channels_ = 1, length_ = 0, blocks_ = 1, plane_ = 0;
};

/// PReLU's slopes for runs of up to `run` elements; nothing for other types.
ChannelTile slopesOf(const ops::Neuron& neuron, std::int64_t channels, Scratch::Frame& frame,
                     std::int64_t run = kRun);

/// Converts array.size float32 values into the array.
void storeArray(const float* values, const ops::Array& array);

}  // namespace pewter::cpu
