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
/// Elements of small planes of images in blocks that are summed at once.
constexpr std::int64_t kPlanes = 4096;

/// Elements of a run. Every block of channels has tiles of its own: of a small plane they would be more than what is read.
/// 256 at least, which gradientSums takes of a tile.
std::int64_t runOf(const ops::Tensor& image) { return image.inBlocks() && planeOf(image) < kPlanes ? 256 : kShortRun; }

/// Mean, scale = gamma / sqrt(variance + epsilon) and beta as tiles; both halves of the neuron on top of
/// them.
class Layer {
public:
    template <class Op>
    Layer(const Op& op, std::int64_t channels, Scratch::Frame& frame)
        : run(runOf(op.src)),
          mean(channels, frame, run, planeOf(op.src)),
          scale(channels, frame, run, planeOf(op.src)),
          beta(channels, frame, run, planeOf(op.src)),
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

    /// The neuron's input; addend may be null.
    void normalize(const float* x, const float* addend, float* z, std::int64_t first, std::int64_t count) const {
        if (addend)
            PEWTER_VECTOR(normalizeSumRun)(x, addend, mean.of(first), scale.of(first), beta.of(first), z, count);
        else
            PEWTER_VECTOR(normalizeRun)(x, mean.of(first), scale.of(first), beta.of(first), z, count);
    }

    void forward(const float* x, const float* addend, float* y, std::int64_t first, std::int64_t count) const {
        normalize(x, addend, y, first, count);
        if (hasNeuron()) PEWTER_VECTOR(neuronForward)(neuron, slopes.of(first), y, y, count);
    }

