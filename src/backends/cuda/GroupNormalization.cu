#include "backends/cuda/Cuda.h"
#include "backends/cuda/Normalization.cuh"

namespace pewter::PEWTER_CUDA_NAMESPACE {

namespace {

/// Where groups lie, and what is kept of every image's channel between the kernels of one operation: two sums in float64
/// and five factors of the result.
struct Groups {
    static constexpr bool kNeurons = false;
    std::int64_t images, count;  ///< of groups
    int channels, width;
    double pixels;
    double* sums;
    float* values;
    Run gamma, beta, mean, inverseDeviation;

    PEWTER_HD std::int64_t all() const { return images * channels; }
    PEWTER_DEVICE double gammaOf(int channel) const { return gamma.isNull() ? 1.0 : loadDouble(gamma, channel); }

    PEWTER_DEVICE void factors(std::int64_t image, int channel, float* to) const {
        const std::int64_t i = image * channels + channel;
        for (int k = 0; k < 3; ++k) to[k] = values[k * all() + i];
    }
    PEWTER_DEVICE void gradientFactors(std::int64_t image, int channel, float* to) const {
        const std::int64_t i = image * channels + channel;
        for (int k = 3; k < 5; ++k) to[k] = values[k * all() + i];
    }
};

/// The mean alone, as sums around it want it.
struct GroupMeans {
    static constexpr bool kNeurons = false;
    Run mean;
    std::int64_t count;
    int width;

    PEWTER_DEVICE void factors(std::int64_t image, int channel, float* to) const {
        to[0] = load(mean, image * count + channel / width);
    }
};

struct KeepSums {
    struct Loaded {};
    Groups groups;

    PEWTER_DEVICE Loaded load(std::int64_t, int) const { return {}; }
    PEWTER_DEVICE void operator()(std::int64_t image, int channel, Loaded, double a, double b) const {
        const std::int64_t i = image * groups.channels + channel;
        groups.sums[i] = a;
        groups.sums[groups.all() + i] = b;
    }
};

struct Plus {
    PEWTER_DEVICE double operator()(double a, double b) const { return a + b; }
};

/// One block a group: its statistics from those of its channels, and what its channels are normalised by.
__global__ void joinChannelsKernel(Groups g, double epsilon) {
    const std::int64_t image = blockIdx.x / g.count, group = blockIdx.x % g.count;
    const int first = static_cast<int>(group) * g.width, threads = static_cast<int>(blockDim.x);
    const double* const means = g.sums + image * g.channels + first;
    const double* const squares = means + g.all();
    double sum = 0;
    for (int c = static_cast<int>(threadIdx.x); c < g.width; c += threads) sum += means[c];
    const double mean = combineInBlock(sum, Plus()) / g.width;
    sum = 0;
    for (int c = static_cast<int>(threadIdx.x); c < g.width; c += threads)
        sum += squares[c] + g.pixels * (means[c] - mean) * (means[c] - mean);
    const double variance = combineInBlock(sum, Plus()) / (g.pixels * g.width);
    const double deviation = 1 / sqrt(variance + epsilon);
    if (threadIdx.x == 0 && !g.mean.isNull()) storeDouble(g.mean, blockIdx.x, mean);
    if (threadIdx.x == 0 && !g.inverseDeviation.isNull()) storeDouble(g.inverseDeviation, blockIdx.x, deviation);
    // What the mean loses in float32 goes to the shift.
    const double rest = static_cast<double>(static_cast<float>(mean)) - mean;
    for (int c = static_cast<int>(threadIdx.x); c < g.width; c += threads) {
        const double scale = g.gammaOf(first + c) * deviation;
        float* const to = g.values + image * g.channels + first + c;
        to[0] = static_cast<float>(mean);
        to[g.all()] = static_cast<float>(scale);
        to[2 * g.all()] =
            static_cast<float>((g.beta.isNull() ? 0.0 : loadDouble(g.beta, first + c)) + rest * scale);
    }
}

/// The same for the gradient; sums become those for diffBeta and diffGamma.
__global__ void joinGradientsKernel(Groups g) {
    const std::int64_t image = blockIdx.x / g.count, group = blockIdx.x % g.count;
    const int first = static_cast<int>(group) * g.width, threads = static_cast<int>(blockDim.x);
    const double mean = loadDouble(g.mean, blockIdx.x), deviation = loadDouble(g.inverseDeviation, blockIdx.x);
    const double rest = static_cast<double>(static_cast<float>(mean)) - mean;
    double* const ofBeta = g.sums + image * g.channels + first;
    double* const ofGamma = ofBeta + g.all();
    double sum = 0, product = 0;
    for (int c = static_cast<int>(threadIdx.x); c < g.width; c += threads) {
        ofGamma[c] = (ofGamma[c] + rest * ofBeta[c]) * deviation;
        sum += g.gammaOf(first + c) * ofBeta[c];
        product += g.gammaOf(first + c) * ofGamma[c];
    }
    const double share = deviation / (g.pixels * g.width);
    sum = combineInBlock(sum, Plus()) * share;
    product = combineInBlock(product, Plus()) * share * deviation;
    for (int c = static_cast<int>(threadIdx.x); c < g.width; c += threads) {
        float* const to = g.values + image * g.channels + first + c;
        to[0] = static_cast<float>(mean);
        to[g.all()] = static_cast<float>(g.gammaOf(first + c) * deviation);
        to[2 * g.all()] = 0;
        to[3 * g.all()] = static_cast<float>(-sum - rest * product);
        to[4 * g.all()] = static_cast<float>(-product);
    }
}

/// Each image's own sums, or their sum over the images.
struct StoreSums {
    const double* sums;
    std::int64_t all;
    Run to;

