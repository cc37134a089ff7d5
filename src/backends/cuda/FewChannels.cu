// Convolutions of few channels, forward.
#include <limits>
#include <optional>

#include "backends/cuda/FewChannelsTiles.cuh"

#if defined(__CUDACC__)
#define PEWTER_UNROLL_SOME _Pragma("unroll 3")
#else
#define PEWTER_UNROLL_SOME
#endif

namespace pewter::PEWTER_CUDA_NAMESPACE {

using namespace few;

namespace {

/// `count` of the channels there are; all of them where `vectors`.
PEWTER_DEVICE void storeChannels(const View& t, std::int64_t offset, const float (&x)[kLanes], bool vectors,
                                 int count) {
    if (t.type == ops::Type::Float32) {
        auto* to = reinterpret_cast<float*>(t.data) + offset;
        if (vectors) return storeFloats(to, x);
        PEWTER_UNROLL
        for (int l = 0; l < kLanes; ++l)
            if (l < count) to[l * t.strideC] = x[l];
        return;
    }
    const bool isHalf = t.type == ops::Type::Float16;
    if (vectors)
        return isHalf ? TypedLanes<Half>::store(t, offset, x) : TypedLanes<Brain>::store(t, offset, x);
    auto* to = reinterpret_cast<std::uint16_t*>(t.data) + offset;
    PEWTER_UNROLL
    for (int l = 0; l < kLanes; ++l)
        if (l < count) to[l * t.strideC] = isHalf ? floatToHalf(x[l]) : floatToBrain(x[l]);
}

/// A thread's pixels lie `ways` apart: neighbouring threads read and write neighbouring ones.
template <int kPixels>
__global__ void __launch_bounds__(kBlock, 4)
    fewForwardKernel(Few f, View weights, Run bias, ops::Neuron neuron) {
    __shared__ Room shared;
    float* const room = shared.numbers;
    const int thread = static_cast<int>(threadIdx.x), threads = static_cast<int>(blockDim.x);
    const int lanes = f.groups * kLanes, pitch = lanes + 4, block = static_cast<int>(blockIdx.x);
    const int first = block % f.slices * lanes;
    const Corner at = cornerOf(f.tile, block / f.slices);
    float* const tile = room + f.taps * pitch;
    for (int i = thread; i < lanes * f.taps; i += threads) {
        const int o = i / f.taps, tap = i - o * f.taps;
        room[tap * pitch + o] = first + o < f.dst.c ? loadAs(weights.type, weights.data,
                                                             std::int64_t{1} * (first + o) * f.taps + tap)
                                                    : 0;
    }
    stageSource(f, at, tile);
    __syncthreads();
    const int pixels = f.tile.high * f.tile.wide;
    const int stepY = static_cast<int>(f.window.strideY) * f.tile.rowFloats,
              stepX = static_cast<int>(f.window.strideX) * f.src.c;
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
            PEWTER_UNROLL_SOME
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

struct ForwardPlan {
    Few few;
    int pixels;  // of a thread
};
std::optional<ForwardPlan> planOf(const ops::ConvolutionForward& op) {
    const auto neuron = op.neuron.type;
    const bool isLine = neuron == ops::NeuronType::None || neuron == ops::NeuronType::ReLU ||
                        neuron == ops::NeuronType::PReLU;
    const bool isFloating = op.dst.type == ops::Type::Float32 || op.dst.type == ops::Type::Float16 ||
                            op.dst.type == ops::Type::BFloat16;
    if (!isLine || !isFloating || !fits(op.src, op.weights, op.dst, op.window, op.groups))
        return std::nullopt;
    Few f = problemOf(op.src, op.dst, op.window);
    const auto weights = [&](int groups) { return f.taps * (groups * kLanes + 4); };
    int groups = std::min(kMostGroups, ceiling(f.dst.c, kLanes));
    while (groups > 1 && weights(groups) > kRoom * 4 / 5) --groups;
    setGroups(f, groups);
    f.ways = kBlock / f.groups;
    std::optional<ForwardPlan> best;
    double least = std::numeric_limits<double>::infinity();
    for (const int pixels : {4, 8}) {
        // A warp reads kLanes + pixels numbers a thread for each tap: shared memory is busy longer than the
        // arithmetic.
        const Bounds bounds{f.ways * pixels, kRoom - weights(f.groups), 0,
                            300 + 0.25 * weights(f.groups) + kBlock / 32.0 * f.taps * (kLanes + pixels), 0};
        const double time = cutTiles(f, bounds);
        if (time >= least) continue;
        least = time;
        best = {f, pixels};
    }
    return best;
}

}  // namespace

bool areFewChannels(const ops::ConvolutionForward& op) { return planOf(op).has_value(); }

bool fewChannelsForward(CudaStream& stream, const ops::ConvolutionForward& op) {
    const auto plan = planOf(op);
    if (!plan) return false;
    const Few& f = plan->few;
    launch(stream, plan->pixels == 4 ? fewForwardKernel<4> : fewForwardKernel<8>,
           std::int64_t{1} * f.dst.n * f.tile.down * f.tile.across * f.slices, kBlock, f, viewOf(op.weights),
           runOf(op.bias), neuronOf(stream, op.neuron, op.dst.c));
    return true;
}

}  // namespace pewter::PEWTER_CUDA_NAMESPACE
