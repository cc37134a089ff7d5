#include "backends/cuda/Cuda.h"
#include "backends/cuda/NormalizationSums.cuh"

namespace pewter::PEWTER_CUDA_NAMESPACE {

namespace {

#if defined(__CUDACC__)
#define PEWTER_APART __device__ __noinline__
#else
#define PEWTER_APART inline
#endif

/// Of any type: in one place, so that the code of kernels that do without stays short.
PEWTER_APART double loadAnyDouble(ops::Type type, char* data, int i) { return loadDouble({data, type, 0}, i); }

/// Statistics and parameters for kernels. Where all are float32, as in training, their reads are under way together.
struct Values {
    Run run;

    explicit Values(const ops::Array& a) : run(runOf(a)) {}
    bool isPlain() const { return run.isNull() || run.type == ops::Type::Float32; }
    PEWTER_DEVICE double get(int channel, bool plain, double otherwise) const {
        if (run.isNull()) return otherwise;
        return plain ? reinterpret_cast<const float*>(run.data)[channel] : loadAnyDouble(run.type, run.data, channel);
    }
};

PEWTER_DEVICE double inverseRoot(double x) {
#if defined(__CUDACC__)
    return rsqrt(x);
#else
    return 1 / sqrt(x);
#endif
}

/// What channels are normalised by; deviations are taken in float64, once a block and channel.
struct BatchLayer {
    static constexpr bool kNeurons = true;
    Values mean, variance, gamma, beta, diffGamma, diffBeta;
    bool plain;
    float epsilon;
    /// 1 / count; 0: the statistics do not depend on src.
    double share = 0;

    /// With the sums of the gradients, if they are known.
    template <class Op>
    explicit BatchLayer(const Op& op, const ops::Array& ofGamma = {}, const ops::Array& ofBeta = {})
        : mean(op.mean), variance(op.variance), gamma(op.gamma), beta(op.beta), diffGamma(ofGamma), diffBeta(ofBeta),
          plain(mean.isPlain() && variance.isPlain() && gamma.isPlain() && beta.isPlain() && diffGamma.isPlain() &&
                diffBeta.isPlain()),
          epsilon(op.epsilon) {}

    PEWTER_DEVICE double inverseDeviation(int channel) const {
        return inverseRoot(variance.get(channel, plain, 0) + static_cast<double>(epsilon));
    }
    /// What the mean loses in float32.
    PEWTER_DEVICE double rest(int channel) const {
        const double value = mean.get(channel, plain, 0);
        return static_cast<double>(static_cast<float>(value)) - value;
    }
    PEWTER_DEVICE void factors(std::int64_t, int channel, float* to) const {
        const double middle = mean.get(channel, plain, 0), shift = beta.get(channel, plain, 0);
        const double factor = gamma.get(channel, plain, 1) * inverseDeviation(channel);
        to[0] = static_cast<float>(middle);
        to[1] = static_cast<float>(factor);
        to[2] = static_cast<float>(shift + (static_cast<double>(to[0]) - middle) * factor);
    }
    PEWTER_DEVICE void gradientFactors(std::int64_t, int channel, float* to) const {
        const double sum = diffBeta.get(channel, plain, 0), product = diffGamma.get(channel, plain, 0);
        const double deviation = inverseDeviation(channel);
        const double factor = gamma.get(channel, plain, 1) * deviation * share, ofGamma = product * deviation;
        to[3] = share == 0 ? 0.0f : static_cast<float>(-factor * (sum + rest(channel) * ofGamma));
        to[4] = share == 0 ? 0.0f : static_cast<float>(-factor * ofGamma);
    }
};

struct MergeStatistics {
    struct Loaded {
        double mean, variance;
    };
    Run mean, variance;
    double before, here;

    PEWTER_DEVICE Loaded load(std::int64_t, int channel) const {
        if (before > 0) return {loadDouble(mean, channel), loadDouble(variance, channel)};
        return {};
    }
    PEWTER_DEVICE void operator()(std::int64_t, int channel, const Loaded& old, double meanHere, double squares) const {
        if (before > 0) {
            const double distance = meanHere - old.mean;
            squares += old.variance * before + distance * distance * (before * here / (before + here));
            meanHere = old.mean + distance * (here / (before + here));
        }
        storeDouble(mean, channel, meanHere);
        storeDouble(variance, channel, squares / (before + here));
    }
};

struct StoreGradients {
    struct Loaded {
        double rest, inverseDeviation, sum, product;
    };
    BatchLayer layer;
    Run diffGamma, diffBeta;
    bool accumulate;

    PEWTER_DEVICE Loaded load(std::int64_t, int channel) const {
        return {layer.rest(channel), layer.inverseDeviation(channel), accumulate ? loadDouble(diffBeta, channel) : 0,
                accumulate ? loadDouble(diffGamma, channel) : 0};
    }
    PEWTER_DEVICE void operator()(std::int64_t, int channel, const Loaded& loaded, double sum, double product) const {
        storeDouble(diffBeta, channel, sum + loaded.sum);
        storeDouble(diffGamma, channel, (product + loaded.rest * sum) * loaded.inverseDeviation + loaded.product);
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
    CudaStream& s = streamOf(stream);
    const ops::Neuron neuron = neuronOf(s, op.neuron, op.src.c);
    if (op.addend.isNull())
        normalize(s, op.src, op.dst, BatchLayer(op), neuron, 1, pixelsOf(op.src));
    else
        normalizeSum(s, op.src, op.addend, op.dst, BatchLayer(op), neuron, pixelsOf(op.src));
}

void Cuda::run(const ops::BatchNormalizationStatisticsGradient& op, ops::Stream& stream) {
    const std::int64_t pixels = pixelsOf(op.src);
    if (op.src.c == 0) return;
    CudaStream& s = streamOf(stream);
    float* const parts = partsFor(s, pixels, op.src.c);
    const BatchLayer layer(op);
    const StoreGradients store{layer, runOf(op.diffGamma), runOf(op.diffBeta), op.accumulate};
    const ops::Neuron neuron = neuronOf(s, op.neuron, op.src.c);
    if (op.addend.isNull() && op.diffSum.isNull())
        gradientSums(s, op.src, op.diffDst, layer, neuron, 1, pixels, parts, store);
    else
        sumGradient(s, op.src, op.diffDst, op.addend, op.diffSum, layer, neuron, pixels, parts, store);
}

void Cuda::run(const ops::BatchNormalizationGradient& op, ops::Stream& stream) {
    if (op.src.count() == 0) return;
    BatchLayer layer(op, op.diffGamma, op.diffBeta);
    layer.share = op.storedStatistics ? 0 : 1 / static_cast<double>(op.count);
    normalizeGradient(streamOf(stream), op.src, op.diffDst, op.diffSrc, layer, neuronOf(streamOf(stream), op.neuron, op.src.c), 1, pixelsOf(op.src));
}

}  // namespace pewter::PEWTER_CUDA_NAMESPACE
