#pragma once

#include "backends/cuda/Pixels.cuh"

// Walks over pixels where a thread keeps to its channels: sums over pixels, and results that need factors a channel. A
// segment is what has sums or factors of its own (one image, or all of them). Blocks take a part of a segment's pixels
// and a tile of its channels.

#if defined(__CUDACC__)
#define PEWTER_UNROLL_4 _Pragma("unroll 4")
#define PEWTER_UNROLL_ALL _Pragma("unroll")
#else
#define PEWTER_UNROLL_4
#define PEWTER_UNROLL_ALL
#endif

namespace pewter::PEWTER_CUDA_NAMESPACE {

/// Whether a thread has one slot of its block at most: never on the emulated device, whose blocks have one thread.
#if defined(__CUDACC__)
inline constexpr bool kHasOneSlot = true;
#else
inline constexpr bool kHasOneSlot = false;
#endif

/// How pixels and vectors of channels are shared out; depends on extents alone, as the order of sums does.
struct Columns {
    std::int64_t segments, pixels, parts, size, longer;  ///< the first `longer` parts have size + 1 pixels
    int vectors, width, tiles;

    /// At most `blockCount` blocks, all of them at work at once; fewer where threads would have less than 4 pixels, but
    /// not so few that processors stand idle.
    Columns(std::int64_t segmentCount, std::int64_t pixelCount, std::int64_t vectorCount, int widest,
            std::int64_t blockCount)
        : segments(segmentCount),
          pixels(pixelCount),
          vectors(static_cast<int>(vectorCount)),
          width(1),
          tiles(std::max(1, (vectors + widest - 1) / widest)) {
        width = std::max(1, (vectors + tiles - 1) / tiles);
        const std::int64_t side = std::max<std::int64_t>(1, segments * tiles), rows = kThreads / width;
        const std::int64_t least = std::max<std::int64_t>(1, std::min(pixels / rows, 132 / side));
        parts = std::max(least, std::min(pixels / (rows * 4), blockCount / side));
        size = pixels / parts;
        longer = pixels % parts;
    }
    std::int64_t blocks() const { return vectors > 0 ? segments * parts * tiles : 0; }
    PEWTER_HD std::int64_t partStart(std::int64_t part) const { return part * size + (part < longer ? part : longer); }
    PEWTER_HD int partSize(std::int64_t part) const { return static_cast<int>(size) + (part < longer ? 1 : 0); }
};

/// What a block has to do.
struct ColumnBlock {
    std::int64_t segment, part, from, to;
    int vector, count, rows;

    PEWTER_DEVICE explicit ColumnBlock(const Columns& columns) {
        const auto tiles = static_cast<unsigned>(columns.tiles), parts = static_cast<unsigned>(columns.parts);
        const unsigned tile = blockIdx.x % tiles, rest = blockIdx.x / tiles;
        part = rest % parts;
        segment = rest / parts;
        from = segment * columns.pixels + columns.partStart(part);
        to = segment * columns.pixels + columns.partStart(part + 1);
        vector = static_cast<int>(tile) * columns.width;
        count = columns.vectors - vector < columns.width ? columns.vectors - vector : columns.width;
        rows = static_cast<int>(blockDim.x) / columns.width;
        if (rows == 0) rows = 1;
    }
};

/// The factors of a tile's channels, made once a block.
template <class Each, int kWidest>
struct SharedFactors {
    static constexpr int kFactors = Each::kFactors, kChannels = kWidest * Each::kLanes;
    float value[kFactors > 0 ? kFactors : 1][kChannels];

    PEWTER_DEVICE void make(const Each& each, const ColumnBlock& block) {
        if constexpr (kFactors > 0) {
            const int channels = block.count * Each::kLanes, first = block.vector * Each::kLanes;
            for (int i = static_cast<int>(threadIdx.x); i < channels; i += static_cast<int>(blockDim.x)) {
                float factors[kFactors];
                each.factors(block.segment, first + i, factors);
                for (int k = 0; k < kFactors; ++k) value[k][i] = factors[k];
            }
            __syncthreads();
        }
    }
};
template <class Each>
struct OwnFactors {
    static constexpr int kFactors = Each::kFactors;
    float value[kFactors > 0 ? kFactors : 1][Each::kLanes];