    PEWTER_DEVICE void operator()(std::int64_t i) const {
        double sum = 0;
        for (std::int64_t k = i; k < all; k += to.size) sum += sums[k];
        storeDouble(to, i, sum);
    }
};

/// Fills in the sizes and lends scratch; `parts`: what sums over pixels need.
template <class Op>
Groups groupsOf(const Op& op, CudaStream& stream, float*& parts) {
    const ops::Tensor& src = op.src;
    const std::int64_t pixels = src.h * src.w, all = src.n * src.c;
    Groups g{};
    g.images = src.n;
    g.count = op.groups;
    g.channels = static_cast<int>(src.c);
    g.width = static_cast<int>(src.c / op.groups);
    g.pixels = static_cast<double>(pixels);
    g.gamma = runOf(op.gamma);
    g.mean = runOf(op.mean);
    g.inverseDeviation = runOf(op.inverseDeviation);
    const std::int64_t floats = 5 * all + sumFloats(src.n, pixels, src.c);
    auto* const room = static_cast<char*>(stream.scratch(static_cast<std::size_t>(2 * all) * sizeof(double) +
                                                         static_cast<std::size_t>(floats) * sizeof(float)));
    g.sums = reinterpret_cast<double*>(room);
    g.values = reinterpret_cast<float*>(g.sums + 2 * all);
    parts = g.values + 5 * all;
    return g;
}

int threadsFor(const Groups& g) { return g.width <= 32 ? 32 : 128; }

}  // namespace

void Cuda::run(const ops::GroupNormalizationForward& op, ops::Stream& stream) {
    if (op.src.count() == 0) return;
    CudaStream& s = streamOf(stream);
    float* parts = nullptr;
    Groups groups = groupsOf(op, s, parts);
    groups.beta = runOf(op.beta);
    const std::int64_t pixels = op.src.h * op.src.w;
    channelStatistics(s, op.src, op.src.n, pixels, parts, KeepSums{groups});
    launch(s, joinChannelsKernel, op.src.n * op.groups, threadsFor(groups), groups, static_cast<double>(op.epsilon));
    normalize(s, op.src, op.dst, groups, ops::Neuron{}, op.src.n, pixels);
}

void Cuda::run(const ops::GroupNormalizationGradient& op, ops::Stream& stream) {
    if (op.src.count() == 0) return;
    CudaStream& s = streamOf(stream);
    float* parts = nullptr;
    const Groups groups = groupsOf(op, s, parts);
    const std::int64_t pixels = op.src.h * op.src.w;
    gradientSums(s, op.src, op.diffDst, GroupMeans{groups.mean, groups.count, groups.width}, ops::Neuron{}, op.src.n, pixels,
                 parts, KeepSums{groups});
    launch(s, joinGradientsKernel, op.src.n * op.groups, threadsFor(groups), groups);
    if (!op.diffBeta.isNull())
        forEach(s, op.diffBeta.size, StoreSums{groups.sums, groups.all(), runOf(op.diffBeta)});
    if (!op.diffGamma.isNull())
        forEach(s, op.diffGamma.size, StoreSums{groups.sums + groups.all(), groups.all(), runOf(op.diffGamma)});
    if (!op.diffSrc.isNull())
        normalizeGradient(s, op.src, op.diffDst, op.diffSrc, groups, ops::Neuron{}, op.src.n, pixels);
}

}  // namespace pewter::PEWTER_CUDA_NAMESPACE