    /// dz = diffDst * f'(z); diffDst itself without a neuron, else in `room`. count <= kShortRun.
    const float* throughNeuron(const float* x, const float* diffDst, float* room, std::int64_t first,
                               std::int64_t count, const float* addend = nullptr) const {
        if (!hasNeuron()) return diffDst;
        if (neuron.type == ops::NeuronType::ReLU && addend) {
            PEWTER_VECTOR(rectifiedSumRun)
            (x, addend, diffDst, mean.of(first), scale.of(first), beta.of(first), neuron.a, room, count);
            return room;
        }
        if (neuron.type == ops::NeuronType::ReLU) {
            PEWTER_VECTOR(rectifiedRun)
            (x, diffDst, mean.of(first), scale.of(first), beta.of(first), neuron.a, room, count);
            return room;
        }
        alignas(64) float z[kShortRun];
        normalize(x, addend, z, first, count);
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

    std::int64_t run;  ///< Elements at once, at most.
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

/// fn(first, count) for short runs of an image, of an image in blocks each in one plane; each thread's are followed by the
/// end of what it sent past the caches.
template <class Fn>
void forShortRuns(const ops::Tensor& image, Fn fn) {
    const std::int64_t elements = image.count(), plane = image.inBlocks() ? planeOf(image) : elements, run = runOf(image);
    parallelFor(0, (elements + kShortRun - 1) / kShortRun, kElementGrain / kShortRun,
                [&](std::int64_t from, std::int64_t to) {
                    const std::int64_t end = std::min(to * kShortRun, elements);
                    for (std::int64_t first = from * kShortRun; first < end;) {
                        const std::int64_t count = std::min({run, end - first, plane - first % plane});
                        fn(first, count);
                        first += count;
                    }
                    baseline::streamEnd();
                });
}

/// Of all pixels: means into sums[0, c), squared deviations into sums[c, 2c).
void addStatistics(const ops::Tensor& image, Scratch::Frame& frame, double* sums) {
    const std::int64_t c = image.c, pixels = image.n * image.h * image.w;
    const Source src(image);
    const std::int64_t parts = partsOf(pixels, std::max<std::int64_t>(1, kElementGrain / c));
    std::vector<SumRoom> rooms;
    for (std::int64_t part = 0; part < parts; ++part) rooms.emplace_back(c, 1, frame);
    forParts(parts, pixels, [&](std::int64_t part, std::int64_t from, std::int64_t to) {
        channelStatistics(src, from, to, rooms[static_cast<std::size_t>(part)]);
    });
    std::copy_n(rooms[0].sums, 2 * c, sums);
    std::int64_t done = pixels / parts;
    for (std::int64_t part = 1; part < parts; ++part) {
        const std::int64_t count = pixels * (part + 1) / parts - pixels * part / parts;
        const double* mean = rooms[static_cast<std::size_t>(part)].sums;
        PEWTER_VECTOR(mergeStatistics)
        (mean, mean + c, static_cast<double>(count), sums, sums + c, static_cast<double>(done), c);
        done += count;
    }
}

/// Planes of one block and neighbouring pictures of an image in blocks.
struct Planes {
    std::int64_t picture = 0, pictures = 0, block = 0;

    /// As an image of their own; null if the image is.
    ops::Tensor of(const ops::Tensor& image) const {
        if (image.isNull()) return {};
        const std::int64_t plane = planeOf(image), blocks = image.c / ops::kChannelBlock;
        ops::Tensor view = ops::Tensor::dense(static_cast<float*>(image.data) + (picture * blocks + block) * plane,
                                              image.type, pictures, 1, plane / ops::kChannelBlock, ops::kChannelBlock);
        view.strideN = blocks * plane;
        return view;
    }
};

/// fn(planes, room) for all planes of an image in blocks, those of one block one after the other: each by itself, small ones
/// some at a time.
template <class Fn>
void forPlanes(const ops::Tensor& image, std::int64_t operands, Scratch::Frame& frame, Fn fn) {
    const std::int64_t blocks = image.c / ops::kChannelBlock, workers = std::min<std::int64_t>(blocks, maxThreads());
    const std::int64_t some = std::max<std::int64_t>(1, kPlanes / std::max<std::int64_t>(1, planeOf(image)));
    std::vector<SumRoom> rooms;
    for (std::int64_t worker = 0; worker < workers; ++worker) rooms.emplace_back(ops::kChannelBlock, operands, frame);
    forParts(workers, blocks, [&](std::int64_t worker, std::int64_t from, std::int64_t to) {
        for (std::int64_t n = 0; n < image.n; n += some)
            for (std::int64_t block = from; block < to; ++block)
                fn(Planes{n, std::min(some, image.n - n), block}, rooms[static_cast<std::size_t>(worker)]);
    });
}

/// What addStatistics gives, of an image in blocks.
void addStatisticsOfBlocks(const ops::Tensor& image, Scratch::Frame& frame, double* sums) {
    const std::int64_t c = ops::kChannelBlock, pixels = image.h * image.w;
    forPlanes(image, 1, frame, [&](const Planes& planes, SumRoom& room) {
        double *const mean = sums + planes.block * c, *const squares = sums + image.c + planes.block * c;
        const Source src(planes.of(image));
        const std::int64_t count = planes.pictures * pixels;
        if (planes.picture > 0) return mergePixels(src, 0, count, planes.picture * pixels, mean, squares, room);
        channelStatistics(src, 0, count, room);
        std::copy_n(room.sums, c, mean);
        std::copy_n(room.sums + c, c, squares);
    });
}

/// The images of a statistics gradient, or one plane of each; the last two may be null.
struct GradientImages {
    GradientImages(const ops::Tensor& x, const ops::Tensor& g, const ops::Tensor& added, const ops::Tensor& sum)
        : src(x), diffDst(g), addend(added), rounded(sum), diffSum(sum) {}

    Source src, diffDst, addend;
    Source rounded;  ///< what diffSum holds
    Sink diffSum;    ///< its blocks are added up where they lie: past the caches would be no faster
};

/// The elements [first, first + count) of dz, at most a SumRoom's block, which diffSum receives if there is one.
const float* throughNeurons(const Layer& layer, const GradientImages& images, const float* x, const float* diffDst,
                            std::int64_t first, std::int64_t count, std::int64_t tile, SumRoom& room) {
    const bool writes = !images.diffSum.isNull();
    if (!layer.hasNeuron() && !writes) return diffDst;
    const float* const addend =
        images.addend.isNull() ? nullptr : images.addend.read(first, count, room.operand(3));
    float* const through = room.operand(2);
    float* const to = writes ? images.diffSum.room(first, count, through) : through;
    for (std::int64_t i = 0; i < count; i += layer.run) {
        const std::int64_t some = std::min(layer.run, count - i);
        const float* const dz = layer.throughNeuron(x + i, diffDst + i, to + i, tile + i % room.channels, some,
                                                    addend ? addend + i : nullptr);
        if (dz != to + i) std::copy_n(dz, some, to + i);
    }
    if (!writes) return to;
    images.diffSum.write(first, count, to);
    return images.rounded.read(first, count, through);
}

/// Adds the sums of dz and of dz * (src - mean) over the pixels [from, to) to diffBeta and diffGamma. tile: where the
/// layer's image has the first of their channels.
void addGradients(const Layer& layer, const GradientImages& images, std::int64_t from, std::int64_t to, std::int64_t tile,
                  double* diffBeta, double* diffGamma, SumRoom& room) {
    const std::int64_t c = room.channels;
    for (std::int64_t p = from; p < to; p += room.pixels) {
        const std::int64_t pixels = std::min(room.pixels, to - p), count = pixels * c;
        const float* x = images.src.read(p * c, count, room.operand(0));
        const float* diffDst = images.diffDst.read(p * c, count, room.operand(1));
        const float* dz = throughNeurons(layer, images, x, diffDst, p * c, count, tile, room);
        PEWTER_VECTOR(gradientSums)(x, dz, pixels, c, layer.mean.of(tile), diffBeta, diffGamma, room.lanes);
    }
}

}  // namespace

void Cpu::run(const ops::BatchNormalizationStatistics& op, ops::Stream& stream) {
    const std::int64_t c = op.src.c, pixels = op.src.n * op.src.h * op.src.w;
    if (c == 0 || pixels == 0) return;
    Scratch::Frame frame(scratchOf(stream));
    double* const sums = doubles(frame, 2 * c);
    if (op.src.inBlocks())
        addStatisticsOfBlocks(op.src, frame, sums);
    else
        addStatistics(op.src, frame, sums);
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
    const Source src(op.src), addend(op.addend);
    const Sink dst(op.dst);
    // Where a source lies the caches have the lines already.
    const bool past = isStreamed(op.dst) && op.dst.data != op.addend.data;
    forShortRuns(op.src, [&](std::int64_t first, std::int64_t count) {
        alignas(64) float in[kShortRun], added[kShortRun], out[kShortRun];
        const float* x = src.read(first, count, in);
        float* const room = dst.room(first, count, out);
        float* const y = past ? out : room;
        layer.forward(x, addend.isNull() ? nullptr : addend.read(first, count, added), y, first, count);
        writeRun(dst, past, first, count, y, room);
    });
}

void Cpu::run(const ops::BatchNormalizationStatisticsGradient& op, ops::Stream& stream) {
    const std::int64_t c = op.src.c, pixels = op.src.n * op.src.h * op.src.w;
    if (c == 0) return;
    Scratch::Frame frame(scratchOf(stream));
    const Layer layer(op, c, frame);
    double* const sums = doubles(frame, 2 * c);
    std::fill_n(sums, 2 * c, 0.0);
    const std::int64_t operands = op.addend.isNull() ? 3 : 4;
    if (op.src.inBlocks()) {
        forPlanes(op.src, operands, frame, [&](const Planes& planes, SumRoom& room) {
            double* const diffBeta = sums + planes.block * ops::kChannelBlock;
            const GradientImages images(planes.of(op.src), planes.of(op.diffDst), planes.of(op.addend),
                                        planes.of(op.diffSum));
            addGradients(layer, images, 0, planes.pictures * op.src.h * op.src.w, planes.block * planeOf(op.src), diffBeta,
                         diffBeta + c, room);
        });
    } else {
        const GradientImages images(op.src, op.diffDst, op.addend, op.diffSum);
        const std::int64_t parts = partsOf(pixels, std::max<std::int64_t>(1, kElementGrain / c));
        std::vector<SumRoom> rooms;
        for (std::int64_t part = 0; part < parts; ++part) {
            rooms.emplace_back(c, operands, frame);
            std::fill_n(rooms.back().sums, 2 * c, 0.0);
        }
        forParts(parts, pixels, [&](std::int64_t part, std::int64_t from, std::int64_t to) {
            SumRoom& room = rooms[static_cast<std::size_t>(part)];
            addGradients(layer, images, from, to, 0, room.sums, room.sums + c, room);
        });
        for (const SumRoom& room : rooms)
            for (std::int64_t i = 0; i < 2 * c; ++i) sums[i] += room.sums[i];
    }
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
    ChannelTile a(c, frame, layer.run, planeOf(op.src)), b(c, frame, layer.run, planeOf(op.src));
    const float* diffBeta = op.storedStatistics ? nullptr : staged(op.diffBeta, frame);
    const float* diffGamma = op.storedStatistics ? nullptr : staged(op.diffGamma, frame);
    const auto share = static_cast<float>(op.storedStatistics ? 0 : 1 / static_cast<double>(op.count));
    a.fill([&](std::int64_t k) { return diffBeta ? diffBeta[k] * share : 0.0f; });
    b.fill(
        [&](std::int64_t k) { return diffGamma ? diffGamma[k] * share * layer.inverseDeviation[k] : 0.0f; });
    forShortRuns(op.src, [&](std::int64_t first, std::int64_t count) {
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
