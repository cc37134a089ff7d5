#include "backends/cuda/FewChannels.cuh"

#include <limits>
#include <optional>

#include "backends/cuda/Lanes.cuh"
#include "backends/cuda/TileProduct.cuh"

#if defined(__CUDACC__)
#define PEWTER_UNROLL_BY_3 _Pragma("unroll 3")
#define PEWTER_UNROLL_BY_8 _Pragma("unroll 8")
#else
#define PEWTER_UNROLL_BY_3
#define PEWTER_UNROLL_BY_8
#endif

namespace pewter::PEWTER_CUDA_NAMESPACE {

namespace {

// A block takes a tile of one image's result and some of its channels; what the tile reads of the source lies in shared
// memory as float32. A thread has kLanes channels of several pixels (forward) or of several taps (weights gradient) in
// registers, so that one read of shared memory serves many products.

constexpr int kLanes = 8, kBlock = 128, kMostGroups = 8;
constexpr int kMostChannels = 4, kMostWindow = 16;
/// Taps (place in the window, channel) of one thread of the gradient, and its sums: those, and of the errors alone.
constexpr int kTaps = 9, kSums = (kTaps + 1) * kLanes;
/// Shared memory: floats, and pixels of a gradient's tile. Together 48 KB.
constexpr int kRoom = 11776, kMostPixels = 512;
constexpr int kProcessors = 132, kMostShares = 3 * kProcessors;
#if defined(__CUDACC__)
constexpr int kMostWays = kBlock;
#else
constexpr int kMostWays = 2;  // the one thread stages a tile anew for each of its parts
#endif

struct alignas(16) Room {
    float numbers[kRoom];
};

/// The pixels of a block, and what they read: `rows` rows of `rowFloats` numbers.
struct Tile {
    int high = 0, wide = 0, rows = 0, rowFloats = 0;
    int down = 0, across = 0;  // tiles of an image
};

struct Few {
    View src, dst;  // dst, or the gradient there
    ops::Window window;
    int rowTaps, taps;  // in a row of the window, and in all of it
    int groups;         // of kLanes channels, in a block
    int slices;         // blocks that share a tile, each with its channels
    int ways;           // threads that share the pixels of a tile
    Tile tile;
    bool vectors;  // dst takes 16 bytes at a time
};

struct Corner {
    std::int64_t n;
    int y, x;
};
PEWTER_DEVICE Corner cornerOf(const Tile& tile, int index) {
    const Split s = splitBy(index, tile.down, tile.across);
    return {s.outer, s.middle * tile.high, s.inner * tile.wide};
}

struct Byte {
    std::uint8_t bits;
};
PEWTER_DEVICE float toFloat(Byte v) { return v.bits / 255.0f; }

template <class T>
PEWTER_DEVICE void stageAs(const Few& f, const Corner& at, float* to) {
    const View& src = f.src;
    const std::int64_t top = at.y * f.window.strideY - f.window.padTop, left = at.x * f.window.strideX - f.window.padLeft;
    const int count = f.tile.rows * f.tile.rowFloats, step = static_cast<int>(blockDim.x);
    for (int i = static_cast<int>(threadIdx.x); i < count; i += step) {
        const Split s = splitBy(i, f.tile.rowFloats / src.c, src.c);
        const int v = edgeIndex(top + s.outer, src.h, f.window.edge), u = edgeIndex(left + s.middle, src.w, f.window.edge);
        to[i] = v < 0 || u < 0 ? 0 : readAs<T>(src.data, src.type, src.offset(at.n, v, u, s.inner));
    }
}

/// What a tile reads of the source, as float32.
PEWTER_DEVICE void stageSource(const Few& f, const Corner& at, float* to) {
    switch (f.src.type) {
        case ops::Type::Float32: return stageAs<float>(f, at, to);
        case ops::Type::Float16: return stageAs<Half>(f, at, to);
        case ops::Type::BFloat16: return stageAs<Brain>(f, at, to);
        case ops::Type::Unorm8: return stageAs<Byte>(f, at, to);
        default: return stageAs<Any>(f, at, to);
    }
}

// --- forward ---

/// `count` of the channels there are; all of them where `vectors`.
PEWTER_DEVICE void storeChannels(const View& t, std::int64_t offset, const float (&x)[kLanes], bool vectors, int count) {
    if (t.type == ops::Type::Float32) {
        auto* to = reinterpret_cast<float*>(t.data) + offset;
        if (vectors) return storeFloats(to, x);
        PEWTER_UNROLL
        for (int l = 0; l < kLanes; ++l)
            if (l < count) to[l * t.strideC] = x[l];
        return;
    }
    const bool isHalf = t.type == ops::Type::Float16;
    if (vectors) return isHalf ? TypedLanes<Half>::store(t, offset, x) : TypedLanes<Brain>::store(t, offset, x);
    auto* to = reinterpret_cast<std::uint16_t*>(t.data) + offset;
    PEWTER_UNROLL
    for (int l = 0; l < kLanes; ++l)
        if (l < count) to[l * t.strideC] = isHalf ? floatToHalf(x[l]) : floatToBrain(x[l]);
}

/// A thread's pixels lie `ways` apart: neighbouring threads read and write neighbouring ones.
template <int kPixels>
__global__ void __launch_bounds__(kBlock, 4) fewForwardKernel(Few f, View weights, Run bias, ops::Neuron neuron) {
    __shared__ Room shared;
    float* const room = shared.numbers;
    const int thread = static_cast<int>(threadIdx.x), threads = static_cast<int>(blockDim.x);
    const int lanes = f.groups * kLanes, pitch = lanes + 4, block = static_cast<int>(blockIdx.x);
    const int first = block % f.slices * lanes;
    const Corner at = cornerOf(f.tile, block / f.slices);
    float* const tile = room + f.taps * pitch;
    for (int i = thread; i < lanes * f.taps; i += threads) {
        const int o = i / f.taps, tap = i - o * f.taps;
        room[tap * pitch + o] =
            first + o < f.dst.c ? loadAs(weights.type, weights.data, std::int64_t{1} * (first + o) * f.taps + tap) : 0;
    }
    stageSource(f, at, tile);
    __syncthreads();
    const int pixels = f.tile.high * f.tile.wide;
    const int stepY = static_cast<int>(f.window.strideY) * f.tile.rowFloats, stepX = static_cast<int>(f.window.strideX) * f.src.c;
    for (int item = thread; item < f.groups * f.ways; item += threads) {
        const int group = item % f.groups, way = item / f.groups, channel = first + group * kLanes;
        if (channel >= f.dst.c) continue;
        int from[kPixels];
        PEWTER_UNROLL
        for (int p = 0; p < kPixels; ++p) {
            const int k = way + p * f.ways;  // beyond the tile: reads what is there, and is not written
            from[p] = k < pixels ? k / f.tile.wide * stepY + k % f.tile.wide * stepX : 0;
        }
        float sum[kPixels][kLanes] = {};
        const float* filter = room + group * kLanes;
        for (int row = 0; row < f.taps / f.rowTaps; ++row) {
            const float* const line = tile + row * f.tile.rowFloats;
            PEWTER_UNROLL_BY_3
            for (int j = 0; j < f.rowTaps; ++j) {
                float weight[kLanes];
                loadFloats(filter, weight);
                filter += pitch;
                PEWTER_UNROLL
                for (int p = 0; p < kPixels; ++p) {
                    const float x = line[from[p] + j];
                    PEWTER_UNROLL
                    for (int l = 0; l < kLanes; ++l) sum[p][l] += x * weight[l];
                }
            }
        }
        float offset[kLanes], slope[kLanes];
        PEWTER_UNROLL
        for (int l = 0; l < kLanes; ++l) {
            const bool exists = channel + l < f.dst.c;
            offset[l] = exists && !bias.isNull() ? load(bias, channel + l) : 0;
            slope[l] = neuron.type == ops::NeuronType::None ? 1 : neuron.a;
            if (exists && neuron.type == ops::NeuronType::PReLU) slope[l] = neuron.slopes[channel + l];
        }
        PEWTER_UNROLL
        for (int p = 0; p < kPixels; ++p) {
            const int k = way + p * f.ways, y = at.y + k / f.tile.wide, x = at.x + k % f.tile.wide;
            if (k >= pixels || y >= f.dst.h || x >= f.dst.w) continue;
            float out[kLanes];
            PEWTER_UNROLL
            for (int l = 0; l < kLanes; ++l) {
                const float value = sum[p][l] + offset[l];
                out[l] = value >= 0 ? value : leak(slope[l], value);
            }
            storeChannels(f.dst, f.dst.offset(at.n, y, x, channel), out, f.vectors, f.dst.c - channel);
        }
    }
}

// --- weights gradient ---

PEWTER_DEVICE void loadChannels(const View& t, std::int64_t offset, float (&x)[kLanes], bool vectors, int count) {
    if (vectors && count > 0) {
        if (t.type == ops::Type::Float32) return loadFloats(reinterpret_cast<const float*>(t.data) + offset, x);
        return t.type == ops::Type::Float16 ? TypedLanes<Half>::load(t, offset, x) : TypedLanes<Brain>::load(t, offset, x);
    }
    PEWTER_UNROLL
    for (int l = 0; l < kLanes; ++l) x[l] = l < count ? loadAs(t.type, t.data, offset + l * t.strideC) : 0;
}

/// Errors of the pixels of a tile that exist, as float32, and where in the source's tile each one's window begins.
PEWTER_DEVICE int stageErrors(const Few& f, const Corner& at, int first, float* to, int* places) {
    const int high = f.dst.h - at.y < f.tile.high ? f.dst.h - at.y : f.tile.high;
    const int wide = f.dst.w - at.x < f.tile.wide ? f.dst.w - at.x : f.tile.wide;
    const int step = static_cast<int>(blockDim.x), pitch = f.groups * kLanes + 4;
    for (int i = static_cast<int>(threadIdx.x); i < high * wide * f.groups; i += step) {
        const int pixel = i / f.groups, group = i - pixel * f.groups, y = pixel / wide, x = pixel - y * wide;
        const int channel = first + group * kLanes;
        float error[kLanes];
        loadChannels(f.dst, f.dst.offset(at.n, at.y + y, at.x + x, channel), error, f.vectors, f.dst.c - channel);
        storeFloats(to + pixel * pitch + group * kLanes, error);
        if (group == 0)
            places[pixel] = y * static_cast<int>(f.window.strideY) * f.tile.rowFloats + x * static_cast<int>(f.window.strideX) * f.src.c;
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

/// partials[share][slice][sum of a thread][thread of a pixel]: sums over the tiles of a share, tile `share` and every
/// `shares`-th after it.
__global__ void __launch_bounds__(kBlock, 3) fewGradientKernel(Few f, int tiles, int shares, bool sumErrors, float* partials) {
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
    const int slice = static_cast<int>(blockIdx.x) % f.slices, share = static_cast<int>(blockIdx.x) / f.slices;
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
__global__ void __launch_bounds__(kJoiners) fewJoinKernel(Few f, const float* partials, int shares, View diffWeights, Run diffBias,
                                                          bool accumulate) {
    __shared__ float sums[kJoiners];
    const int thread = static_cast<int>(threadIdx.x), threads = static_cast<int>(blockDim.x);
    const int wide = threads < kJoined ? threads : kJoined, deep = threads / wide, depth = thread / wide;
    const int perPixel = threadsOfPixel(f), perSlice = perPixel * kSums, columns = f.slices * perSlice;
    const int begin = static_cast<int>(blockIdx.x) * kJoined;
    for (int first = begin; first < begin + kJoined; first += wide) {
        const int column = first + thread % wide;
        float sum = 0;
        if (column < columns) {
            PEWTER_UNROLL_BY_8
            for (int share = depth; share < shares; share += deep) sum += partials[std::int64_t{1} * share * columns + column];
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

// --- how a problem is cut ---

constexpr int ceiling(std::int64_t count, std::int64_t unit) { return static_cast<int>((count + unit - 1) / unit); }

/// What tiles may take, and about how many cycles of a processor: of each block, each of its pixels, and each number of
/// the source that it stages.
struct Bounds {
    int pixels, room, floatsOfPixel;
    double cyclesOfBlock, cyclesOfPixel;
    static constexpr double kCyclesOfNumber = 0.25;
};

/// Gives f the tile that takes least, and how long that is; infinite when there is none.
double cutTiles(Few& f, const Bounds& bounds) {
    double least = std::numeric_limits<double>::infinity();
    const auto reach = [](int results, std::int64_t stride, std::int64_t taps) { return (results - 1) * stride + taps; };
    for (int across = 1, wide = 0; across <= f.dst.w; ++across) {
        if (ceiling(f.dst.w, across) == wide) continue;
        wide = ceiling(f.dst.w, across);
        if (wide < 8 && across > 1 && least < std::numeric_limits<double>::infinity()) break;
        for (int high = 1; high <= f.dst.h && high * wide <= bounds.pixels; ++high) {
            if (ceiling(f.dst.h, ceiling(f.dst.h, high)) != high) continue;
            const std::int64_t rows = reach(high, f.window.strideY, f.window.height);
            const std::int64_t rowFloats = reach(wide, f.window.strideX, f.window.width) * f.src.c;
            if (rows * rowFloats + std::int64_t{1} * high * wide * bounds.floatsOfPixel > bounds.room) break;
            const Tile tile{high, wide, static_cast<int>(rows), static_cast<int>(rowFloats), ceiling(f.dst.h, high), ceiling(f.dst.w, wide)};
            const std::int64_t blocks = std::int64_t{1} * f.dst.n * tile.down * tile.across * f.slices;
            // One more than there are: a processor with one block waits for its reads.
            const double time = (1 + ceiling(blocks, kProcessors)) *
                                (bounds.cyclesOfBlock + bounds.cyclesOfPixel * high * wide +
                                 bounds.kCyclesOfNumber * static_cast<double>(rows * rowFloats));
            if (blocks > std::int64_t{1} << 30 || time >= least) continue;
            least = time;
            f.tile = tile;
        }
    }
    return least;
}

bool fits(const ops::Tensor& src, const ops::Tensor& weights, const ops::Tensor& dst, const ops::Window& window, std::int64_t groups) {
    const bool isPlain = groups == 1 && window.dilationX == 1 && window.dilationY == 1 && window.width <= kMostWindow &&
                         window.height <= kMostWindow && window.strideX <= kMostWindow && window.strideY <= kMostWindow;
    return isPlain && src.c <= kMostChannels && weights.c == src.c && weights.isDense() && src.count() > 0 && dst.count() > 0 &&
           weights.count() > 0 && src.type != ops::Type::Float64;
}

Few problemOf(const ops::Tensor& src, const ops::Tensor& dst, const ops::Window& window) {
    Few f{viewOf(src), viewOf(dst), window, static_cast<int>(window.width * src.c), 0, 1, 1, 1, {}, false};
    f.taps = f.rowTaps * static_cast<int>(window.height);
    const bool isFloating = dst.type == ops::Type::Float32 || dst.type == ops::Type::Float16 || dst.type == ops::Type::BFloat16;
    f.vectors = isFloating && hasLanes(dst) && dst.c % kLanes == 0;
    return f;
}

void setGroups(Few& f, int groups) {
    const int all = ceiling(f.dst.c, kLanes);
    f.slices = ceiling(all, groups);
    f.groups = ceiling(all, f.slices);
}

struct ForwardPlan {
    Few few;
    int pixels;  // of a thread
};
std::optional<ForwardPlan> planOf(const ops::ConvolutionForward& op) {
    const auto neuron = op.neuron.type;
    const bool isLine = neuron == ops::NeuronType::None || neuron == ops::NeuronType::ReLU || neuron == ops::NeuronType::PReLU;
    const bool isFloating = op.dst.type == ops::Type::Float32 || op.dst.type == ops::Type::Float16 || op.dst.type == ops::Type::BFloat16;
    if (!isLine || !isFloating || !fits(op.src, op.weights, op.dst, op.window, op.groups)) return std::nullopt;
    Few f = problemOf(op.src, op.dst, op.window);
    const auto weights = [&](int groups) { return f.taps * (groups * kLanes + 4); };
    int groups = std::min(kMostGroups, ceiling(f.dst.c, kLanes));
    while (groups > 1 && weights(groups) > kRoom * 4 / 5) --groups;
    setGroups(f, groups);
    f.ways = kBlock / f.groups;
    std::optional<ForwardPlan> best;
    double least = std::numeric_limits<double>::infinity();
    for (const int pixels : {4, 8}) {
        // A warp reads kLanes + pixels numbers a thread for each tap: shared memory is busy longer than the arithmetic.
        const Bounds bounds{f.ways * pixels, kRoom - weights(f.groups), 0,
                            300 + 0.25 * weights(f.groups) + kBlock / 32.0 * f.taps * (kLanes + pixels), 0};
        const double time = cutTiles(f, bounds);
        if (time >= least) continue;
        least = time;
        best = {f, pixels};
    }
    return best;
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

bool areFewChannels(const ops::ConvolutionForward& op) { return planOf(op).has_value(); }
bool areFewChannels(const ops::ConvolutionWeightsGradient& op) { return planOf(op).has_value(); }

bool fewChannelsForward(CudaStream& stream, const ops::ConvolutionForward& op) {
    const auto plan = planOf(op);
    if (!plan) return false;
    const Few& f = plan->few;
    launch(stream, plan->pixels == 4 ? fewForwardKernel<4> : fewForwardKernel<8>,
           std::int64_t{1} * f.dst.n * f.tile.down * f.tile.across * f.slices, kBlock, f, viewOf(op.weights), runOf(op.bias),
           neuronOf(stream, op.neuron, op.dst.c));
    return true;
}

bool fewChannelsWeightsGradient(CudaStream& stream, const ops::ConvolutionWeightsGradient& op) {
    const auto plan = planOf(op);
    if (!plan) return false;
    const Few& f = *plan;
    const int tiles = f.dst.n * f.tile.down * f.tile.across, most = std::max(1, kMostShares / f.slices);
    const int shares = ceiling(tiles, ceiling(tiles, most));  // equal ones
    const int columns = f.slices * threadsOfPixel(f) * kSums;
    auto* partials = static_cast<float*>(resolve(stream.scratch(static_cast<std::size_t>(shares) * columns * sizeof(float))));
    launch(stream, fewGradientKernel, std::int64_t{1} * shares * f.slices, kBlock, f, tiles, shares, !op.diffBias.isNull(), partials);
    launch(stream, fewJoinKernel, ceiling(columns, kJoined), kJoiners, f, partials, shares, viewOf(op.diffWeights),
           runOf(op.diffBias), op.accumulate);
    return true;
}

}  // namespace pewter::PEWTER_CUDA_NAMESPACE
