#pragma once

#include "backends/cuda/Pixels.cuh"

// Walks over pixels where a thread keeps to its channels: sums over pixels, and results that need factors a channel. A
// segment is what has sums or factors of its own (one image, or all of them). Blocks take a part of a segment's pixels
// and a tile of its channels.

#if defined(__CUDACC__)
#define PEWTER_UNROLL_4 _Pragma("unroll 4")
#else
#define PEWTER_UNROLL_4
#endif

namespace pewter::PEWTER_CUDA_NAMESPACE {

/// How pixels and vectors of channels are shared out; depends on extents alone, as the order of sums does.
struct Columns {
    std::int64_t segments, pixels, parts;
    int vectors, width, tiles;

    Columns(std::int64_t segmentCount, std::int64_t pixelCount, std::int64_t vectorCount, int widest,
            std::int64_t blockCount)
        : segments(segmentCount),
          pixels(pixelCount),
          vectors(static_cast<int>(vectorCount)),
          width(1),
          tiles(std::max(1, (vectors + widest - 1) / widest)) {
        width = std::max(1, (vectors + tiles - 1) / tiles);
        const std::int64_t most = std::max<std::int64_t>(1, blockCount / std::max<std::int64_t>(1, segments * tiles));
        parts = std::clamp<std::int64_t>(pixels / (kThreads / width * 4), 1, most);
    }
    std::int64_t blocks() const { return vectors > 0 ? segments * parts * tiles : 0; }
    PEWTER_HD std::int64_t partStart(std::int64_t part) const { return pixels * part / parts; }
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

/// visit(pixel, samples of pixel, pixel + rows, ...) for every rows-th pixel from `pixel` on, with several reads under way.
template <class Each, class Visit>
PEWTER_DEVICE void forSamples(const Each& each, std::int64_t pixel, std::int64_t to, int rows, int vector, Visit visit) {
    constexpr int kUnroll = Each::kUnroll;
    typename Each::Sample sample[kUnroll];
    for (; pixel + (kUnroll - 1) * rows < to; pixel += kUnroll * rows) {
        for (int u = 0; u < kUnroll; ++u) sample[u] = each.load(pixel + u * rows, vector);
        visit.template operator()<kUnroll>(pixel, sample);
    }
    if constexpr (kUnroll > 2) {
        if (pixel + rows < to) {
            sample[0] = each.load(pixel, vector);
            sample[1] = each.load(pixel + rows, vector);
            visit.template operator()<2>(pixel, sample);
            pixel += 2 * rows;
        }
    }
    for (; pixel < to; pixel += rows) {
        sample[0] = each.load(pixel, vector);
        visit.template operator()<1>(pixel, sample);
    }
}

// --- results ---

inline constexpr int kApplyWidth = 64;

template <class Each>
struct ApplyVisit {
    const Each& each;
    const OwnFactors<Each>& own;
    int rows, vector;

    template <int kCount>
    PEWTER_DEVICE void operator()(std::int64_t pixel, const typename Each::Sample* sample) const {
        for (int u = 0; u < kCount; ++u) each.apply(pixel + u * rows, vector, sample[u], own.value);
    }
};

template <class Each>
__global__ void __launch_bounds__(kThreads) applyColumnsKernel(Columns columns, Each each) {
    __shared__ SharedFactors<Each, kApplyWidth> shared;
    const ColumnBlock block(columns);
    shared.make(each, block);
    const int slots = block.rows * columns.width;
    for (int slot = static_cast<int>(threadIdx.x); slot < slots; slot += static_cast<int>(blockDim.x)) {
        const int column = slot % columns.width, row = slot / columns.width, vector = block.vector + column;
        if (column >= block.count) continue;
        const OwnFactors<Each> own(shared, column);
        forSamples(each, block.from + row, block.to, block.rows, vector, ApplyVisit<Each>{each, own, block.rows, vector});
    }
}

/// each.apply(pixel, vector, each.load(pixel, vector), factors) for all pixels and vectors of channels.
template <class Each>
void applyColumns(CudaStream& stream, std::int64_t segments, std::int64_t pixels, std::int64_t channels, const Each& each) {
    const Columns columns(segments, pixels, channels / Each::kLanes, kApplyWidth, 132 * 8);
    launch(stream, applyColumnsKernel<Each>, columns.blocks(), kThreads, columns, each);
}

// --- sums ---

inline constexpr int kSumWidth = 16;

template <class Each>
struct SumVisit {
    const Each& each;
    const OwnFactors<Each>& own;
    typename Each::Sums& sums;
    int vector;

