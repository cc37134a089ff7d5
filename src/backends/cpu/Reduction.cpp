#include "backends/cpu/vector/Reduction.h"

#include <algorithm>
#include <limits>
#include <numeric>

#include "backends/cpu/Cpu.h"
#include "backends/cpu/Runs.h"
#include "backends/cpu/vector/Arithmetic.h"

namespace pewter::cpu {

namespace {

using Operation = ops::ReductionOperation;

bool isSum(Operation operation) { return operation == Operation::Sum || operation == Operation::Mean; }
bool isMax(Operation operation) { return operation == Operation::Max || operation == Operation::ArgumentMax; }

/// Pixels whose channels make about a run.
std::int64_t pixelsOfRun(std::int64_t c) { return std::max<std::int64_t>(1, kRun / c); }

/// dst[i] = scale * sums[i] / divisor.
void convert(const double* sums, std::int64_t count, double scale, double divisor, float* dst) {
    for (std::int64_t i = 0; i < count; ++i) dst[i] = static_cast<float>(scale * sums[i] / divisor);
}

/// Only the channels go: every pixel by itself.
void overChannels(const ops::Reduction& op, ops::Stream& stream) {
    const Source src(op.src), weights(op.weights.isNull() ? op.src : op.weights);
    const Sink dst(op.dst);
    const std::int64_t c = op.src.c, pixels = op.src.n * op.src.h * op.src.w, some = pixelsOfRun(c);
    const std::int64_t parts = partsOf(pixels, std::max<std::int64_t>(1, kElementGrain / c));
    Scratch::Frame frame(scratchOf(stream));
    float* const rooms = frame.floats(parts * some * (2 * c + 1));
    auto* const sums =
        static_cast<double*>(frame.bytes(static_cast<std::size_t>(parts * some) * sizeof(double)));
    const double divisor =
        op.operation == Operation::Mean && !op.byNonZeroWeights ? static_cast<double>(c) : 1;
    forParts(parts, pixels, [&](std::int64_t part, std::int64_t from, std::int64_t to) {
        float *const room = rooms + part * some * (2 * c + 1), *const second = room + some * c,
                     *const out = second + some * c;
        double* const sum = sums + part * some;
        for (std::int64_t p = from; p < to; p += some) {
            const std::int64_t count = std::min(some, to - p);
            const float* const x = src.read(p * c, count * c, room);
            float* const y = dst.room(p, count, out);
            if (isSum(op.operation)) {
                if (op.weights.isNull())
                    PEWTER_VECTOR(sumChannels)(x, count, c, sum);
                else
                    PEWTER_VECTOR(weightedSumChannels)
                (x, weights.read(p * c, count * c, second), count, c, op.byNonZeroWeights, sum);
                convert(sum, count, op.scale, divisor, y);
            } else if (op.operation == Operation::Min || op.operation == Operation::Max) {
                PEWTER_VECTOR(extremeChannels)(x, count, c, y, isMax(op.operation));
            } else {
                PEWTER_VECTOR(argumentChannels)(x, count, c, y, isMax(op.operation));
            }
            dst.write(p, count, y);
        }
    });
}

/// Sums in double or extrema in float32 of `pixels` pixels of c channels.
struct Partials {
    double* sums = nullptr;
    float* extrema = nullptr;
    std::int64_t size = 0;
    bool max = false;

    Partials(Operation operation, std::int64_t count, Scratch::Frame& frame)
        : size(count), max(isMax(operation)) {
        if (isSum(operation))
            sums = static_cast<double*>(frame.bytes(static_cast<std::size_t>(count) * sizeof(double)));
        else
            extrema = frame.floats(count);
    }
    /// The i-th piece of `count`.
    Partials piece(std::int64_t i, std::int64_t count) const {
        Partials one = *this;
        if (sums) one.sums += i * count;
        if (extrema) one.extrema += i * count;
        one.size = count;
        return one;
    }
    void clear() const {
        if (sums) return static_cast<void>(std::fill_n(sums, size, 0.0));
        const float worst =
            max ? -std::numeric_limits<float>::infinity() : std::numeric_limits<float>::infinity();
        std::fill_n(extrema, size, worst);
    }
    /// As many values as there are partial results.
    void add(const float* values, std::int64_t count) const {
        if (sums)
            PEWTER_VECTOR(addTo)(values, sums, count);
        else
            PEWTER_VECTOR(extremeTo)(values, extrema, count, max);
    }
    void addPixels(const float* values, std::int64_t pixels) const {
        if (sums)
            PEWTER_VECTOR(addPixels)(values, pixels, size, sums);
        else
            PEWTER_VECTOR(extremePixels)(values, pixels, size, extrema, max);
    }
    void join(const Partials& other) const {
        if (!sums) return PEWTER_VECTOR(extremeTo)(other.extrema, extrema, size, max);
        for (std::int64_t i = 0; i < size; ++i) sums[i] += other.sums[i];
    }
    /// Channels of each of the first `pixels` pixels into one.
    void joinChannels(std::int64_t pixels, std::int64_t c) const {
        for (std::int64_t p = 0; p < pixels; ++p) {
            if (sums) {
                sums[p] = std::accumulate(sums + p * c, sums + (p + 1) * c, 0.0);
                continue;
            }
            float best;
            PEWTER_VECTOR(extremeChannels)(extrema + p * c, 1, c, &best, max);
            extrema[p] = best;
        }
    }
};

/// Rows or columns go, and perhaps channels as well.
class OverPixels {
public:
    OverPixels(const ops::Reduction& op, ops::Stream& stream)
        : op_(op),
          src_(op.src),
          dst_(op.dst),
          stream_(stream),
          c_(op.src.c),
          some_(pixelsOfRun(c_)),
          rows_(op.dst.h == 1 ? op.src.h : 1),
          groups_(op.src.n * (op.dst.h == 1 ? 1 : op.src.h)),
          parts_(partsOf(op.src.count())),
          channels_(op.dst.c) {
        if (op.operation == Operation::Mean)
            divisor_ = static_cast<double>(op.src.count()) / static_cast<double>(op.dst.count());
    }

