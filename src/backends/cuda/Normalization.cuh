#pragma once

#include "backends/cuda/Columns.cuh"
#include "backends/cuda/NeuronFunction.cuh"

// What batch and group normalisation share: statistics of channels, and the two passes that take their factors from a
// `layer`: factors(segment, channel, f) gives f[0] = mean, f[1] = scale, f[2] = shift of z = scale (x - mean) + shift, and
// f[3], f[4] = A, B of diffSrc = scale dz + A + B (x - mean).

namespace pewter::PEWTER_CUDA_NAMESPACE {

/// The neurons that have kernels of their own; others take the slow road.
enum class Act { None, ReLU, Other };

inline Act actOf(const ops::Neuron& neuron) {
    return neuron.type == ops::NeuronType::None   ? Act::None
           : neuron.type == ops::NeuronType::ReLU ? Act::ReLU
                                                  : Act::Other;
}

/// How many pixels are read before any of them is worked on.
template <class Pixels>
constexpr int aheadOf(int most) {
    return Pixels::kLanes > 1 ? most : 1;
}

template <Act kAct>
PEWTER_DEVICE float activate(const ops::Neuron& f, float x, int channel) {
    if constexpr (kAct == Act::None) return x;
    if constexpr (kAct == Act::ReLU) return x >= 0 ? x : leak(f.a, x);
    if constexpr (kAct == Act::Other) return neuron(f, x, channel);
}
template <Act kAct>
PEWTER_DEVICE float activationDerivative(const ops::Neuron& f, float x, int channel) {
    if constexpr (kAct == Act::None) return 1;
    if constexpr (kAct == Act::ReLU) return x >= 0 ? 1 : f.a;
    if constexpr (kAct == Act::Other) return neuronDerivative(f, x, channel);
}

/// Sums of differences to a pixel of the block's own, and of their squares: what is in them is never far from what is in
/// the result, so nothing that matters cancels. The pixel is the middle one of three in value, lest it is an outlier.
template <class Pixels>
struct StatisticsSums {
    static constexpr int kLanes = Pixels::kLanes, kFactors = 0, kUnroll = aheadOf<Pixels>(4), kSums = 3;
    using Sample = typename Pixels::Sample;
    Pixels src;

    PEWTER_DEVICE Sample load(std::int64_t pixel, int vector) const { return src.load(pixel, vector); }
    PEWTER_DEVICE void factors(std::int64_t, int, float*) const {}
    PEWTER_DEVICE void start(ColumnSums<kLanes>& sums, std::int64_t from, std::int64_t to, int vector) const {
        const Sample a = load(from, vector), b = load((from + to) / 2, vector), c = load(to - 1, vector);
        for (int l = 0; l < kLanes; ++l) {
            const float x = toFloat(a.lane[l]), y = toFloat(b.lane[l]), z = toFloat(c.lane[l]);
            sums.shift[l] = fmaxf(fminf(x, y), fminf(fmaxf(x, y), z));
        }
    }
    PEWTER_DEVICE void add(ColumnSums<kLanes>& sums, int, const Sample* sample, int count, const float (*)[kLanes]) const {
        PEWTER_UNROLL_ALL
        for (int u = 0; u < kUnroll; ++u)
            if (u < count)
                for (int l = 0; l < kLanes; ++l) {
                    const float distance = toFloat(sample[u].lane[l]) - sums.shift[l];
                    sums.sum[l] += distance;
                    sums.sum[kLanes + l] += distance * distance;
                }
    }
};

template <class Pixels>
struct Pair {
    typename Pixels::Sample x, diff;
};

/// sum dz and sum dz (x - mean).
template <class Pixels, class Layer, Act kAct>
struct GradientSums {
    static constexpr int kLanes = Pixels::kLanes, kFactors = kAct == Act::None ? 1 : 3;
    static constexpr int kUnroll = aheadOf<Pixels>(4), kSums = 2;
    using Sample = Pair<Pixels>;
    Pixels src, diffDst;
    Layer layer;
    ops::Neuron neuron;

    PEWTER_DEVICE Sample load(std::int64_t pixel, int vector) const {
        return {src.load(pixel, vector), diffDst.load(pixel, vector)};
    }
    PEWTER_DEVICE void factors(std::int64_t segment, int channel, float* to) const {
        float all[5];
        layer.factors(segment, channel, all);
        for (int k = 0; k < kFactors; ++k) to[k] = all[k];
    }
    PEWTER_DEVICE void start(ColumnSums<kLanes>&, std::int64_t, std::int64_t, int) const {}
    PEWTER_DEVICE void add(ColumnSums<kLanes>& sums, int vector, const Sample* sample, int count,
                           const float (*f)[kLanes]) const {
        PEWTER_UNROLL_ALL
        for (int u = 0; u < kUnroll; ++u)
            if (u < count)
                for (int l = 0; l < kLanes; ++l) {
                    const float x = toFloat(sample[u].x.lane[l]) - f[0][l];
                    float dz = toFloat(sample[u].diff.lane[l]);
                    if constexpr (kAct != Act::None)
                        dz *= activationDerivative<kAct>(neuron, x * f[1][l] + f[2][l], vector * kLanes + l);
                    sums.sum[l] += dz;
                    sums.sum[kLanes + l] += dz * x;
                }
    }
};

/// dst = neuron(z).
template <class Pixels, class Layer, Act kAct>
struct NormalizeForward {
    static constexpr int kLanes = Pixels::kLanes, kFactors = 3, kUnroll = aheadOf<Pixels>(6);
    using Sample = typename Pixels::Sample;
    Pixels src, dst;
    Layer layer;
    ops::Neuron neuron;

