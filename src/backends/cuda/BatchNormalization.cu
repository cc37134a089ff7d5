#include "backends/cuda/Cuda.h"
#include "backends/cuda/Normalization.cuh"

namespace pewter::PEWTER_CUDA_NAMESPACE {

namespace {

/// What channels are normalised by; deviations are taken in float64, once a block and channel.
struct BatchLayer {
    static constexpr bool kNeurons = true;
    Run mean, variance, gamma, beta, diffGamma, diffBeta;
    float epsilon;
    /// 1 / count; 0: the statistics do not depend on src.
    double share;

    template <class Op>
    explicit BatchLayer(const Op& op)
        : mean(runOf(op.mean)), variance(runOf(op.variance)), gamma(runOf(op.gamma)), beta(runOf(op.beta)), diffGamma{},
          diffBeta{}, epsilon(op.epsilon), share(0) {}

    PEWTER_DEVICE double inverseDeviation(int channel) const {
        return 1 / sqrt(loadDouble(variance, channel) + static_cast<double>(epsilon));
    }
    PEWTER_DEVICE double scale(int channel) const {
        return (gamma.isNull() ? 1.0 : loadDouble(gamma, channel)) * inverseDeviation(channel);
    }
    /// What the mean loses in float32.
    PEWTER_DEVICE double rest(int channel) const {
        const double value = loadDouble(mean, channel);
        return static_cast<double>(static_cast<float>(value)) - value;
    }
    PEWTER_DEVICE void factors(std::int64_t, int channel, float* to) const {
        const double factor = scale(channel);
        to[0] = load(mean, channel);
        to[1] = static_cast<float>(factor);
        to[2] = static_cast<float>((beta.isNull() ? 0.0 : loadDouble(beta, channel)) + rest(channel) * factor);
    }
    PEWTER_DEVICE void gradientFactors(std::int64_t, int channel, float* to) const {
        const double factor = scale(channel) * share;
        const double ofGamma = diffGamma.isNull() ? 0.0 : loadDouble(diffGamma, channel) * inverseDeviation(channel);
        const double ofBeta = diffBeta.isNull() ? 0.0 : loadDouble(diffBeta, channel);
        to[3] = share == 0 ? 0.0f : static_cast<float>(-factor * (ofBeta + rest(channel) * ofGamma));
        to[4] = share == 0 ? 0.0f : static_cast<float>(-factor * ofGamma);
    }
};

struct MergeStatistics {
    Run mean, variance;
    double before, here;

    PEWTER_DEVICE void operator()(std::int64_t, int channel, double meanHere, double squares) const {
        if (before > 0) {
            const double old = loadDouble(mean, channel), distance = meanHere - old;
            squares += loadDouble(variance, channel) * before + distance * distance * (before * here / (before + here));
            meanHere = old + distance * (here / (before + here));
        }
        storeDouble(mean, channel, meanHere);
        storeDouble(variance, channel, squares / (before + here));
    }
};

struct StoreGradients {
    BatchLayer layer;
    Run diffGamma, diffBeta;
    bool accumulate;

    PEWTER_DEVICE void operator()(std::int64_t, int channel, double sum, double product) const {
        product = (product + layer.rest(channel) * sum) * layer.inverseDeviation(channel);
        if (accumulate) {
            sum += loadDouble(diffBeta, channel);
            product += loadDouble(diffGamma, channel);
        }
        storeDouble(diffBeta, channel, sum);
        storeDouble(diffGamma, channel, product);
    }
};

float* partsFor(CudaStream& stream, std::int64_t pixels, std::int64_t channels) {
    return static_cast<float*>(stream.scratch(static_cast<std::size_t>(sumFloats(1, pixels, channels)) * sizeof(float)));
}

std::int64_t pixelsOf(const ops::Tensor& t) { return t.n * t.h * t.w; }

}  // namespace

void Cuda::run(const ops::BatchNormalizationStatistics& op, ops::Stream& stream) {
    const std::int64_t pixels = pixelsOf(op.src);
    if (op.src.count() == 0) return;
    float* const parts = partsFor(streamOf(stream), pixels, op.src.c);
    channelStatistics(streamOf(stream), op.src, 1, pixels, parts,
                      MergeStatistics{runOf(op.mean), runOf(op.variance), static_cast<double>(op.countBefore),
                                      static_cast<double>(pixels)});
}

void Cuda::run(const ops::BatchNormalizationForward& op, ops::Stream& stream) {
    if (op.src.count() == 0) return;
    normalize(streamOf(stream), op.src, op.dst, BatchLayer(op), neuronOf(streamOf(stream), op.neuron, op.src.c), 1, pixelsOf(op.src));
}

void Cuda::run(const ops::BatchNormalizationStatisticsGradient& op, ops::Stream& stream) {
    const std::int64_t pixels = pixelsOf(op.src);
    if (op.src.c == 0) return;
    float* const parts = partsFor(streamOf(stream), pixels, op.src.c);
    const BatchLayer layer(op);
    gradientSums(streamOf(stream), op.src, op.diffDst, layer, neuronOf(streamOf(stream), op.neuron, op.src.c), 1, pixels, parts,
                 StoreGradients{layer, runOf(op.diffGamma), runOf(op.diffBeta), op.accumulate});
}

void Cuda::run(const ops::BatchNormalizationGradient& op, ops::Stream& stream) {
    if (op.src.count() == 0) return;
    BatchLayer layer(op);
    layer.diffGamma = runOf(op.diffGamma);
    layer.diffBeta = runOf(op.diffBeta);
    layer.share = op.storedStatistics ? 0 : 1 / static_cast<double>(op.count);
    normalizeGradient(streamOf(stream), op.src, op.diffDst, op.diffSrc, layer, neuronOf(streamOf(stream), op.neuron, op.src.c), 1, pixelsOf(op.src));
}

}  // namespace pewter::PEWTER_CUDA_NAMESPACE