    template <int kWidest>
    PEWTER_DEVICE OwnFactors(const SharedFactors<Each, kWidest>& all, int column) {
        for (int k = 0; k < kFactors; ++k)
            for (int l = 0; l < Each::kLanes; ++l) value[k][l] = all.value[k][column * Each::kLanes + l];
    }
};

/// A slot's pixels, every rows-th one of its block's, several read at a time: the first of them already here.
template <class Each>
class Walk {
public:
    PEWTER_DEVICE Walk(const Each& each, const ColumnBlock& block, int width, int slot)
        : column(slot % width), row(slot / width), vector_(block.vector + column), rows_(block.rows),
          pixel_(block.from + row), to_(column < block.count && row < block.rows ? block.to : pixel_) {
        read(each);
    }

    /// visit(pixel, samples, count, vector), the pixels `rows` apart. One loop for whole and other counts: what short kernels
    /// wait for most is their own code.
    template <class Visit>
    PEWTER_DEVICE void run(const Each& each, const Visit& visit) {
        while (pixel_ < to_) {
            int count = 0;
            PEWTER_UNROLL_ALL
            for (int u = 0; u < kUnroll; ++u)
                if (pixel_ + u * rows_ < to_) ++count;
            visit(pixel_, sample_, count, vector_);
            pixel_ += kUnroll * rows_;
            if (pixel_ < to_) read(each);
        }
    }

    int column, row;

private:
    static constexpr int kUnroll = Each::kUnroll;

    PEWTER_DEVICE void read(const Each& each) {
        PEWTER_UNROLL_ALL
        for (int u = 0; u < kUnroll; ++u)
            if (pixel_ + u * rows_ < to_) sample_[u] = each.load(pixel_ + u * rows_, vector_);
    }

    int vector_, rows_;
    std::int64_t pixel_, to_;
    typename Each::Sample sample_[kUnroll] = {};
};

/// Adds up the rows of every warp, `width` threads wide (a divisor of 32), for all of its threads.
template <class T, int N>
PEWTER_DEVICE void addRowsOfWarp(T (&value)[N], int width) {
#if defined(__CUDACC__)
    for (int offset = 16; offset >= width; offset /= 2)
        PEWTER_UNROLL_ALL
        for (int k = 0; k < N; ++k) value[k] += __shfl_xor_sync(0xffffffffu, value[k], offset);
#else
    static_cast<void>(value), static_cast<void>(width);
#endif
}

// --- results ---

inline constexpr int kApplyWidth = 32;

template <class Each>
struct ApplyVisit {
    const Each& each;
    const OwnFactors<Each>& own;
    int rows;

    PEWTER_DEVICE void operator()(std::int64_t pixel, const typename Each::Sample* sample, int count, int vector) const {
        PEWTER_UNROLL_ALL
        for (int u = 0; u < Each::kUnroll; ++u)
            if (u < count) each.apply(pixel + u * rows, vector, sample[u], own.value);
    }
};

template <class Each>
__global__ void __launch_bounds__(kThreads, 2) applyColumnsKernel(Columns columns, Each each) {
    __shared__ SharedFactors<Each, kApplyWidth> shared;
    const ColumnBlock block(columns);
    int slot = static_cast<int>(threadIdx.x);
    Walk<Each> walk(each, block, columns.width, slot);
    shared.make(each, block);
    for (;;) {
        if (walk.column < block.count) {
            const OwnFactors<Each> own(shared, walk.column);
            walk.run(each, ApplyVisit<Each>{each, own, block.rows});
        }
        slot += static_cast<int>(blockDim.x);
        if (kHasOneSlot || slot >= block.rows * columns.width) return;
        walk = Walk<Each>(each, block, columns.width, slot);
    }
}

/// each.apply(pixel, vector, each.load(pixel, vector), factors) for all pixels and vectors of channels.
template <class Each>
void applyColumns(CudaStream& stream, std::int64_t segments, std::int64_t pixels, std::int64_t channels, const Each& each) {
    const Columns columns(segments, pixels, channels / Each::kLanes, kApplyWidth, 132 * 2);
    launch(stream, applyColumnsKernel<Each>, columns.blocks(), kThreads, columns, each);
}

// --- sums ---

inline constexpr int kSumWidth = 16;

/// The two sums that a slot takes of each of its channels and, where kSums is 3, what was taken off its values before.
template <int kLanes>
struct ColumnSums {
    float sum[2 * kLanes], shift[kLanes];
};

template <class Each>
struct SumVisit {
    const Each& each;
    const OwnFactors<Each>& own;
    ColumnSums<Each::kLanes>& sums;
    int rows;

