#include "backends/cpu/vector/BatchNormalization.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "backends/cpu/ChannelSums.h"
#include "backends/cpu/Cpu.h"
#include "backends/cpu/Runs.h"
#include "backends/cpu/vector/Neuron.h"
#include "backends/cpu/vector/Register.h"

namespace pewter::cpu {

namespace {

/// Elements of a run: shorter than elsewhere, for the parameters' tiles share the first-level cache with the
/// operands.
constexpr std::int64_t kShortRun = 512;
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
        if (neuron.type == ops::NeuronType::ReLU) {
            PEWTER_VECTOR(rectifiedRun)
            (x, diffDst, mean.of(first), scale.of(first), beta.of(first), neuron.a, room, count);
            return room;
        }
        alignas(64) float z[kShortRun];
        PEWTER_VECTOR(normalizeRun)(x, mean.of(first), scale.of(first), beta.of(first), z, count);
        // Memory for the next run is asked for while the neuron keeps the processor busy.
        constexpr std::int64_t kPiece = 128, kLine = 16;
        const float* const slope = slopes.of(first);
        for (std::int64_t i = 0; i < count; i += kPiece) {
            const std::int64_t some = std::min(kPiece, count - i);
            for (std::int64_t k = i; k < i + some; k += kLine) {
                __builtin_prefetch(x + count + k);
                __builtin_prefetch(diffDst + count + k);
            }
            PEWTER_VECTOR(neuronGradient)(neuron, slope ? slope + i : nullptr, z + i, diffDst + i, room + i, some);
        }
        return room;
    }

    ChannelTile mean, scale, beta;
    float* inverseDeviation;

private:
    ops::Neuron neuron;
    ChannelTile slopes;
};

/// `values` to where the run lies: to `room`, which the sink gave for it, past the caches.
void writeRun(const Sink& sink, bool past, std::int64_t first, std::int64_t count, const float* values, float* room) {
    if (!past) return sink.write(first, count, values);
    PEWTER_VECTOR(copyRunPast)(values, room, count);
}

/// fn(first, count) for short runs, each thread's followed by the end of what it sent past the caches.
template <class Fn>
void forShortRuns(std::int64_t elements, Fn fn) {
    parallelFor(0, (elements + kShortRun - 1) / kShortRun, kElementGrain / kShortRun,
                [&](std::int64_t from, std::int64_t to) {
                    for (std::int64_t first = from * kShortRun; first < std::min(to * kShortRun, elements);
                         first += kShortRun)
                        fn(first, std::min(kShortRun, elements - first));
                    baseline::streamEnd();
                });
}

}  // namespace

void Cpu::run(const ops::BatchNormalizationStatistics& op, ops::Stream& stream) {
    const std::int64_t c = op.src.c, pixels = op.src.n * op.src.h * op.src.w;
    if (c == 0 || pixels == 0) return;
    Scratch::Frame frame(scratchOf(stream));
    const Source src(op.src);
    const std::int64_t parts = partsOf(pixels, std::max<std::int64_t>(1, kElementGrain / c));
    std::vector<SumRoom> rooms;
    for (std::int64_t part = 0; part < parts; ++part) rooms.emplace_back(c, 1, frame);
    forParts(parts, pixels, [&](std::int64_t part, std::int64_t from, std::int64_t to) {
        channelStatistics(src, from, to, rooms[static_cast<std::size_t>(part)]);
    });
    double* const sums = rooms[0].sums;
    std::int64_t done = pixels / parts;
    for (std::int64_t part = 1; part < parts; ++part) {
        const std::int64_t count = pixels * (part + 1) / parts - pixels * part / parts;
        const double* mean = rooms[static_cast<std::size_t>(part)].sums;
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
    const bool past = isStreamed(op.dst);
    forShortRuns(op.src.count(), [&](std::int64_t first, std::int64_t count) {
        alignas(64) float in[kShortRun], out[kShortRun];
        const float* x = src.read(first, count, in);
        float* const room = dst.room(first, count, out);
        float* const y = past ? out : room;
        layer.forward(x, y, first, count);
        writeRun(dst, past, first, count, y, room);
    });
}

void Cpu::run(const ops::BatchNormalizationStatisticsGradient& op, ops::Stream& stream) {
    const std::int64_t c = op.src.c, pixels = op.src.n * op.src.h * op.src.w;
    if (c == 0) return;
    Scratch::Frame frame(scratchOf(stream));
    const Layer layer(op, c, frame);
    const Source src(op.src), diffDst(op.diffDst);
    const std::int64_t parts = partsOf(pixels, std::max<std::int64_t>(1, kElementGrain / c));
    std::vector<SumRoom> rooms;
    for (std::int64_t part = 0; part < parts; ++part) {
        rooms.emplace_back(c, 3, frame);
        rooms.back().shift.fill([&](std::int64_t k) { return layer.mean.of(0)[k]; });
        std::fill_n(rooms.back().sums, 2 * c, 0.0);
    }
    forParts(parts, pixels, [&](std::int64_t part, std::int64_t from, std::int64_t to) {
        SumRoom& room = rooms[static_cast<std::size_t>(part)];
        for (std::int64_t p = from; p < to; p += room.pixels) {
            const std::int64_t pixelCount = std::min(room.pixels, to - p), count = pixelCount * c;
            const float* x = src.read(p * c, count, room.operand(0));
            const float* dz = diffDst.read(p * c, count, room.operand(1));
            if (layer.hasNeuron()) {
                float* const through = room.operand(2);
                for (std::int64_t i = 0; i < count; i += kShortRun)
                    layer.throughNeuron(x + i, dz + i, through + i, i, std::min(kShortRun, count - i));
                dz = through;
            }
            PEWTER_VECTOR(gradientSums)
            (x, dz, pixelCount, c, room.shift.of(0), room.sums, room.sums + c, room.lanes);
        }
    });
    double* const sums = rooms[0].sums;
    for (std::int64_t part = 1; part < parts; ++part)
        for (std::int64_t i = 0; i < 2 * c; ++i) sums[i] += rooms[static_cast<std::size_t>(part)].sums[i];
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
    const bool past = isStreamed(op.diffSrc);
    // What flows through the statistics; nothing when they are stored ones.
    ChannelTile a(c, frame, kShortRun), b(c, frame, kShortRun);
    const float* diffBeta = op.storedStatistics ? nullptr : staged(op.diffBeta, frame);
    const float* diffGamma = op.storedStatistics ? nullptr : staged(op.diffGamma, frame);
    const auto share = static_cast<float>(op.storedStatistics ? 0 : 1 / static_cast<double>(op.count));
    a.fill([&](std::int64_t k) { return diffBeta ? diffBeta[k] * share : 0.0f; });
    b.fill(
        [&](std::int64_t k) { return diffGamma ? diffGamma[k] * share * layer.inverseDeviation[k] : 0.0f; });
    forShortRuns(op.src.count(), [&](std::int64_t first, std::int64_t count) {
        alignas(64) float in[kShortRun], diff[kShortRun], through[kShortRun], out[kShortRun];
        const float* x = src.read(first, count, in);
        const float* g = diffDst.read(first, count, diff);
        const float* dz = layer.throughNeuron(x, g, through, first, count);
        float* const room = diffSrc.room(first, count, out);
        float* const d = past ? out : room;
        PEWTER_VECTOR(normalizeGradientRun)
        (x, dz, layer.mean.of(first), layer.scale.of(first), a.of(first), b.of(first), d, count);
        writeRun(diffSrc, past, first, count, d, room);
    });
}

}  // namespace pewter::cpu
