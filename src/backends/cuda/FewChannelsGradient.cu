// Convolutions of few channels, gradients of weights and biases.
#include <limits>
#include <optional>

#include "backends/cuda/FewChannelsTiles.cuh"

#if defined(__CUDACC__)
#define PEWTER_UNROLL_SOME _Pragma("unroll 8")
#else
#define PEWTER_UNROLL_SOME
#endif

namespace pewter::PEWTER_CUDA_NAMESPACE {

using namespace few;

namespace {

/// Taps (place in the window, channel) of one thread of the gradient, and its sums: those, and of the errors
/// alone.
constexpr int kTaps = 9, kSums = (kTaps + 1) * kLanes;
/// Blocks that share the pixels at most: as many as run at once.
constexpr int kMostShares = 3 * kProcessors;
#if defined(__CUDACC__)
constexpr int kMostWays = kBlock;
#else
constexpr int kMostWays = 2;  // the one thread stages a tile anew for each of its parts
#endif

PEWTER_DEVICE void loadChannels(const View& t, std::int64_t offset, float (&x)[kLanes], bool vectors,
                                int count) {
    if (vectors && count > 0) {
        if (t.type == ops::Type::Float32)
            return loadFloats(reinterpret_cast<const float*>(t.data) + offset, x);
        return t.type == ops::Type::Float16 ? TypedLanes<Half>::load(t, offset, x)
                                            : TypedLanes<Brain>::load(t, offset, x);
    }
    PEWTER_UNROLL
    for (int l = 0; l < kLanes; ++l) x[l] = l < count ? loadAs(t.type, t.data, offset + l * t.strideC) : 0;
}

/// Errors of the pixels of a tile that exist, as float32, and where in the source's tile each one's window
/// begins.
PEWTER_DEVICE int stageErrors(const Few& f, const Corner& at, int first, float* to, int* places) {
    const int high = f.dst.h - at.y < f.tile.high ? f.dst.h - at.y : f.tile.high;
    const int wide = f.dst.w - at.x < f.tile.wide ? f.dst.w - at.x : f.tile.wide;
    const int step = static_cast<int>(blockDim.x), pitch = f.groups * kLanes + 4;
    for (int i = static_cast<int>(threadIdx.x); i < high * wide * f.groups; i += step) {
        const int pixel = i / f.groups, group = i - pixel * f.groups, y = pixel / wide, x = pixel - y * wide;
        const int channel = first + group * kLanes;
        float error[kLanes];
        loadChannels(f.dst, f.dst.offset(at.n, at.y + y, at.x + x, channel), error, f.vectors,
                     f.dst.c - channel);
        storeFloats(to + pixel * pitch + group * kLanes, error);
        if (group == 0)
            places[pixel] = y * static_cast<int>(f.window.strideY) * f.tile.rowFloats +
                            x * static_cast<int>(f.window.strideX) * f.src.c;
    }
    return high * wide;
}

/// Where thread `rest` of those that share a pixel is at.
struct Part {
    int group, firstTap;
};
PEWTER_DEVICE Part partOf(const Few& f, int rest) { return {rest % f.groups, rest / f.groups * kTaps}; }

/// How many threads see to one pixel.
PEWTER_HD int threadsOfPixel(const Few& f) { return f.groups * ((f.taps + kTaps - 1) / kTaps); }

/// partials[share][slice][sum of a thread][thread of a pixel]: sums over the tiles of a share, tile `share`
/// and every `shares`-th after it.
__global__ void __launch_bounds__(kBlock, 3)
    fewGradientKernel(Few f, int tiles, int shares, bool sumErrors, float* partials) {
    __shared__ Room shared;
    float* const room = shared.numbers;
    __shared__ int places[kMostPixels];
#if defined(__CUDACC__)
    float* const kept = room;  // when the tiles are done
#else
    __shared__ Room sharedToo;
    float* const kept = sharedToo.numbers;
#endif
    const int thread = static_cast<int>(threadIdx.x), threads = static_cast<int>(blockDim.x);
    const int slice = static_cast<int>(blockIdx.x) % f.slices,
              share = static_cast<int>(blockIdx.x) / f.slices;
    const int first = slice * f.groups * kLanes, pitch = f.groups * kLanes + 4;
    const int perPixel = threadsOfPixel(f), items = perPixel * f.ways;
    float* const errors = room;
    float* const tile = room + f.tile.high * f.tile.wide * pitch;
    for (int begin = 0; begin < items; begin += threads) {
        const int item = begin + thread, way = item / perPixel;
        const Part part = partOf(f, item % perPixel);
        int offset[kTaps];
        PEWTER_UNROLL
        for (int t = 0; t < kTaps; ++t) {
            const int tap = part.firstTap + t;  // beyond the last: read, and left out at the end
            offset[t] = tap < f.taps ? tap / f.rowTaps * f.tile.rowFloats + tap % f.rowTaps : 0;
        }
        float sum[kTaps][kLanes] = {}, errorSum[kLanes] = {};
        for (int index = share; index < tiles; index += shares) {
            const Corner at = cornerOf(f.tile, index);
            __syncthreads();  // the last tile is still read
            stageSource(f, at, tile);
            const int pixels = stageErrors(f, at, first, errors, places);
            __syncthreads();
            for (int k = item < items ? way : pixels; k < pixels; k += f.ways) {
                float error[kLanes];
                loadFloats(errors + k * pitch + part.group * kLanes, error);
                const float* const from = tile + places[k];
                PEWTER_UNROLL
                for (int t = 0; t < kTaps; ++t) {
                    const float x = from[offset[t]];
                    PEWTER_UNROLL
                    for (int l = 0; l < kLanes; ++l) sum[t][l] += x * error[l];
                }
                if (!sumErrors) continue;
                PEWTER_UNROLL
                for (int l = 0; l < kLanes; ++l) errorSum[l] += error[l];
            }
        }
        __syncthreads();
        if (item >= items) continue;
        PEWTER_UNROLL
        for (int l = 0; l < kLanes; ++l) {
            PEWTER_UNROLL
            for (int t = 0; t < kTaps; ++t) kept[(t * kLanes + l) * items + item] = sum[t][l];
            kept[(kTaps * kLanes + l) * items + item] = errorSum[l];
        }
    }
    __syncthreads();
    float* const to = partials + std::int64_t{1} * blockIdx.x * perPixel * kSums;
    for (int i = thread; i < perPixel * kSums; i += threads) {
        const int which = i / perPixel, rest = i - which * perPixel;
        float total = 0;
        for (int way = 0; way < f.ways; ++way) total += kept[which * items + way * perPixel + rest];
        to[i] = total;
    }
}

constexpr int kJoiners = 512, kJoined = 32;

/// Adds the shares' sums: kJoined neighbours a block, whose threads take every so manieth share each.
__global__ void __launch_bounds__(kJoiners)
    fewJoinKernel(Few f, const float* partials, int shares, View diffWeights, Run diffBias, bool accumulate) {
    __shared__ float sums[kJoiners];
    const int thread = static_cast<int>(threadIdx.x), threads = static_cast<int>(blockDim.x);
    const int wide = threads < kJoined ? threads : kJoined, deep = threads / wide, depth = thread / wide;
    const int perPixel = threadsOfPixel(f), perSlice = perPixel * kSums, columns = f.slices * perSlice;
    const int begin = static_cast<int>(blockIdx.x) * kJoined;
    for (int first = begin; first < begin + kJoined; first += wide) {
        const int column = first + thread % wide;
        float sum = 0;
        if (column < columns) {
            PEWTER_UNROLL_SOME
            for (int share = depth; share < shares; share += deep)
                sum += partials[std::int64_t{1} * share * columns + column];
        }
        __syncthreads();
        sums[thread] = sum;
        __syncthreads();
        if (depth > 0 || column >= columns) continue;
        float total = 0;
        for (int d = 0; d < deep; ++d) total += sums[d * wide + thread % wide];
        const int rest = column % perSlice, which = rest / perPixel;
        const Part part = partOf(f, rest % perPixel);
        const int o = (column / perSlice * f.groups + part.group) * kLanes + which % kLanes;
        const int t = which / kLanes, tap = part.firstTap + t;
        if (o >= f.dst.c) continue;
        if (t == kTaps) {
            if (part.firstTap == 0 && !diffBias.isNull())
                storeDouble(diffBias, o, (accumulate ? loadDouble(diffBias, o) : 0) + total);
        } else if (tap < f.taps) {
            const Position p = positionOf(diffWeights, std::int64_t{1} * o * f.taps + tap);
            store(diffWeights, p, accumulate ? load(diffWeights, p) + total : total);
        }
    }
}

std::optional<Few> planOf(const ops::ConvolutionWeightsGradient& op) {
    if (op.diffWeights.isNull() || op.diffDst.type == ops::Type::Float64 ||
        !fits(op.src, op.diffWeights, op.diffDst, op.window, op.groups))
        return std::nullopt;
    std::optional<Few> best;
    double least = std::numeric_limits<double>::infinity();
    for (int groups = std::min(kMostGroups, ceiling(op.diffDst.c, kLanes)); groups > 0; --groups) {
        Few f = problemOf(op.src, op.diffDst, op.window);
        setGroups(f, groups);
        if (f.groups != groups || threadsOfPixel(f) > kBlock) continue;
        f.ways = std::min(kBlock / threadsOfPixel(f), kMostWays);
        const Bounds bounds{kMostPixels, kRoom, groups * kLanes + 4, 500,
                            kBlock / 32.0 * 20 / (kBlock / threadsOfPixel(f)) + 2.0 * groups};
        const double time = cutTiles(f, bounds);
        if (time >= least) continue;
        least = time;
        best = f;
    }
    return best;
}

}  // namespace

bool areFewChannels(const ops::ConvolutionWeightsGradient& op) { return planOf(op).has_value(); }

bool fewChannelsWeightsGradient(CudaStream& stream, const ops::ConvolutionWeightsGradient& op) {
    const auto plan = planOf(op);
    if (!plan) return false;
    const Few& f = *plan;
    const int tiles = f.dst.n * f.tile.down * f.tile.across, most = std::max(1, kMostShares / f.slices);
    const int shares = ceiling(tiles, ceiling(tiles, most));  // equal ones
    const int columns = f.slices * threadsOfPixel(f) * kSums;
    auto* partials = static_cast<float*>(
        resolve(stream.scratch(static_cast<std::size_t>(shares) * columns * sizeof(float))));
    launch(stream, fewGradientKernel, std::int64_t{1} * shares * f.slices, kBlock, f, tiles, shares,
           !op.diffBias.isNull(), partials);
    launch(stream, fewJoinKernel, ceiling(columns, kJoined), kJoiners, f, partials, shares,
           viewOf(op.diffWeights), runOf(op.diffBias), op.accumulate);
    return true;
}

}  // namespace pewter::PEWTER_CUDA_NAMESPACE
