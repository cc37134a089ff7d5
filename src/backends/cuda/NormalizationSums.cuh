#pragma once

#include <type_traits>

#include "backends/cuda/Normalization.cuh"

// Batch normalisation with another image added before the neuron. No neuron is a ReLU with slope 1, and what is missing
// is not read or written: a kernel more takes longer to compile than a multiplication takes to run.

namespace pewter::PEWTER_CUDA_NAMESPACE {

/// dst = neuron(z + addend).
template <class Pixels, class Layer, Act kAct>
struct NormalizeSum {
    static constexpr int kLanes = Pixels::kLanes, kFactors = 3, kUnroll = aheadOf<Pixels>(4);
    struct Sample {
        typename Pixels::Sample x, addend;
    };
    Pixels src, addend, dst;
    Layer layer;
    ops::Neuron neuron;

    PEWTER_DEVICE Sample load(std::int64_t pixel, int vector) const {
        return {src.load(pixel, vector), addend.load(pixel, vector)};
    }
    PEWTER_DEVICE void factors(std::int64_t segment, int channel, float* to) const { layer.factors(segment, channel, to); }
    PEWTER_DEVICE void apply(std::int64_t pixel, int vector, const Sample& sample, const float (*f)[kLanes]) const {
        typename Pixels::Sample out;
        for (int l = 0; l < kLanes; ++l) {
            const float z = (toFloat(sample.x.lane[l]) - f[0][l]) * f[1][l] + f[2][l] + toFloat(sample.addend.lane[l]);
            fromFloat(out.lane[l], activate<kAct>(neuron, z, vector * kLanes + l));
        }
        dst.store(pixel, vector, out);
    }
};

/// diffSum = dz; of what that rounds it to, sum dz and sum dz (x - mean). With more pixels ahead registers would not do.
template <class Pixels, class Layer, Act kAct>
struct SumGradient {
    static constexpr int kLanes = Pixels::kLanes, kFactors = 3, kUnroll = aheadOf<Pixels>(2), kSums = 2;
    struct Sample {
        typename Pixels::Sample x, diff, addend;
    };
    Pixels src, diffDst, addend, diffSum;
    bool hasAddend, hasDiffSum;
    Layer layer;
    ops::Neuron neuron;

    PEWTER_DEVICE Sample load(std::int64_t pixel, int vector) const {
        Sample sample{src.load(pixel, vector), diffDst.load(pixel, vector), {}};
        if (hasAddend) sample.addend = addend.load(pixel, vector);
        return sample;
    }
    PEWTER_DEVICE void factors(std::int64_t segment, int channel, float* to) const { layer.factors(segment, channel, to); }
    PEWTER_DEVICE void start(ColumnSums<kLanes>&, std::int64_t, std::int64_t, int) const {}
    PEWTER_DEVICE void add(ColumnSums<kLanes>& sums, int vector, const Sample* sample, int count, const float (*f)[kLanes],
                           std::int64_t pixel, int rows) const {
        constexpr bool isAny = std::is_same_v<Pixels, AnyPixels>;
        PEWTER_UNROLL_ALL
        for (int u = 0; u < kUnroll; ++u)
            if (u < count) {
                typename Pixels::Sample out;
                for (int l = 0; l < kLanes; ++l) {
                    const float distance = toFloat(sample[u].x.lane[l]) - f[0][l];
                    const float z = distance * f[1][l] + f[2][l] + toFloat(sample[u].addend.lane[l]);
                    float dz =
                        toFloat(sample[u].diff.lane[l]) * activationDerivative<kAct>(neuron, z, vector * kLanes + l);
                    fromFloat(out.lane[l], dz);
                    if (hasDiffSum) {
                        if constexpr (isAny) {  // rounded where it lies
                            diffSum.store(pixel + u * rows, vector, out);
                            out = diffSum.load(pixel + u * rows, vector);
                        }
                        dz = toFloat(out.lane[l]);
                    }
                    sums.sum[l] += dz;
                    sums.sum[kLanes + l] += dz * distance;
                }
                if (hasDiffSum && !isAny) diffSum.store(pixel + u * rows, vector, out);
            }
    }
};

/// call.operator()<kAct>(PixelsOf<...>, neuron) with what the neuron and the tensors need; null ones do not count.
template <class Call>
void withSlopeAndPixels(const ops::Neuron& neuron, std::initializer_list<const ops::Tensor*> tensors, const Call& call) {
    const Act act = actOf(neuron);
    if (act == Act::Other) return call.template operator()<Act::Other>(PixelsOf<AnyPixels>(), neuron);
    const ops::Neuron slope{ops::NeuronType::ReLU, act == Act::None ? 1 : neuron.a};
    withPixels(tensors, [&](auto pixelsOf) { call.template operator()<Act::ReLU>(pixelsOf, slope); });
}

template <class Layer>
void normalizeSum(CudaStream& stream, const ops::Tensor& src, const ops::Tensor& addend, const ops::Tensor& dst,
                  const Layer& layer, const ops::Neuron& neuron, std::int64_t pixels) {
    withSlopeAndPixels(neuron, {&src, &addend, &dst}, [&]<Act kAct>(auto pixelsOf, const ops::Neuron& f) {
        using Pixels = typename decltype(pixelsOf)::Type;
        applyColumns(stream, 1, pixels, src.c,
                     NormalizeSum<Pixels, Layer, kAct>{pixelsOf(src), pixelsOf(addend), pixelsOf(dst), layer, f});
    });
}

/// finish(0, channel, sum dz, sum dz (x - mean)); addend or diffSum may be null.
template <class Layer, class Finish>
void sumGradient(CudaStream& stream, const ops::Tensor& src, const ops::Tensor& diffDst, const ops::Tensor& addend,
                 const ops::Tensor& diffSum, const Layer& layer, const ops::Neuron& neuron, std::int64_t pixels,
                 float* parts, const Finish& finish) {
    // Without a neuron the derivative is 1 whatever is added.
    const ops::Tensor& read = actOf(neuron) == Act::None ? ops::Tensor{} : addend;
    withSlopeAndPixels(neuron, {&src, &diffDst, &read, &diffSum}, [&]<Act kAct>(auto pixelsOf, const ops::Neuron& f) {
        using Pixels = typename decltype(pixelsOf)::Type;
        const SumGradient<Pixels, Layer, kAct> sums{pixelsOf(src), pixelsOf(diffDst), pixelsOf(read), pixelsOf(diffSum),
                                                    !read.isNull(), !diffSum.isNull(), layer, f};
        sumColumns(stream, 1, pixels, src.c, sums, parts, finish);
    });
}

}  // namespace pewter::PEWTER_CUDA_NAMESPACE