    PEWTER_DEVICE Sample load(std::int64_t pixel, int vector) const { return src.load(pixel, vector); }
    PEWTER_DEVICE void factors(std::int64_t segment, int channel, float* to) const { layer.factors(segment, channel, to); }
    PEWTER_DEVICE void apply(std::int64_t pixel, int vector, const Sample& sample, const float (*f)[kLanes]) const {
        Sample out;
        for (int l = 0; l < kLanes; ++l) {
            const float z = (toFloat(sample.lane[l]) - f[0][l]) * f[1][l] + f[2][l];
            fromFloat(out.lane[l], activate<kAct>(neuron, z, vector * kLanes + l));
        }
        dst.store(pixel, vector, out);
    }
};

/// diffSrc = scale dz + A + B (x - mean).
template <class Pixels, class Layer, Act kAct>
struct NormalizeGradient {
    static constexpr int kLanes = Pixels::kLanes, kFactors = 5, kUnroll = aheadOf<Pixels>(4);
    using Sample = Pair<Pixels>;
    Pixels src, diffDst, diffSrc;
    Layer layer;
    ops::Neuron neuron;

    PEWTER_DEVICE Sample load(std::int64_t pixel, int vector) const {
        return {src.load(pixel, vector), diffDst.load(pixel, vector)};
    }
    PEWTER_DEVICE void factors(std::int64_t segment, int channel, float* to) const {
        layer.factors(segment, channel, to);
        layer.gradientFactors(segment, channel, to);
    }
    PEWTER_DEVICE void apply(std::int64_t pixel, int vector, const Sample& sample, const float (*f)[kLanes]) const {
        typename Pixels::Sample out;
        for (int l = 0; l < kLanes; ++l) {
            const float x = toFloat(sample.x.lane[l]) - f[0][l];
            float dz = toFloat(sample.diff.lane[l]);
            if constexpr (kAct != Act::None)
                dz *= activationDerivative<kAct>(neuron, x * f[1][l] + f[2][l], vector * kLanes + l);
            fromFloat(out.lane[l], f[1][l] * dz + (f[3][l] + f[4][l] * x));
        }
        diffSrc.store(pixel, vector, out);
    }
};

/// call.operator()<kAct>(PixelsOf<...>) with what the neuron and the tensors need; layers without kNeurons have none.
template <class Layer, class Call>
void withActAndPixels(const ops::Neuron& neuron, std::initializer_list<const ops::Tensor*> tensors, const Call& call) {
    const Act act = actOf(neuron);
    if constexpr (Layer::kNeurons)
        if (act == Act::Other) return call.template operator()<Act::Other>(PixelsOf<AnyPixels>());
    withPixels(tensors, [&](auto pixelsOf) {
        if constexpr (Layer::kNeurons)
            if (act == Act::ReLU) return call.template operator()<Act::ReLU>(pixelsOf);
        call.template operator()<Act::None>(pixelsOf);
    });
}

/// Statistics of every segment and channel of src; finish(segment, channel, mean, sum of squared deviations).
template <class Finish>
void channelStatistics(CudaStream& stream, const ops::Tensor& src, std::int64_t segments, std::int64_t pixels, float* parts,
                       const Finish& finish) {
    withPixels({&src}, [&](auto pixelsOf) {
        using Pixels = typename decltype(pixelsOf)::Type;
        sumColumns(stream, segments, pixels, src.c, StatisticsSums<Pixels>{pixelsOf(src)}, parts, finish);
    });
}

/// finish(segment, channel, sum dz, sum dz (x - mean)).
template <class Layer, class Finish>
void gradientSums(CudaStream& stream, const ops::Tensor& src, const ops::Tensor& diffDst, const Layer& layer,
                  const ops::Neuron& neuron, std::int64_t segments, std::int64_t pixels, float* parts, const Finish& finish) {
    withActAndPixels<Layer>(neuron, {&src, &diffDst}, [&]<Act kAct>(auto pixelsOf) {
        using Pixels = typename decltype(pixelsOf)::Type;
        const GradientSums<Pixels, Layer, kAct> sums{pixelsOf(src), pixelsOf(diffDst), layer, neuron};
        sumColumns(stream, segments, pixels, src.c, sums, parts, finish);
    });
}

template <class Layer>
void normalize(CudaStream& stream, const ops::Tensor& src, const ops::Tensor& dst, const Layer& layer,
               const ops::Neuron& neuron, std::int64_t segments, std::int64_t pixels) {
    withActAndPixels<Layer>(neuron, {&src, &dst}, [&]<Act kAct>(auto pixelsOf) {
        using Pixels = typename decltype(pixelsOf)::Type;
        applyColumns(stream, segments, pixels, src.c,
                     NormalizeForward<Pixels, Layer, kAct>{pixelsOf(src), pixelsOf(dst), layer, neuron});
    });
}

template <class Layer>
void normalizeGradient(CudaStream& stream, const ops::Tensor& src, const ops::Tensor& diffDst, const ops::Tensor& diffSrc,
                       const Layer& layer, const ops::Neuron& neuron, std::int64_t segments, std::int64_t pixels) {
    withActAndPixels<Layer>(neuron, {&src, &diffDst, &diffSrc}, [&]<Act kAct>(auto pixelsOf) {
        using Pixels = typename decltype(pixelsOf)::Type;
        applyColumns(stream, segments, pixels, src.c,
                     NormalizeGradient<Pixels, Layer, kAct>{pixelsOf(src), pixelsOf(diffDst), pixelsOf(diffSrc), layer,
                                                            neuron});
    });
}

}  // namespace pewter::PEWTER_CUDA_NAMESPACE
