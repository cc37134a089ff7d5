#include "backends/cpu/vector/GroupNormalization.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "backends/cpu/ChannelSums.h"
#include "backends/cpu/Cpu.h"
#include "backends/cpu/Runs.h"
#include "backends/cpu/vector/Register.h"

// Two passes over an image: sums (block by block, each block from the cache), then the result. An image's
// pixels are shared out only where there are too few images for the threads; else each thread takes whole
// images. The second pass goes from the back to the front, block by block: what the first one read last is still in
// the caches.

namespace pewter::cpu {

namespace {

/// Elements of a run: short, for the parameters' tiles share the first-level cache with the operands.
constexpr std::int64_t kShortRun = 512;
/// Elements of a block of the second pass: long enough that reads ahead do not notice where it ends.
constexpr std::int64_t kBlock = 65536;

/// Calls sum(room, image, from, to) for all pixels of an image, join(first room, part, pixels before, pixels
/// here) for the further parts, then combine(room, image) and apply(room, image, from, to).
template <class Make, class Sum, class Join, class Combine, class Apply>
void forImages(const ops::Tensor& src, Make make, Sum sum, Join join, Combine combine, Apply apply) {
    const std::int64_t images = src.n, pixels = src.h * src.w, c = src.c;
    const std::int64_t threads = partsOf(images * pixels * c);
    using Own = decltype(make());
    std::vector<Own> rooms;
    const std::int64_t block = std::max<std::int64_t>(1, kBlock / c);
    const auto applyBackwards = [&](const Own& room, std::int64_t n, std::int64_t from, std::int64_t to) {
        for (std::int64_t k = (to - from - 1) / block; k >= 0; --k)
            apply(room, n, from + k * block, std::min(to, from + (k + 1) * block));
    };
    if (images % threads == 0 || images >= 4 * threads || pixels * c < 4 * kElementGrain) {
        const std::int64_t workers = std::min(threads, images);
        for (std::int64_t i = 0; i < workers; ++i) rooms.push_back(make());
        forParts(workers, images, [&](std::int64_t worker, std::int64_t from, std::int64_t to) {
            Own& room = rooms[static_cast<std::size_t>(worker)];
            for (std::int64_t n = from; n < to; ++n) {
                sum(room, n, std::int64_t{0}, pixels);
                combine(room, n);
                applyBackwards(room, n, 0, pixels);
            }
        });
        return;
    }
    const std::int64_t parts = partsOf(pixels, std::max<std::int64_t>(1, kElementGrain / c));
    for (std::int64_t i = 0; i < parts; ++i) rooms.push_back(make());
    for (std::int64_t n = 0; n < images; ++n) {
        forParts(parts, pixels, [&](std::int64_t part, std::int64_t from, std::int64_t to) {
            sum(rooms[static_cast<std::size_t>(part)], n, from, to);
        });
        for (std::int64_t part = 1; part < parts; ++part)
            join(rooms[0], rooms[static_cast<std::size_t>(part)], pixels * part / parts,
                 pixels * (part + 1) / parts - pixels * part / parts);
        combine(rooms[0], n);
        forParts(parts, pixels,
                 [&](std::int64_t, std::int64_t from, std::int64_t to) { applyBackwards(rooms[0], n, from, to); });
    }
}

/// 1 for an image N,H,W,C.
std::int64_t blocksOf(const ops::Tensor& image) { return image.inBlocks() ? image.c / ops::kChannelBlock : 1; }

}  // namespace

void Cpu::run(const ops::GroupNormalizationForward& whole, ops::Stream& stream) {
    // A plane of an image in blocks is a picture; only the parameters are those of one of `blocks` blocks.
    const std::int64_t blocks = blocksOf(whole.src);
    ops::GroupNormalizationForward op = whole;
    op.src = planesOf(op.src), op.dst = planesOf(op.dst), op.groups /= blocks;
    const std::int64_t c = op.src.c, pixels = op.src.h * op.src.w,
                       width = c / std::max<std::int64_t>(1, op.groups);
    if (op.src.count() == 0) return;
    Scratch::Frame frame(scratchOf(stream));
    const Source src(op.src);
    const Sink dst(op.dst);
    const float* gamma = staged(op.gamma, frame);
    const float* beta = staged(op.beta, frame);
    const auto ofBlock = [&](const float* values, std::int64_t n) { return values ? values + n % blocks * c : nullptr; };
    auto* const means = static_cast<double*>(op.mean.data);
    auto* const deviations = static_cast<double*>(op.inverseDeviation.data);

    struct Own : SumRoom {
        Own(std::int64_t channels, Scratch::Frame& f)
            : SumRoom(channels, 1, f),
              center(channels, f, kShortRun),
              scale(channels, f, kShortRun),
              offset(channels, f, kShortRun),
              values(f.floats(3 * channels)) {}
        ChannelTile center, scale, offset;
        float* values;
    };
    const auto sum = [&](Own& room, std::int64_t n, std::int64_t from, std::int64_t to) {
        channelStatistics(src, n * pixels + from, n * pixels + to, room);
    };
    const auto join = [&](Own& room, const Own& other, std::int64_t before, std::int64_t here) {
        PEWTER_VECTOR(mergeStatistics)
        (other.sums, other.sums + c, static_cast<double>(here), room.sums, room.sums + c,
         static_cast<double>(before), c);
    };
    const auto combine = [&](Own& room, std::int64_t n) {
        double *const mean = room.sums, *const squares = mean + c;
        double *const middle = squares + c, *const deviation = middle + c;
        if (width > 1)
            PEWTER_VECTOR(joinChannels)(mean, squares, static_cast<double>(pixels), middle, width, op.groups);
        if (width == 1) std::copy_n(mean, c, middle);
        PEWTER_VECTOR(inverseDeviations)
        (squares, 1 / static_cast<double>(pixels * width), static_cast<double>(op.epsilon), deviation,
         op.groups);
        if (means) std::copy_n(middle, op.groups, means + n * op.groups);
        if (deviations) std::copy_n(deviation, op.groups, deviations + n * op.groups);
        // One a channel, from behind: both lists grow where they lie.
        for (std::int64_t k = op.groups - 1; k >= 0 && width > 1; --k) {
            std::fill_n(middle + k * width, width, double{middle[k]});
            std::fill_n(deviation + k * width, width, double{deviation[k]});
        }
        float *const center = room.values, *const scale = center + c, *const shift = scale + c;
        PEWTER_VECTOR(forwardFactors)(middle, deviation, ofBlock(gamma, n), ofBlock(beta, n), center, scale, shift, c);
        room.center.set(center);
        room.scale.set(scale);
        room.offset.set(shift);
    };
    const bool streamed = isStreamed(op.dst);
    const auto normalize = streamed ? PEWTER_VECTOR(normalizeRunPast) : PEWTER_VECTOR(normalizeRun);
    const auto apply = [&](const Own& room, std::int64_t n, std::int64_t from, std::int64_t to) {
        alignas(64) float in[kShortRun], out[kShortRun];
        const std::int64_t end = (n * pixels + to) * c;
        for (std::int64_t first = (n * pixels + from) * c; first < end; first += kShortRun) {
            const std::int64_t count = std::min(kShortRun, end - first);
            const float* x = src.read(first, count, in);
            float* y = dst.room(first, count, out);
            normalize(x, room.center.of(first), room.scale.of(first), room.offset.of(first), y, count);
            dst.write(first, count, y);
        }
        if (streamed) baseline::streamEnd();
    };
    forImages(
        op.src, [&] { return Own(c, frame); }, sum, join, combine, apply);
}

void Cpu::run(const ops::GroupNormalizationGradient& whole, ops::Stream& stream) {
    const std::int64_t blocks = blocksOf(whole.src);
    ops::GroupNormalizationGradient op = whole;
    op.src = planesOf(op.src), op.diffDst = planesOf(op.diffDst), op.diffSrc = planesOf(op.diffSrc), op.groups /= blocks;
    const std::int64_t c = op.src.c, pixels = op.src.h * op.src.w,
                       width = c / std::max<std::int64_t>(1, op.groups);
    if (op.src.count() == 0) return;
    Scratch::Frame frame(scratchOf(stream));
    const Source src(op.src), diffDst(op.diffDst);
    const bool hasResult = !op.diffSrc.isNull();
    const Sink diffSrc(hasResult ? op.diffSrc : op.src);
    const float* gamma = staged(op.gamma, frame);
    const auto* const means = static_cast<const double*>(op.mean.data);
    const auto* const deviations = static_cast<const double*>(op.inverseDeviation.data);
    double* const gammaSums = doubles(frame, op.src.n * c);
    double* const betaSums = doubles(frame, op.src.n * c);

    struct Own : SumRoom {
        Own(std::int64_t channels, Scratch::Frame& f)
            : SumRoom(channels, 2, f, kShortRun),
              scale(channels, f, kShortRun),
              deviation(channels, f, kShortRun),
              a(channels, f, kShortRun),
              b(channels, f, kShortRun),
              values(f.floats(4 * channels)) {}
        ChannelTile scale, deviation, a, b;
        float* values;
    };
    const auto meanOf = [&](std::int64_t n, std::int64_t i) { return means[n * op.groups + i / width]; };
    const auto sum = [&](Own& room, std::int64_t n, std::int64_t from, std::int64_t to) {
        room.shift.fill([&](std::int64_t i) { return static_cast<float>(meanOf(n, i)); });
        std::fill_n(room.sums, 2 * c, 0.0);
        const std::int64_t end = n * pixels + to;
        for (std::int64_t p = n * pixels + from; p < end; p += room.pixels) {
            const std::int64_t count = std::min(room.pixels, end - p);
            PEWTER_VECTOR(gradientSums)
            (src.read(p * c, count * c, room.operand(0)), diffDst.read(p * c, count * c, room.operand(1)),
             count, c, room.shift.of(0), room.sums, room.sums + c, room.lanes);
        }
    };
    const auto join = [&](Own& room, const Own& other, std::int64_t, std::int64_t) {
        for (std::int64_t i = 0; i < 2 * c; ++i) room.sums[i] += other.sums[i];
    };
    const auto combine = [&](Own& room, std::int64_t n) {
        float *const scale = room.values, *const inverse = scale + c, *const a = inverse + c,
                     *const b = a + c;
        const float* const factors = gamma ? gamma + n % blocks * c : nullptr;
        for (std::int64_t k = 0; k < op.groups; ++k) {
            const double mean = means[n * op.groups + k], deviation = deviations[n * op.groups + k];
            // Sums were taken around the mean as float32 holds it.
            const double rest = static_cast<double>(static_cast<float>(mean)) - mean;
            double total = 0, product = 0;
            for (std::int64_t i = k * width; i < (k + 1) * width; ++i) {
                const double ofBeta = room.sums[i];
                const double ofGamma = (room.sums[c + i] + rest * ofBeta) * deviation;
                const double factor = factors ? static_cast<double>(factors[i]) : 1.0;
                betaSums[n * c + i] = ofBeta;
                gammaSums[n * c + i] = ofGamma;
                total += factor * ofBeta;
                product += factor * ofGamma;
            }
            const double share = deviation / static_cast<double>(pixels * width);
            for (std::int64_t i = k * width; i < (k + 1) * width; ++i) {
                scale[i] = static_cast<float>(factors ? static_cast<double>(factors[i]) * deviation : deviation);
                inverse[i] = static_cast<float>(deviation);
                b[i] = static_cast<float>(product * share);
                a[i] = static_cast<float>(total * share + rest * deviation * product * share);
            }
        }
        room.scale.set(scale);
        room.deviation.set(inverse);
        room.a.set(a);
        room.b.set(b);
    };
    const bool past = hasResult && isStreamed(op.diffSrc);
    const auto apply = [&](const Own& room, std::int64_t n, std::int64_t from, std::int64_t to) {
        if (!hasResult) return;
        alignas(64) float in[kShortRun], diff[kShortRun], out[kShortRun];
        const std::int64_t end = (n * pixels + to) * c;
        for (std::int64_t first = (n * pixels + from) * c; first < end; first += kShortRun) {
            const std::int64_t count = std::min(kShortRun, end - first);
            const float* x = src.read(first, count, in);
            const float* g = diffDst.read(first, count, diff);
            float* d = diffSrc.room(first, count, out);
            PEWTER_VECTOR(groupGradientRun)
            (x, g, room.shift.of(first), room.scale.of(first), room.deviation.of(first), room.a.of(first),
             room.b.of(first), d, count, past);
            diffSrc.write(first, count, d);
        }
        if (past) baseline::streamEnd();
    };
    forImages(
        op.src, [&] { return Own(c, frame); }, sum, join, combine, apply);

    const auto finish = [&](const double* sums, const ops::Array& array) {
        if (array.isNull()) return;
        float* const values = frame.floats(array.size);
        const std::int64_t channels = whole.src.c, terms = array.size == channels ? whole.src.n : 1;
        for (std::int64_t i = 0; i < array.size; ++i) {
            double total = 0;
            for (std::int64_t n = 0; n < terms; ++n) total += sums[n * channels + i];
            values[i] = static_cast<float>(total);
        }
        storeArray(values, array);
    };
    finish(betaSums, op.diffBeta);
    finish(gammaSums, op.diffGamma);
}

}  // namespace pewter::cpu
