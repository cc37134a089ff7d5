#include "backends/cpu/vector/BatchNormalization.h"

#include <algorithm>
#include <cmath>

#include "backends/cpu/Cpu.h"
#include "backends/cpu/Runs.h"
#include "backends/cpu/vector/Neuron.h"

namespace pewter::cpu {

namespace {

/// Elements of a block of a sum over pixels: read twice, so it should stay in the second-level cache.
constexpr std::int64_t kBlock = 8192;
/// Elements of a run: shorter than elsewhere, for the parameters' tiles share the first-level cache with the
/// operands.
constexpr std::int64_t kShortRun = 512;
/// Room that the sums of a block want, in elements a channel row.
std::int64_t roomOf(std::int64_t c) { return 2 * std::max<std::int64_t>(c, 256); }

double* doubles(Scratch::Frame& frame, std::int64_t count) {
    return static_cast<double*>(frame.bytes(static_cast<std::size_t>(count) * sizeof(double)));
}

/// Mean, scale = gamma / sqrt(variance + epsilon) and beta as tiles; both halves of the neuron on top of
/// them.
class Layer {
public:
    template <class Op>
    Layer(const Op& op, std::int64_t channels, Scratch::Frame& frame)
        : mean(channels, frame, kShortRun),
          scale(channels, frame, kShortRun),
          beta(channels, frame, kShortRun),
          inverseDeviation(frame.floats(channels)),
          neuron(op.neuron),
          slopes(slopesOf(op.neuron, channels, frame, kShortRun)) {
        mean.set(staged(op.mean, frame));
        const float* variance = staged(op.variance, frame);
        const float* gamma = staged(op.gamma, frame);
        const float* shift = staged(op.beta, frame);
        for (std::int64_t c = 0; c < channels; ++c)
            inverseDeviation[c] = static_cast<float>(
                1 / std::sqrt(static_cast<double>(variance[c]) + static_cast<double>(op.epsilon)));
        scale.fill(
            [&](std::int64_t c) { return gamma ? gamma[c] * inverseDeviation[c] : inverseDeviation[c]; });
        beta.fill([&](std::int64_t c) { return shift ? shift[c] : 0.0f; });
    }

    bool hasNeuron() const { return neuron.type != ops::NeuronType::None; }

    void forward(const float* x, float* y, std::int64_t first, std::int64_t count) const {
        PEWTER_VECTOR(normalizeRun)(x, mean.of(first), scale.of(first), beta.of(first), y, count);
        if (hasNeuron()) PEWTER_VECTOR(neuronForward)(neuron, slopes.of(first), y, y, count);
    }

    /// dz = diffDst * f'(z); diffDst itself without a neuron, else in `room`. count <= kShortRun.
    const float* throughNeuron(const float* x, const float* diffDst, float* room, std::int64_t first,
                               std::int64_t count) const {
        if (!hasNeuron()) return diffDst;
        alignas(64) float z[kShortRun];
        PEWTER_VECTOR(normalizeRun)(x, mean.of(first), scale.of(first), beta.of(first), z, count);
        PEWTER_VECTOR(neuronGradient)(neuron, slopes.of(first), z, diffDst, room, count);
        return room;
    }