    /// A stretch of columns at a time, down the rows.
    void keepColumns() const {
        const std::int64_t width = op_.src.w;
        // Long stretches stream; every thread has some.
        const std::int64_t each = std::max<std::int64_t>(1, (parts_ + groups_ - 1) / groups_);
        const std::int64_t some =
                               std::min(std::max<std::int64_t>(1, 8 * kRun / c_), (width + each - 1) / each),
                           stretches = (width + some - 1) / some;
        Scratch::Frame frame(scratchOf(stream_));
        const Partials all(op_.operation, parts_ * some * c_, frame);
        float* const rooms = frame.floats(parts_ * some * c_);
        forParts(parts_, groups_ * stretches, [&](std::int64_t part, std::int64_t from, std::int64_t to) {
            float* const room = rooms + part * some * c_;
            for (std::int64_t task = from; task < to; ++task) {
                const std::int64_t group = task / stretches, x = task % stretches * some;
                const std::int64_t pixels = std::min(some, width - x);
                Partials partials = all.piece(part, some * c_);
                partials.size = pixels * c_;
                partials.clear();
                for (std::int64_t y = 0; y < rows_; ++y)
                    partials.add(src_.read(((group * rows_ + y) * width + x) * c_, pixels * c_, room),
                                 pixels * c_);
                write(partials, (group * width + x) * channels_, pixels, room);
            }
        });
    }

    /// The pixels of a row, or of all rows, one after the other. Many groups: each thread takes some of them;
    /// few: all threads share each.
    void joinColumns() const {
        const std::int64_t pixels = rows_ * op_.src.w;
        Scratch::Frame frame(scratchOf(stream_));
        const Partials all(op_.operation, parts_ * c_, frame);
        float* const rooms = frame.floats(parts_ * some_ * c_);
        const auto reduce = [&](std::int64_t part, std::int64_t group, std::int64_t from, std::int64_t to) {
            const Partials partials = all.piece(part, c_);
            partials.clear();
            for (std::int64_t p = from; p < to; p += some_) {
                const std::int64_t count = std::min(some_, to - p);
                partials.addPixels(
                    src_.read((group * pixels + p) * c_, count * c_, rooms + part * some_ * c_), count);
            }
            return partials;
        };
        if (groups_ >= parts_) {
            forParts(parts_, groups_, [&](std::int64_t part, std::int64_t from, std::int64_t to) {
                for (std::int64_t group = from; group < to; ++group)
                    write(reduce(part, group, 0, pixels), group * channels_, 1, rooms + part * some_ * c_);
            });
            return;
        }
        for (std::int64_t group = 0; group < groups_; ++group) {
            forParts(parts_, pixels, [&](std::int64_t part, std::int64_t from, std::int64_t to) {
                reduce(part, group, from, to);
            });
            const Partials first = all.piece(0, c_);
            for (std::int64_t part = 1; part < parts_; ++part) first.join(all.piece(part, c_));
            write(first, group * channels_, 1, rooms);
        }
    }

private:
    void write(const Partials& partials, std::int64_t first, std::int64_t pixels, float* room) const {
        if (channels_ < c_) partials.joinChannels(pixels, c_);
        const std::int64_t count = pixels * channels_;
        const float* results = partials.extrema;
        if (partials.sums) {
            convert(partials.sums, count, op_.scale, divisor_, room);
            results = room;
        }
        // Neither lies where dst is, so all of it is stored.
        dst_.write(first, count, results);
    }

    const ops::Reduction& op_;
    Source src_;
    Sink dst_;
    ops::Stream& stream_;
    std::int64_t c_, some_, rows_, groups_, parts_, channels_;
    double divisor_ = 1;
};

}  // namespace

void Cpu::run(const ops::Reduction& op, ops::Stream& stream) {
    if (op.dst.count() == 0 || op.src.count() == 0) return;
    if (op.dst.c == 1 && op.dst.h == op.src.h && op.dst.w == op.src.w) return overChannels(op, stream);
    const OverPixels reduction(op, stream);
    if (op.dst.w == 1)
        reduction.joinColumns();
    else
        reduction.keepColumns();
}

}  // namespace pewter::cpu