    /// What also writes its pixels is told which they are.
    PEWTER_DEVICE void operator()(std::int64_t pixel, const typename Each::Sample* sample, int count, int vector) const {
        if constexpr (requires { each.add(sums, vector, sample, count, own.value, pixel, rows); })
            each.add(sums, vector, sample, count, own.value, pixel, rows);
        else
            each.add(sums, vector, sample, count, own.value);
    }
};

/// The sums of a channel over a part of a segment go to parts[segment][part][kSums][channel].
template <class Each>
__global__ void __launch_bounds__(kThreads, 2) sumColumnsKernel(Columns columns, Each each, float* parts) {
    constexpr int kLanes = Each::kLanes, kValues = 2 * kLanes, kShifts = Each::kSums - 2;
    __shared__ SharedFactors<Each, kSumWidth> factors;
    __shared__ float storage[kThreads * kValues];
    const ColumnBlock block(columns);
    const int width = columns.width, thread = static_cast<int>(threadIdx.x), threads = static_cast<int>(blockDim.x);
    const std::int64_t channels = std::int64_t{1} * columns.vectors * kLanes;
    float* const first =
        parts + (block.segment * columns.parts + block.part) * Each::kSums * channels + block.vector * kLanes;
    int slot = thread;
    Walk<Each> walk(each, block, width, slot);
    factors.make(each, block);
    ColumnSums<kLanes> sums;
    for (;;) {
        sums = {};
        if (walk.column < block.count) {
            const OwnFactors<Each> own(factors, walk.column);
            each.start(sums, block.from, block.to, block.vector + walk.column);
            walk.run(each, SumVisit<Each>{each, own, sums, block.rows});
            float* const to = first + walk.column * kLanes;
            for (int l = 0; l < kLanes && kShifts > 0 && walk.row == 0; ++l) to[l] = sums.shift[l];
            for (int k = 0; k < kValues && block.rows == 1; ++k)
                to[(kShifts + k / kLanes) * channels + k % kLanes] = sums.sum[k];
        }
        slot += threads;
        if (kHasOneSlot || slot >= block.rows * width) break;
        walk = Walk<Each>(each, block, width, slot);
    }
    if (block.rows == 1) return;
    // The rows of a warp are added first if they are whole, then those that are left, in shared memory.
    const bool hasWholeRows = 32 % width == 0;
    if (hasWholeRows) addRowsOfWarp(sums.sum, width);
    const int group = hasWholeRows ? thread / 32 : walk.row, groups = hasWholeRows ? threads / 32 : block.rows;
    if (group < groups && (!hasWholeRows || thread % 32 < width)) {
        PEWTER_UNROLL_ALL
        for (int k = 0; k < kValues; ++k) storage[(group * kValues + k) * width + walk.column] = sums.sum[k];
    }
    __syncthreads();
    for (int i = thread; i < width * kValues; i += threads) {
        const int lane = i % kLanes, column = i / kLanes % width, which = i / kLanes / width;
        if (column >= block.count) continue;
        float sum = 0;
        PEWTER_UNROLL_4
        for (int g = 0; g < groups; ++g) sum += storage[(g * kValues + which * kLanes + lane) * width + column];
        first[(kShifts + which) * channels + column * kLanes + lane] = sum;
    }
}

inline constexpr int kFinishColumns = 8, kFinishThreads = 512;

/// The sums of a channel over all parts. Three a part are a shift and sums of differences to it and of their squares: then
/// finish(segment, channel, loaded, mean, sum of squared deviations); else finish(segment, channel, loaded, a, b) with the
/// two sums. `loaded`: what finish.load(segment, channel) gave before.
template <int kSums, class Finish>
__global__ void __launch_bounds__(kFinishThreads)
    finishColumnsKernel(Columns columns, int channels, const float* parts, Finish finish) {
    __shared__ double storage[2 * kFinishThreads / 32 * kFinishColumns];
    const int threads = static_cast<int>(blockDim.x), width = threads < kFinishColumns ? threads : kFinishColumns;
    const int thread = static_cast<int>(threadIdx.x), column = thread % width, row = thread / width, rows = threads / width;
    const auto all = static_cast<unsigned>(columns.segments * channels);
    for (unsigned start = blockIdx.x * width; start < all; start += gridDim.x * width) {
        const unsigned i = start + column, channel = i % channels;
        const std::int64_t segment = i / channels, stride = std::int64_t{1} * kSums * channels;
        const float* const own = parts + segment * columns.parts * stride + channel;
        const int mine = i < all ? static_cast<int>(columns.parts) : 0;
        typename Finish::Loaded loaded{};
        float shift = 0;
        if (mine > 0 && row == 0) loaded = finish.load(segment, static_cast<int>(channel));
        if (mine > 0 && kSums == 3) shift = own[0];
        double sum[2] = {};
        PEWTER_UNROLL_4
        for (int part = row; part < mine; part += rows) {
            const float* const values = own + part * stride;
            const float x = values[0], y = values[channels], z = kSums == 3 ? values[2 * channels] : 0;
            if constexpr (kSums == 3) {
                // To the first part's shift: a pixel's value, which is no further from the mean than float64 allows.
                const double distance = static_cast<double>(x) - shift, moved = distance * columns.partSize(part);
                sum[0] += y + moved;
                sum[1] += z + distance * (2.0 * y + moved);
            } else {
                sum[0] += x;
                sum[1] += y;
            }
        }
        if (rows > 1) {
            addRowsOfWarp(sum, width);
            __syncthreads();
            if (thread % 32 < width) {
                storage[thread / 32 * 2 * width + column] = sum[0];
                storage[(thread / 32 * 2 + 1) * width + column] = sum[1];
            }
            __syncthreads();
            if (row > 0) continue;
            PEWTER_UNROLL_4
            for (int warp = 1; warp < threads / 32; ++warp) {
                sum[0] += storage[warp * 2 * width + column];
                sum[1] += storage[(warp * 2 + 1) * width + column];
            }
        }
        if (mine == 0) continue;
        if constexpr (kSums == 3) {
            const double distance = sum[0] / static_cast<double>(columns.pixels);
            sum[1] -= sum[0] * distance;
            if (sum[1] < 0) sum[1] = 0;
            sum[0] = shift + distance;
        }
        finish(segment, static_cast<int>(channel), loaded, sum[0], sum[1]);
    }
}

inline Columns sumColumnsOf(std::int64_t segments, std::int64_t pixels, std::int64_t vectors) {
    return {segments, pixels, vectors, kSumWidth, 132 * 2};
}

/// Floats that sumColumns() needs, whatever the lanes.
inline std::int64_t sumFloats(std::int64_t segments, std::int64_t pixels, std::int64_t channels) {
    std::int64_t parts = 1;
    for (const int lanes : {1, 4, 8}) parts = std::max(parts, sumColumnsOf(segments, pixels, channels / lanes).parts);
    return segments * parts * 3 * channels;
}

/// The sums that `each` takes over the pixels of every segment and channel, in float32 within a part and float64 over
/// the parts; finish as in finishColumnsKernel.
template <class Each, class Finish>
void sumColumns(CudaStream& stream, std::int64_t segments, std::int64_t pixels, std::int64_t channels, const Each& each,
                float* parts, const Finish& finish) {
    const Columns columns = sumColumnsOf(segments, pixels, channels / Each::kLanes);
    launch(stream, sumColumnsKernel<Each>, columns.blocks(), kThreads, columns, each, parts);
    int rows = 4;
    while (rows < columns.parts && rows * kFinishColumns < kFinishThreads) rows *= 2;
    launch(stream, finishColumnsKernel<Each::kSums, Finish>, (segments * channels + kFinishColumns - 1) / kFinishColumns,
           rows * kFinishColumns, columns, static_cast<int>(channels), parts, finish);
}

}  // namespace pewter::PEWTER_CUDA_NAMESPACE