    ChannelTile mean, scale, beta;
    float* inverseDeviation;

private:
    ops::Neuron neuron;
    ChannelTile slopes;
};

}  // namespace

void Cpu::run(const ops::BatchNormalizationStatistics& op, ops::Stream& stream) {
    const std::int64_t c = op.src.c, pixels = op.src.n * op.src.h * op.src.w;
    if (c == 0 || pixels == 0) return;
    Scratch::Frame frame(scratchOf(stream));
    const Source src(op.src);
    const std::int64_t some = std::max<std::int64_t>(1, kBlock / c);
    const std::int64_t parts = partsOf(pixels, std::max<std::int64_t>(1, kElementGrain / c));
    // Sums are taken of differences to the first pixel: exact for constant channels, small numbers for the
    // rest.
    ChannelTile start(c, frame, std::max<std::int64_t>(c, 256));
    start.set(src.read(0, c, frame.floats(c)));
    double* const sums = doubles(frame, parts * 4 * c);
    float* const rooms = frame.floats(parts * (some * c + roomOf(c)));
    forParts(parts, pixels, [&](std::int64_t part, std::int64_t from, std::int64_t to) {
        double* const mean = sums + part * 4 * c;
        double *const squares = mean + c, *const blockMean = squares + c, *const blockSquares = blockMean + c;
        float* const buffer = rooms + part * (some * c + roomOf(c));
        std::fill_n(mean, 2 * c, 0.0);
        for (std::int64_t p = from; p < to; p += some) {
            const std::int64_t count = std::min(some, to - p);
            PEWTER_VECTOR(blockStatistics)
            (src.read(p * c, count * c, buffer), count, c, start.of(0), blockMean, blockSquares,
             buffer + some * c);
            PEWTER_VECTOR(mergeStatistics)
            (blockMean, blockSquares, static_cast<double>(count), mean, squares,
             static_cast<double>(p - from), c);
        }
    });
    std::int64_t done = pixels / parts;
    for (std::int64_t part = 1; part < parts; ++part) {
        const std::int64_t count = pixels * (part + 1) / parts - pixels * part / parts;
        const double* mean = sums + part * 4 * c;
        PEWTER_VECTOR(mergeStatistics)
        (mean, mean + c, static_cast<double>(count), sums, sums + c, static_cast<double>(done), c);
        done += count;
    }
    double *mean = sums, *squares = sums + c;
    double total = static_cast<double>(pixels);
    if (op.countBefore > 0) {
        double* const before = doubles(frame, 2 * c);
        const float* oldMean = staged(op.mean, frame);
        const float* oldVariance = staged(op.variance, frame);
        const double count = static_cast<double>(op.countBefore);
        for (std::int64_t k = 0; k < c; ++k) {
            before[k] = static_cast<double>(oldMean[k]);
            before[c + k] = static_cast<double>(oldVariance[k]) * count;
        }
        PEWTER_VECTOR(mergeStatistics)(mean, squares, total, before, before + c, count, c);
        mean = before;
        squares = before + c;
        total += count;
    }
    float* const result = frame.floats(c);
    for (std::int64_t k = 0; k < c; ++k) result[k] = static_cast<float>(mean[k]);
    storeArray(result, op.mean);
    for (std::int64_t k = 0; k < c; ++k) result[k] = static_cast<float>(squares[k] / total);
    storeArray(result, op.variance);
}

void Cpu::run(const ops::BatchNormalizationForward& op, ops::Stream& stream) {
    Scratch::Frame frame(scratchOf(stream));
    const Layer layer(op, op.src.c, frame);
    const Source src(op.src);
    const Sink dst(op.dst);
    forRuns(
        op.src.count(),
        [&](std::int64_t first, std::int64_t count) {
            alignas(64) float in[kShortRun], out[kShortRun];
            const float* x = src.read(first, count, in);
            float* y = dst.room(first, count, out);
            layer.forward(x, y, first, count);
            dst.write(first, count, y);
        },
        kShortRun);
}

void Cpu::run(const ops::BatchNormalizationStatisticsGradient& op, ops::Stream& stream) {
    const std::int64_t c = op.src.c, pixels = op.src.n * op.src.h * op.src.w;
    if (c == 0) return;
    Scratch::Frame frame(scratchOf(stream));
    const Layer layer(op, c, frame);
    const Source src(op.src), diffDst(op.diffDst);
    const std::int64_t some = std::max<std::int64_t>(1, kBlock / c), block = some * c;
    const std::int64_t parts = partsOf(pixels, std::max<std::int64_t>(1, kElementGrain / c));
    double* const sums = doubles(frame, parts * 2 * c);
    float* const rooms = frame.floats(parts * (3 * block + roomOf(c)));
    // A row of channels that is as long as the block's sums want it.
    ChannelTile mean(c, frame, std::max<std::int64_t>(c, 256));
    mean.fill([&](std::int64_t k) { return layer.mean.of(0)[k]; });
    std::fill_n(sums, parts * 2 * c, 0.0);
    forParts(parts, pixels, [&](std::int64_t part, std::int64_t from, std::int64_t to) {
        float* const buffer = rooms + part * (3 * block + roomOf(c));
        double* const diffBeta = sums + part * 2 * c;
        for (std::int64_t p = from; p < to; p += some) {
            const std::int64_t pixelCount = std::min(some, to - p), count = pixelCount * c;
            const float* x = src.read(p * c, count, buffer);
            const float* dz = diffDst.read(p * c, count, buffer + block);
            if (layer.hasNeuron()) {
                float* const through = buffer + 2 * block;
                for (std::int64_t i = 0; i < count; i += kShortRun)
                    layer.throughNeuron(x + i, dz + i, through + i, i, std::min(kShortRun, count - i));
                dz = through;
            }
            PEWTER_VECTOR(gradientSums)
            (x, dz, pixelCount, c, mean.of(0), diffBeta, diffBeta + c, buffer + 3 * block);
        }
    });
    for (std::int64_t part = 1; part < parts; ++part)
        for (std::int64_t i = 0; i < 2 * c; ++i) sums[i] += sums[part * 2 * c + i];
    float* const result = frame.floats(c);
    const auto finish = [&](const ops::Array& array, auto valueOf) {
        const float* before = op.accumulate ? staged(array, frame) : nullptr;
        for (std::int64_t k = 0; k < c; ++k)
            result[k] = static_cast<float>(valueOf(k) + (before ? static_cast<double>(before[k]) : 0.0));
        storeArray(result, array);
    };
    finish(op.diffBeta, [&](std::int64_t k) { return sums[k]; });
    finish(op.diffGamma,
           [&](std::int64_t k) { return sums[c + k] * static_cast<double>(layer.inverseDeviation[k]); });
}

void Cpu::run(const ops::BatchNormalizationGradient& op, ops::Stream& stream) {
    const std::int64_t c = op.src.c;
    if (c == 0) return;
    Scratch::Frame frame(scratchOf(stream));
    const Layer layer(op, c, frame);
    const Source src(op.src), diffDst(op.diffDst);
    const Sink diffSrc(op.diffSrc);
    // What flows through the statistics; nothing when they are stored ones.
    ChannelTile a(c, frame, kShortRun), b(c, frame, kShortRun);
    const float* diffBeta = op.storedStatistics ? nullptr : staged(op.diffBeta, frame);
    const float* diffGamma = op.storedStatistics ? nullptr : staged(op.diffGamma, frame);
    const auto share = static_cast<float>(op.storedStatistics ? 0 : 1 / static_cast<double>(op.count));
    a.fill([&](std::int64_t k) { return diffBeta ? diffBeta[k] * share : 0.0f; });
    b.fill(
        [&](std::int64_t k) { return diffGamma ? diffGamma[k] * share * layer.inverseDeviation[k] : 0.0f; });
    forRuns(
        op.src.count(),
        [&](std::int64_t first, std::int64_t count) {
            alignas(64) float in[kShortRun], diff[kShortRun], through[kShortRun], out[kShortRun];
            const float* x = src.read(first, count, in);
            const float* g = diffDst.read(first, count, diff);
            const float* dz = layer.throughNeuron(x, g, through, first, count);
            float* d = diffSrc.room(first, count, out);
            PEWTER_VECTOR(normalizeGradientRun)
            (x, dz, layer.mean.of(first), layer.scale.of(first), a.of(first), b.of(first), d, count);
            diffSrc.write(first, count, d);
        },
        kShortRun);
}

}  // namespace pewter::cpu