    template <int kCount>
    PEWTER_DEVICE void operator()(std::int64_t, const typename Each::Sample* sample) const {
        each.template add<kCount>(sums, vector, sample, own.value);
    }
};

/// The sums of a channel over a part of a segment go to parts[segment][part][kSums][channel].
template <class Each>
__global__ void __launch_bounds__(kThreads) sumColumnsKernel(Columns columns, Each each, float* parts) {
    using Sums = typename Each::Sums;
    constexpr int kLanes = Each::kLanes;
    __shared__ SharedFactors<Each, kSumWidth> factors;
    alignas(16) __shared__ char storage[kThreads * sizeof(Sums)];
    Sums* shared = reinterpret_cast<Sums*>(storage);
    const ColumnBlock block(columns);
    factors.make(each, block);
    const int width = columns.width, slots = block.rows * width;
    const std::int64_t channels = std::int64_t{1} * columns.vectors * kLanes;
    float* const first =
        parts + (block.segment * columns.parts + block.part) * Each::kSums * channels + block.vector * kLanes;
    for (int slot = static_cast<int>(threadIdx.x); slot < slots; slot += static_cast<int>(blockDim.x)) {
        const int column = slot % width, row = slot / width;
        Sums sums{};
        if (column < block.count) {
            const OwnFactors<Each> own(factors, column);
            each.start(sums, block.from, block.to, block.vector + column);
            forSamples(each, block.from + row, block.to, block.rows, block.vector + column,
                       SumVisit<Each>{each, own, sums, block.vector + column});
        }
        if (block.rows > 1)
            shared[slot] = sums;
        else if (column < block.count)
            sums.write(first + column * kLanes, channels);
    }
    if (block.rows == 1) return;
    const int slot = static_cast<int>(threadIdx.x), column = slot % width, row = slot / width;
    for (int span = block.rows; span > 1;) {
        const int half = (span + 1) / 2;
        __syncthreads();
        if (row + half < span) shared[slot].merge(shared[slot + half * width]);
        span = half;
    }
    if (row == 0 && column < block.count) shared[slot].write(first + column * kLanes, channels);
}

inline constexpr int kFinishColumns = 8, kFinishThreads = 512;

/// The sum over a block's rows, for all their threads, in a fixed order; a thread is one of `columns` in its row.
PEWTER_DEVICE double sumOfRows(double value, int columns) {
    __shared__ double storage[kFinishThreads];
    const int slot = static_cast<int>(threadIdx.x), row = slot / columns;
    storage[slot] = value;
    for (int span = static_cast<int>(blockDim.x) / columns; span > 1;) {
        const int half = (span + 1) / 2;
        __syncthreads();
        if (row + half < span) storage[slot] += storage[slot + half * columns];
        span = half;
    }
    __syncthreads();
    const double sum = storage[slot % columns];
    __syncthreads();
    return sum;
}

/// The sums of a channel over all parts. Three a part are a shift and sums of differences to it and of their squares: then
/// finish(segment, channel, mean, sum of squared deviations); else finish(segment, channel, a, b) with the two sums.
template <int kSums, class Finish>
__global__ void __launch_bounds__(kFinishThreads)
    finishColumnsKernel(Columns columns, int channels, const float* parts, Finish finish) {
    const int threads = static_cast<int>(blockDim.x), width = threads < kFinishColumns ? threads : kFinishColumns;
    const int row = static_cast<int>(threadIdx.x) / width, rows = threads / width;
    const std::int64_t all = columns.segments * channels, step = std::int64_t{1} * gridDim.x * width;
    for (std::int64_t start = std::int64_t{1} * blockIdx.x * width; start < all; start += step) {
        const std::int64_t i = start + static_cast<int>(threadIdx.x) % width;
        const std::int64_t segment = i / channels, channel = i % channels;
        const float* const own = parts + segment * columns.parts * kSums * channels + channel;
        const int mine = i < all ? static_cast<int>(columns.parts) : 0;
        const auto sizeOf = [&](int part) {
            return static_cast<double>(columns.partStart(part + 1) - columns.partStart(part));
        };
        double a = 0, b = 0;
        PEWTER_UNROLL_4
        for (int part = row; part < mine; part += rows) {
            const float* const values = own + std::int64_t{1} * kSums * part * channels;
            a += values[0] * (kSums == 3 ? sizeOf(part) : 1.0);
            (kSums == 3 ? a : b) += values[channels];
        }
        a = sumOfRows(a, width);
        if constexpr (kSums == 3) {
            a /= static_cast<double>(columns.pixels);
            PEWTER_UNROLL_4
            for (int part = row; part < mine; part += rows) {
                const float* const values = own + std::int64_t{1} * kSums * part * channels;
                const double distance = a - values[0];
                b += values[2 * channels] + distance * (distance * sizeOf(part) - 2.0 * values[channels]);
            }
        }
        b = sumOfRows(b, width);
        if (kSums == 3 && b < 0) b = 0;
        if (row == 0 && i < all) finish(segment, static_cast<int>(channel), a, b);
    }
}

inline Columns sumColumnsOf(std::int64_t segments, std::int64_t pixels, std::int64_t vectors) {
    return {segments, pixels, vectors, kSumWidth, 132 * 4};
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
